package clip

import (
	"errors"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// Ring keeps the last seconds of a channel's encoded frames, from a key frame on, in an arena of
// its own: a frame is copied once, and in the steady state nothing is allocated. Frames are
// numbered as they come; what is too old or too much goes a whole group of pictures at a time.
// One goroutine uses it.
type Ring struct {
	keep  time.Duration
	limit int // bytes
	arena *pool.Arena

	frames []hal.Frame // a circle
	head   int         // the oldest
	held   int
	first  uint64 // the number of the oldest; the first frame ever is 0
	bytes  int
	blind  bool // until a key frame: what came before it is not there
	pinned bool // nothing goes because of its age

	// Short counts how often the limit cost a group that was not too old yet.
	Short uint64
}

// RingConfig says how much a ring keeps.
type RingConfig struct {
	Keep  time.Duration // at least that much, where a key frame was that long ago; 0: the group under way
	Bytes int           // at most; default 16 MiB
}

const (
	defaultBytes = 16 << 20
	chunk        = 128 << 10
	firstFrames  = 256
)

// NewRing returns an empty ring. Memory comes as it is needed, up to the limit and a little more.
func NewRing(cfg RingConfig) *Ring {
	if cfg.Bytes <= 0 {
		cfg.Bytes = defaultBytes
	}
	return &Ring{
		keep: cfg.Keep, limit: cfg.Bytes, blind: true, frames: make([]hal.Frame, firstFrames),
		// A chunk at either end is used in part; one that is doubled for a large frame wastes up to a half.
		arena: pool.NewArena(pool.ArenaConfig{Chunk: chunk, Max: 2*cfg.Bytes + 4*chunk}),
	}
}

// Put copies a frame into the ring; its reference stays the caller's. It returns false where the
// frame is not kept: there is no key frame before it, or no room.
func (r *Ring) Put(f hal.Frame) bool {
	begins := starts(&f)
	if begins {
		r.blind = false
		r.expire(f.Stamp.Mono)
	}
	if r.blind {
		return false
	}
	n := f.Buf.Len()
	for r.bytes+n > r.limit && r.dropGroup() {
		r.Short++
	}
	if r.bytes+n > r.limit || r.held == 0 && !begins {
		r.blind = true
		return false
	}
	buf, err := r.room(n)
	if err != nil {
		r.blind = true
		return false
	}
	copy(buf.Bytes(), f.Buf.Bytes())
	f.Buf = buf
	r.push(f)
	return true
}

// room returns memory, for which groups go where there is none.
func (r *Ring) room(n int) (pool.Buffer, error) {
	for {
		buf, err := r.arena.Get(n)
		if err == nil || !errors.Is(err, pool.ErrArenaFull) || !r.dropGroup() {
			return buf, err
		}
		r.Short++
	}
}

func (r *Ring) push(f hal.Frame) {
	if r.held == len(r.frames) {
		more := make([]hal.Frame, 2*len(r.frames))
		n := copy(more, r.frames[r.head:])
		copy(more[n:], r.frames[:r.head])
		r.frames, r.head = more, 0
	}
	r.frames[(r.head+r.held)%len(r.frames)] = f
	r.held++
	r.bytes += f.Buf.Len()
}

func (r *Ring) at(i int) *hal.Frame { return &r.frames[(r.head+i)%len(r.frames)] }

// starts says whether a decoder can begin with the frame, its sound following.
func starts(f *hal.Frame) bool {
	return f.Key && leads(f)
}

// leads says whether the frame is of the track that says where a video begins and ends: the
// pictures, or the sound where there are none.
func leads(f *hal.Frame) bool {
	video := f.Stream.Video()
	return f.Track == video || video < 0
}

// group returns how many frames the oldest group has; all of them where no other follows.
func (r *Ring) group() int {
	for i := 1; i < r.held; i++ {
		if starts(r.at(i)) {
			return i
		}
	}
	return r.held
}

// expire lets groups go while the one behind them is old enough.
func (r *Ring) expire(now int64) {
	for !r.pinned && r.held > 0 {
		n := r.group()
		next := now // of the group that begins now
		if n < r.held {
			next = r.at(n).Stamp.Mono
		}
		if next > now-int64(r.keep) {
			return
		}
		r.drop(n)
	}
}

// dropGroup lets the oldest group go. It says whether there was one.
func (r *Ring) dropGroup() bool {
	if r.held == 0 {
		return false
	}
	r.drop(r.group())
	return true
}

func (r *Ring) drop(n int) {
	for range n {
		f := r.at(0)
		r.bytes -= f.Buf.Len()
		f.Release()
		*f = hal.Frame{}
		r.head = (r.head + 1) % len(r.frames)
		r.held--
		r.first++
	}
}

// Clear forgets everything.
func (r *Ring) Clear() {
	r.drop(r.held)
	r.blind = true
}

// Next returns the number that the next frame gets.
func (r *Ring) Next() uint64 { return r.first + uint64(r.held) } //nolint:gosec // not negative

// Oldest returns the number of the oldest frame that is there.
func (r *Ring) Oldest() uint64 { return r.first }

// Frame returns the frame of a number, which stays the ring's: who keeps it retains it.
func (r *Ring) Frame(number uint64) (hal.Frame, bool) {
	if number < r.first || number >= r.Next() {
		return hal.Frame{}, false
	}
	return *r.at(int(number - r.first)), true //nolint:gosec // less than held
}

// Start returns the number of the frame that a video from that instant on begins with: the last
// key frame not after it, or the oldest there is.
func (r *Ring) Start(mono int64) uint64 {
	start := r.first
	for i := range r.held {
		if f := r.at(i); starts(f) {
			if f.Stamp.Mono > mono {
				break
			}
			start = r.first + uint64(i) //nolint:gosec // not negative
		}
	}
	return start
}

// RingStats is what a ring holds.
type RingStats struct {
	Frames int           `json:"frames"`
	Bytes  int           `json:"bytes"`
	Span   time.Duration `json:"span_ns"` // from the oldest frame to the newest
	Short  uint64        `json:"short"`   // groups that the limit cost before their time
}

// Stats returns what the ring holds.
func (r *Ring) Stats() RingStats {
	s := RingStats{Frames: r.held, Bytes: r.bytes, Short: r.Short}
	if r.held > 0 {
		s.Span = time.Duration(r.at(r.held-1).Stamp.Mono - r.at(0).Stamp.Mono)
	}
	return s
}
