package snapshot

import (
	"container/list"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/pool"
)

// shelf keeps, for each channel, the last key frame that somebody asked for, and what was made
// of it, within a limit of memory: what was not asked for the longest goes first. Frames and
// pictures lie in arenas of its own, so that none pins a camera's chunk.
type shelf struct {
	clock    *hal.Clock
	frames   *pool.Arena // key frames as they came
	pictures *pool.Arena // raw ones
	most     int         // bytes of finished files

	mu    sync.Mutex
	used  *list.List // of *shot, the latest first
	of    map[*Camera]*shot
	files int // bytes
}

// identity tells one key frame from another.
type identity struct {
	run  uint32
	dts  time.Duration
	mono int64
}

// shot is one key frame and what was made of it.
type shot struct {
	camera *Camera
	id     identity
	time   time.Time
	busy   chan struct{} // holds a token while somebody works on what follows

	key     hal.Frame // as it came, on a stream of its one track; no buffer once decoded, or where it was raw
	raw     hal.Frame // no buffer where it is not decoded yet
	way     Way       // how raw came about
	failed  error     // why it cannot be decoded
	made    map[int]Snapshot
	byOwner *list.Element // nil once it is off the shelf; the shelf's mu guards this and the rest
	holds   int
	bytes   int // of made
}

func newShelf(cfg Config) *shelf {
	return &shelf{
		clock: cfg.Clock, frames: pool.NewArena(pool.ArenaConfig{Max: cfg.Memory / 4}),
		pictures: pool.NewArena(pool.ArenaConfig{Max: cfg.Memory / 2}), most: cfg.Memory / 4,
		used: list.New(), of: map[*Camera]*shot{},
	}
}

// put returns the shot of a key frame, with a hold: the one that lies there, where it is the
// same, or a new one with a copy of f.
func (s *shelf) put(c *Camera, f hal.Frame) (*shot, error) {
	id := identity{f.Stamp.Run, f.Stamp.DTS, f.Stamp.Mono}
	s.mu.Lock()
	if old := s.of[c]; old != nil && old.id == id {
		old.holds++
		s.used.MoveToFront(old.byOwner)
		s.mu.Unlock()
		return old, nil
	}
	s.mu.Unlock()
	sh := &shot{camera: c, id: id, time: s.clock.Wall(f.Stamp.Mono), busy: make(chan struct{}, 1), made: map[int]Snapshot{}, holds: 1}
	var err error
	if f.Info().Codec == hal.Raw {
		sh.way = Raw
		sh.raw, err = s.copyRaw(f)
	} else {
		sh.key, err = s.copyKey(f)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.of[c]; old != nil {
		s.takeOff(old)
	}
	s.of[c] = sh
	sh.byOwner = s.used.PushFront(sh)
	return sh, nil
}

// copyKey copies an encoded key frame, on a stream of its own track alone.
func (s *shelf) copyKey(f hal.Frame) (hal.Frame, error) {
	if f.Buf.Len() > maxKeyFrame {
		return hal.Frame{}, fmt.Errorf("%w: a key frame of %d bytes, at most %d", ErrNoKeyFrame, f.Buf.Len(), maxKeyFrame)
	}
	buf, err := s.room(s.frames, f.Buf.Len())
	if err != nil {
		return hal.Frame{}, err
	}
	copy(buf.Bytes(), f.Buf.Bytes())
	return hal.Frame{Buf: buf, Stream: &hal.Stream{Tracks: []hal.Track{*f.Info()}}, Stamp: f.Stamp, Key: true}, nil
}

// copyRaw copies a raw picture, as I420.
func (s *shelf) copyRaw(f hal.Frame) (hal.Frame, error) {
	from, err := pixel.View(f.Info(), f.Buf)
	if err != nil {
		return hal.Frame{}, fmt.Errorf("raw picture: %w", err)
	}
	return s.picture(f, from.Width, from.Height, func(dst pixel.Picture) error {
		var c pixel.Converter
		return c.Convert(dst, from)
	})
}

// picture returns an I420 picture with f's stamp and colours, in memory of the shelf, that fill
// has filled.
func (s *shelf) picture(f hal.Frame, width, height int, fill func(pixel.Picture) error) (hal.Frame, error) {
	layout, err := hal.PackedLayout(hal.I420, width, height)
	if err != nil {
		return hal.Frame{}, err
	}
	buf, err := s.room(s.pictures, layout.Size)
	if err != nil {
		return hal.Frame{}, err
	}
	dst, err := pixel.Over(hal.I420, width, height, buf.Bytes())
	if err == nil {
		err = fill(dst)
	}
	if err != nil {
		buf.Release()
		return hal.Frame{}, err
	}
	t := hal.Track{Codec: hal.Raw, TimeScale: 90000, Width: width, Height: height, Layout: layout, Colour: f.Info().Colour}
	return hal.Frame{Buf: buf, Stream: &hal.Stream{Tracks: []hal.Track{t}}, Stamp: f.Stamp, Key: true}, nil
}

// room returns n bytes of an arena, after what nobody uses has gone where need be.
func (s *shelf) room(a *pool.Arena, n int) (pool.Buffer, error) {
	for {
		buf, err := a.Get(n)
		if err == nil || !errors.Is(err, pool.ErrArenaFull) {
			return buf, err
		}
		if !s.evict() {
			return pool.Buffer{}, fmt.Errorf("%w: no memory is left for a picture of %d bytes", ErrBusy, n)
		}
	}
}

// evict takes off what was not asked for the longest and is not in use.
func (s *shelf) evict() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.used.Back(); e != nil; e = e.Prev() {
		if sh, ok := e.Value.(*shot); ok && sh.holds == 0 {
			s.takeOff(sh)
			return true
		}
	}
	return false
}

// takeOff takes a shot off the shelf; its memory goes with its last hold. The caller holds mu.
func (s *shelf) takeOff(sh *shot) {
	s.used.Remove(sh.byOwner)
	sh.byOwner = nil
	s.files -= sh.bytes
	if s.of[sh.camera] == sh {
		delete(s.of, sh.camera)
	}
	if sh.holds == 0 {
		sh.free()
	}
}

func (s *shelf) hold(sh *shot) {
	s.mu.Lock()
	sh.holds++
	s.mu.Unlock()
}

func (s *shelf) letGo(sh *shot) {
	if sh == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh.holds--
	if sh.holds == 0 && sh.byOwner == nil {
		sh.free()
	}
}

// keep counts a file that was made of a shot, and makes room where there are too many.
func (s *shelf) keep(sh *shot, n int) {
	s.mu.Lock()
	over := false
	if sh.byOwner != nil {
		sh.bytes += n
		s.files += n
		over = s.files > s.most
	}
	s.mu.Unlock()
	for over && s.evict() {
		s.mu.Lock()
		over = s.files > s.most
		s.mu.Unlock()
	}
}

// forget takes off what belongs to a camera, or with nil everything.
func (s *shelf) forget(c *Camera) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for owner, sh := range s.of {
		if c == nil || owner == c {
			s.takeOff(sh)
		}
	}
}

// free gives the memory back. Nobody holds it.
func (sh *shot) free() {
	sh.key.Release()
	sh.raw.Release()
	sh.key, sh.raw = hal.Frame{}, hal.Frame{}
}
