package motion

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/pipeline"
)

// Watch is a channel's detector with its two stages: Trunk sees raw pictures, Branch JPEGs. Where
// the trunk has seen pictures the branch leaves what was made of them alone.
type Watch struct {
	cfg Config
	on  func(mono int64) // told of motion

	mu    sync.Mutex
	raw   bool // raw pictures come
	stats Stats
}

// Stats is what a watch has seen.
type Stats struct {
	Looks   uint64  `json:"looks"` // pictures looked at
	Motions uint64  `json:"motions"`
	Broken  uint64  `json:"broken"` // pictures that could not be read
	Moving  bool    `json:"moving"`
	Area    float64 `json:"area"`              // percent, of the last look
	Sees    string  `json:"sees,omitempty"`    // raw or mjpeg
	Why     string  `json:"why_not,omitempty"` // nothing can be seen
}

// again is how often motion that goes on is told.
const again = int64(time.Second)

// NewWatch returns a watch. on is called when motion begins and then once a second while it goes
// on, with the picture's instant (Stamp.Mono), by a stage's worker: it must not block.
func NewWatch(cfg Config, on func(mono int64)) *Watch {
	return &Watch{cfg: cfg.WithDefaults(), on: on}
}

// Trunk returns the stage for the trunk, before the encoder: it passes every frame on.
func (w *Watch) Trunk() *Stage { return &Stage{watch: w, trunk: true} }

// Branch returns the stage for a branch.
func (w *Watch) Branch() *Stage { return &Stage{watch: w} }

// Limit is the bound of its branch: only the latest picture counts.
func Limit() pipeline.Limit {
	return pipeline.Limit{Frames: 64, Bytes: 16 << 20, Full: pipeline.DropOldest, WakeAge: 200 * time.Millisecond}
}

// Stage is one place of a watch in a channel.
type Stage struct {
	watch *Watch
	trunk bool

	env    pipeline.Env
	stream *hal.Stream
	found  *Detector
	next   int64 // Mono of the next look
	told   int64
	jpeg   bytes.Reader
}

// Name implements pipeline.Stage.
func (s *Stage) Name() string {
	if s.trunk {
		return "motion-raw"
	}
	return "motion"
}

// Passes implements pipeline.Passer: without raw pictures the trunk has nothing to see.
func (s *Stage) Passes(st *hal.Stream) bool { return rawTrack(st) < 0 }

func rawTrack(st *hal.Stream) int {
	return slices.IndexFunc(st.Tracks, func(t hal.Track) bool { return t.Codec == hal.Raw })
}

// Open implements pipeline.Stage.
func (s *Stage) Open(_ context.Context, env pipeline.Env) error {
	if err := s.watch.cfg.Validate(); err != nil {
		return fmt.Errorf("%w: motion: %w", hal.ErrUnsupported, err)
	}
	if s.trunk && env.Out == nil {
		return fmt.Errorf("stage %s: it passes frames on, so it must stand in the trunk", s.Name())
	}
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	s.env, s.stream, s.found, s.next = env, nil, New(s.watch.cfg), 0
	return nil
}

// Work implements pipeline.Stage.
func (s *Stage) Work(_ context.Context, f hal.Frame) error {
	if f.Stream != s.stream {
		s.stream = f.Stream
		s.learn()
	}
	if f.Stamp.Mono >= s.next && f.Info().Codec.IsVideo() {
		s.look(f)
	}
	if s.trunk {
		return s.env.Out(f)
	}
	f.Release()
	return nil
}

// Flush implements pipeline.Stage: what comes after another run may look different.
func (s *Stage) Flush(context.Context) error {
	s.found, s.next = New(s.watch.cfg), 0
	return nil
}

// Close implements pipeline.Stage.
func (s *Stage) Close() error { return nil }

// Stats implements pipeline.Counting.
func (s *Stage) Stats() any {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	return s.watch.stats
}

// learn notes what the stream has to see.
func (s *Stage) learn() {
	w := s.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.trunk {
		w.raw = rawTrack(s.stream) >= 0
		w.stats.Sees, w.stats.Why = hal.Raw.String(), ""
		return
	}
	v := s.stream.Video()
	switch {
	case w.raw || v < 0:
	case s.stream.Tracks[v].Codec == hal.MJPEG:
		w.stats.Sees, w.stats.Why = hal.MJPEG.String(), ""
	default:
		why := fmt.Sprintf("%s is not decoded here: motion is found in raw pictures and JPEGs", s.stream.Tracks[v].Codec)
		if w.stats.Why != why {
			w.stats.Sees, w.stats.Why = "", why
			s.env.Log.Warn("no motion will be found", "cause", why, "remedy", "let the camera tell of motion itself, and pass it on: POST /v1/channels/NAME/events")
		}
	}
}

// look looks at a picture.
func (s *Stage) look(f hal.Frame) {
	w := s.watch
	var l Luma
	var err error
	switch t := f.Info(); {
	case s.trunk && t.Codec == hal.Raw:
		l, err = raw(t, f)
	case !s.trunk && t.Codec == hal.MJPEG && !w.seesRaw():
		l, err = s.decode(f)
	default:
		return
	}
	s.next = f.Stamp.Mono + int64(float64(time.Second)/w.cfg.Rate)
	var v Verdict
	if err == nil {
		v = s.found.Look(l, f.Stamp.Mono)
	}
	w.mu.Lock()
	w.stats.Looks++
	if err != nil {
		w.stats.Broken++
	}
	if v.Began {
		w.stats.Motions++
	}
	w.stats.Moving, w.stats.Area = v.Moving, v.Area
	w.mu.Unlock()
	if v.Began || v.Moving && v.Area >= w.cfg.Area && f.Stamp.Mono-s.told >= again {
		s.told = f.Stamp.Mono
		w.on(f.Stamp.Mono)
	}
}

func (w *Watch) seesRaw() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.raw
}

// raw returns the brightness of a raw picture where it lies.
func raw(t *hal.Track, f hal.Frame) (Luma, error) {
	p, err := pixel.View(t, f.Buf)
	if err != nil {
		return Luma{}, err
	}
	l := Luma{Pixels: p.Plane[0], Width: p.Width, Height: p.Height, Stride: p.Stride[0], Step: 1}
	switch p.Format {
	case hal.YUYV:
		l.Step = 2
	case hal.UYVY:
		l.Step, l.Pixels = 2, l.Pixels[1:]
	case hal.I420, hal.NV12, hal.NV21, hal.NM12, hal.YM12, hal.PixelUnknown:
	}
	return l, nil
}

// maxPixels bounds what a JPEG can make us decode: 8K.
const maxPixels = 7680 * 4320

// decode returns the brightness of a JPEG, decoded by Go's own library.
func (s *Stage) decode(f hal.Frame) (Luma, error) {
	s.jpeg.Reset(f.Buf.Bytes())
	head, err := jpeg.DecodeConfig(&s.jpeg)
	if err != nil {
		return Luma{}, err
	}
	if head.Width*head.Height > maxPixels {
		return Luma{}, fmt.Errorf("a JPEG of %dx%d", head.Width, head.Height)
	}
	s.jpeg.Reset(f.Buf.Bytes())
	img, err := jpeg.Decode(&s.jpeg)
	if err != nil {
		return Luma{}, err
	}
	switch p := img.(type) {
	case *image.YCbCr:
		return Luma{Pixels: p.Y, Width: p.Rect.Dx(), Height: p.Rect.Dy(), Stride: p.YStride, Step: 1}, nil
	case *image.Gray:
		return Luma{Pixels: p.Pix, Width: p.Rect.Dx(), Height: p.Rect.Dy(), Stride: p.Stride, Step: 1}, nil
	}
	return Luma{}, fmt.Errorf("a JPEG of %T", img)
}
