package rtsp

import (
	"context"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/millrace-video/millrace/hal"
)

const (
	// maxQueued bounds the packets that wait to be read: two seconds at 12 Mbit/s.
	maxQueued = 2048
	// wakeQueued is how many packets wake a reader for whom nobody waits; patience does else.
	wakeQueued = 256
)

// queueFeed holds the packets that gortsplib received and put in order: UDP, multicast, and
// SRTP, which gortsplib decrypts.
type queueFeed struct {
	source *Source
	clock  *hal.Clock
	wake   chan struct{} // holds one token
	timer  *time.Timer

	mu     sync.Mutex
	items  []queued
	urgent bool
	over   bool // the session ended

	taken []queued // what step took out, reused
	at    int
	began int64 // when the wait for it began
	seen  int64 // as step returns it
}

// queued is a packet or what an RTCP packet said.
type queued struct {
	track  *track
	rtp    *rtp.Packet
	report senderReport
	bye    bool
	mono   int64
}

func newQueueFeed(s *Source) *queueFeed {
	f := &queueFeed{source: s, clock: s.clock, wake: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	f.timer.Stop()
	return f
}

// put queues what gortsplib received. Where the queue is full the packet is let go: its number
// is missed later, and counted.
func (f *queueFeed) put(q queued) {
	q.mono = f.clock.Mono()
	f.mu.Lock()
	full := len(f.items) >= maxQueued
	if !full {
		f.items = append(f.items, q)
	}
	due := f.urgent || len(f.items) >= wakeQueued
	f.mu.Unlock()
	if due {
		f.interrupt()
	}
}

// end says that nothing follows.
func (f *queueFeed) end() {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	f.interrupt()
}

// onRTCP queues what matters of an RTCP packet.
func (f *queueFeed) onRTCP(t *track, p rtcp.Packet) {
	switch p := p.(type) {
	case *rtcp.SenderReport:
		f.put(queued{track: t, report: senderReport{ssrc: p.SSRC, ntp: p.NTPTime, rtp: p.RTPTime}})
	case *rtcp.Goodbye:
		f.put(queued{track: t, bye: true})
	}
}

// step implements feed.
func (f *queueFeed) step(ctx context.Context) (seen int64, err error) {
	if f.at == len(f.taken) {
		f.seen, f.began = f.began, f.clock.Mono()
		if err = f.refill(ctx); err != nil {
			return f.seen, err
		}
		if len(f.taken) == 0 {
			f.seen = f.began // gortsplib had the time since to put something in
		}
	}
	for f.at < len(f.taken) && f.source.head == len(f.source.ready) {
		q := f.taken[f.at]
		f.taken[f.at] = queued{}
		f.at++
		q.deliver()
	}
	return f.seen, nil
}

func (q *queued) deliver() {
	t := q.track
	switch {
	case q.rtp != nil:
		t.p = packet{
			seq: q.rtp.SequenceNumber, ts: q.rtp.Timestamp, ssrc: q.rtp.SSRC,
			pt: q.rtp.PayloadType, marker: q.rtp.Marker, payload: q.rtp.Payload,
		}
		t.take(q.mono)
	case q.bye:
		t.ended = true
	default:
		t.source.report(t, q.report)
	}
}

// refill waits for packets, with patience where nobody waits for them.
func (f *queueFeed) refill(ctx context.Context) error {
	f.mu.Lock()
	enough := len(f.items) >= wakeQueued || f.urgent && len(f.items) > 0
	urgent := f.urgent
	f.mu.Unlock()
	if !enough {
		wait := patience
		if urgent {
			wait = liveTick
		}
		f.timer.Reset(wait)
		select {
		case <-ctx.Done():
			f.timer.Stop()
			return context.Cause(ctx)
		case <-f.wake:
			f.timer.Stop()
		case <-f.timer.C:
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items, f.taken, f.at = f.taken[:0], f.items, 0
	if f.over && len(f.taken) == 0 {
		return errClosed
	}
	return nil
}

// interrupt implements feed.
func (f *queueFeed) interrupt() {
	select {
	case f.wake <- struct{}{}:
	default: // awake already
	}
}

// close implements feed.
func (f *queueFeed) close() {
	f.timer.Stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items, f.taken, f.at = nil, nil, 0
}

// setUrgent implements feed.
func (f *queueFeed) setUrgent(urgent bool) {
	f.mu.Lock()
	f.urgent = urgent
	f.mu.Unlock()
	if urgent {
		f.interrupt()
	}
}
