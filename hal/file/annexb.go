package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// annex reads a bare H.264 or H.265 byte stream (annex B of either). It has no time stamps:
// frames come at a constant rate, and their order of showing is told from the picture order
// counts. What has none that can be told so cheaply (interlaced, pic_order_cnt_type 1) is
// stamped in decoding order, PTS equal to DTS.
type annex struct {
	in   *input
	win  *window
	pos  int64
	join *joiner

	initial, track hal.Track
	first, cur     *hal.Stream
	rate           float64
	order          order
	n              int64 // pictures so far
	slice          bool  // the unit under way has one
	head           []byte
	gap            bool
	ended          bool
}

const (
	annexWindow = 64 << 10
	annexPiece  = 8 << 10
	sliceHead   = 72  // bytes of a slice that are looked at
	probeUnits  = 128 // pictures looked at to know how far they are reordered
	defaultRate = 25
)

func openAnnexB(ctx context.Context, in *input, codec hal.Codec) (*annex, error) {
	a := &annex{in: in, win: newWindow(in.r, in.size, annexWindow), join: newJoiner(&in.lender)}
	a.track = hal.Track{Codec: codec, TimeScale: tsScale}
	a.join.track = &a.track
	a.cur = &hal.Stream{Tracks: []hal.Track{a.track}}
	a.order.probing = true
	a.reset()
	for a.n < probeUnits && a.pos < probeSize {
		s, err := a.next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		s.buf.Release()
		if a.initial.Codec == hal.CodecUnknown && nal.Complete(&a.track) {
			a.initial = a.track
		}
	}
	if a.initial.Codec == hal.CodecUnknown {
		a.join.build.Close()
		return nil, damaged(0, codec.String()+" byte stream", adviceConvert,
			"the first %d bytes hold no key frame with its parameter sets", min(probeSize, in.size))
	}
	switch {
	case in.rate != 0:
		a.rate = in.rate
	case a.initial.FrameRate != 0:
		a.rate = a.initial.FrameRate
	default:
		a.rate = defaultRate
	}
	a.initial.FrameRate = a.rate
	a.first = &hal.Stream{Tracks: []hal.Track{a.initial}}
	a.cur = a.first
	a.order.learnt()
	a.rewind()
	return a, nil
}

func (a *annex) stream() *hal.Stream { return a.first }

func (a *annex) rewind() {
	a.reset()
	a.track = a.initial
	if !a.cur.Equal(a.first) {
		a.cur = a.first
	}
}

func (a *annex) reset() {
	a.pos, a.n, a.slice, a.gap, a.ended = 0, 0, false, false, false
	a.order.restart()
	a.join.discard()
}

func (a *annex) close() {
	a.join.discard()
	a.join.build.Close()
}

// next returns the next picture.
func (a *annex) next(ctx context.Context) (sample, error) {
	for {
		if err := ctx.Err(); err != nil {
			return sample{}, err
		}
		if a.ended {
			return sample{}, io.EOF
		}
		done, err := a.step(ctx)
		if err != nil {
			return sample{}, err
		}
		if !done {
			continue
		}
		if s, ok := a.finish(); ok {
			return s, nil
		}
	}
}

// step takes some bytes. True where they complete a picture.
func (a *annex) step(ctx context.Context) (bool, error) {
	p, err := a.win.bytes(a.pos, annexPiece)
	last := errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !last {
		return false, err
	}
	if err := a.join.room(ctx, len(p)); err != nil {
		return false, err
	}
	i := bytes.Index(p, []byte{0, 0, 1})
	switch {
	case i < 0 && last:
		a.join.write(p)
		a.pos, a.ended = a.pos+int64(len(p)), true
		return true, nil
	case i < 0:
		n := len(p) - 2 // a start code may begin there
		a.join.write(p[:n])
		a.pos += int64(n)
		return false, nil
	case i > 0 && i+3+sliceHead > len(p) && !last:
		a.join.write(p[:i])
		a.pos += int64(i)
		return false, nil
	}
	a.join.write(p[:i])
	a.pos += int64(i)
	head := p[i+3 : min(len(p), i+3+sliceHead)]
	if a.slice && nal.Opens(a.track.Codec, head) {
		return true, nil
	}
	a.pos += 3
	a.join.zeros = 0
	a.join.begin()
	if len(head) > 0 && !a.slice && nal.KindOf(a.track.Codec, head[0]).IsSlice() {
		a.slice = true
		a.head = append(a.head[:0], head...)
	}
	return false, nil
}

// finish hands out the picture under way.
func (a *annex) finish() (sample, bool) {
	huge := a.join.huge
	buf, key, changed := a.join.finish()
	a.slice = false
	if changed != nil {
		a.track = *changed
		if a.first != nil {
			changed.FrameRate = a.rate
			a.track.FrameRate = a.rate
			a.cur = with(a.cur, 0, a.track)
		}
	}
	if huge && !a.order.probing {
		a.in.counts.malformed.Add(1)
	}
	if buf.IsZero() {
		a.gap = a.gap || huge
		return sample{}, false
	}
	show := a.order.show(&a.track, a.head, a.n)
	s := sample{buf: buf, stream: a.cur, key: key, gap: a.gap, dts: a.at(a.n), pts: a.at(show), dur: a.at(1)}
	a.gap = false
	a.n++
	return s, true
}

func (a *annex) at(n int64) time.Duration {
	if a.rate == 0 {
		return 0
	}
	return time.Duration(math.Round(float64(n) * float64(time.Second) / a.rate))
}
