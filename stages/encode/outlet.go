package encode

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// maxHeld is how many pieces of sound wait for the picture before them: five seconds and more of
// every codec. Beyond it the oldest goes on, or is dropped where nobody could decode it yet.
const maxHeld = 256

// outlet is where pictures and sound meet again. Whoever calls env.Out does so through it, which
// makes it one at a time: that is what the mutex is for, and why it is held across the call.
type outlet struct {
	out func(hal.Frame) error

	mu      sync.Mutex
	source  *hal.Stream // what comes in; tracks other than the picture's are passed as they are
	track   int         // the picture's
	encoded *hal.Stream // the encoder's own, of which stream was made
	stream  *hal.Stream // what goes out; nil until the encoder's first frame
	last    *hal.Stream // the last that was there: an equal one keeps the pointer

	held            []sound
	passed, written time.Duration // DTS of the last picture that came out, that went in
	anyOut, anyIn   bool

	count *counters
}

// counters are the stage's figures, read from anywhere.
type counters struct {
	pictures, frames, bytes, lost, failures atomic.Uint64
}

// sound is a frame that waits until the picture written before it has come out.
type sound struct {
	hal.Frame
	behind bool // a picture was written before it
	after  time.Duration
}

// begin says what comes in from now on. Sound of another stream that still waits is dropped:
// there was never a picture to go with it.
func (o *outlet) begin(source *hal.Stream, track int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.held[:0]
	for _, s := range o.held {
		if !s.Stream.Equal(source) {
			o.drop(s)
			continue
		}
		s.behind = false
		kept = append(kept, s)
	}
	clear(o.held[len(kept):])
	o.held = kept
	o.source, o.track, o.encoded, o.stream = source, track, nil, nil
	o.anyIn, o.anyOut = false, false
}

// wrote notes that a picture goes into the encoder.
func (o *outlet) wrote(dts time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.written, o.anyIn = dts, true
}

// picture passes an encoded frame on, the sound before and behind it too.
func (o *outlet) picture(f hal.Frame) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stream == nil || f.Stream != o.encoded {
		o.learn(f.Stream)
	}
	dts := f.Stamp.DTS
	if err := o.let(func(s sound) bool { return !s.behind || s.after < dts }); err != nil {
		f.Release()
		return err
	}
	f.Stream, f.Track = o.stream, o.track
	o.passed, o.anyOut = dts, true
	o.count.frames.Add(1)
	o.count.bytes.Add(uint64(f.Buf.Len()))
	if err := o.out(f); err != nil {
		return err
	}
	return o.let(func(s sound) bool { return s.after <= dts })
}

// learn makes the stream that goes out: the tracks that come in, the raw one's place taken by
// the encoded one.
func (o *outlet) learn(encoded *hal.Stream) {
	s := &hal.Stream{Tracks: append([]hal.Track(nil), o.source.Tracks...)}
	s.Tracks[o.track] = encoded.Tracks[0]
	if o.last.Equal(s) {
		s = o.last
	}
	o.encoded, o.stream, o.last = encoded, s, s
}

// sound passes a frame of another track on: at once where the picture before it has come out,
// behind that picture otherwise.
func (o *outlet) sound(f hal.Frame) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := sound{Frame: f, behind: o.anyIn, after: o.written}
	if o.stream != nil && len(o.held) == 0 && (!s.behind || o.anyOut && s.after <= o.passed) {
		return o.send(s)
	}
	o.held = append(o.held, s)
	if len(o.held) <= maxHeld {
		return nil
	}
	oldest := o.held[0]
	o.forget(1)
	if o.stream == nil {
		o.drop(oldest)
		return nil
	}
	return o.send(oldest)
}

// pass passes a frame on as it is.
func (o *outlet) pass(f hal.Frame) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.out(f)
}

// let passes on the sound in front that may go.
func (o *outlet) let(may func(sound) bool) error {
	n := 0
	for n < len(o.held) && may(o.held[n]) {
		n++
	}
	var first error
	for _, s := range o.held[:n] {
		if first != nil {
			s.Release()
			continue
		}
		first = o.send(s)
	}
	o.forget(n)
	return first
}

func (o *outlet) send(s sound) error {
	f := s.Frame
	f.Stream = o.stream
	return o.out(f)
}

func (o *outlet) forget(n int) {
	left := copy(o.held, o.held[n:])
	clear(o.held[left:])
	o.held = o.held[:left]
}

func (o *outlet) drop(s sound) {
	s.Release()
	o.count.lost.Add(1)
}

// end passes on what sound is left; no picture comes any more. Where there never was one, the
// sound waits for the next encoder, or is dropped for good.
func (o *outlet) end(good bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stream != nil {
		return o.let(func(sound) bool { return true })
	}
	if good {
		for _, s := range o.held {
			o.drop(s)
		}
		o.forget(len(o.held))
	}
	return nil
}

// discard lets go what waits.
func (o *outlet) discard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.held {
		o.drop(s)
	}
	o.held = nil
}
