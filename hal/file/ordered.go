package file

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ordered brings a demuxer's samples into the order of their DTS where the file has them only
// about so: a transport stream packs sound ahead of its picture, which in real time would make
// the picture wait and then hurry.
type ordered struct {
	demuxer
	lender *lender
	queue  []sample // by DTS
	count  []int    // of each track in queue
	end    error
}

const (
	orderLen  = 128         // samples held back at most
	orderSpan = time.Second // and no longer than that
)

// errNoRoom says that the arena is full and somebody else should give first.
var errNoRoom = errors.New("no room for now")

func newOrdered(d demuxer, l *lender) *ordered {
	return &ordered{demuxer: d, lender: l, count: make([]int, len(d.stream().Tracks))}
}

func (o *ordered) next(ctx context.Context) (sample, error) {
	for o.end == nil && !o.settled() {
		o.lender.impatient = len(o.queue) > 0
		s, err := o.demuxer.next(ctx)
		o.lender.impatient = false
		switch {
		case errors.Is(err, errNoRoom):
			return o.take(), nil
		case err != nil && ctx.Err() != nil:
			return sample{}, err
		case err != nil:
			o.end = err
		default:
			o.add(s)
		}
	}
	if len(o.queue) == 0 {
		return sample{}, o.end
	}
	return o.take(), nil
}

// settled says whether the first sample in the queue is the next one.
func (o *ordered) settled() bool {
	if len(o.queue) == 0 {
		return false
	}
	if len(o.queue) >= orderLen || o.queue[len(o.queue)-1].dts-o.queue[0].dts > orderSpan {
		return true
	}
	return !slices.Contains(o.count, 0)
}

func (o *ordered) add(s sample) {
	o.queue = append(o.queue, s)
	o.count[s.track]++
	for i := len(o.queue) - 1; i > 0 && o.queue[i].dts < o.queue[i-1].dts; i-- {
		o.queue[i], o.queue[i-1] = o.queue[i-1], o.queue[i]
	}
}

func (o *ordered) take() sample {
	s := o.queue[0]
	o.queue = o.queue[:copy(o.queue, o.queue[1:])]
	o.count[s.track]--
	return s
}

func (o *ordered) rewind() {
	o.drop()
	o.demuxer.rewind()
}

func (o *ordered) close() {
	o.drop()
	o.demuxer.close()
}

func (o *ordered) drop() {
	for _, s := range o.queue {
		s.buf.Release()
	}
	o.queue, o.end = o.queue[:0], nil
	clear(o.count)
}
