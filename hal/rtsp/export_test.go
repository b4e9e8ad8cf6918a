package rtsp

import (
	"fmt"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/sdpunmarshaler"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// Desk is a source without a network: packets are put in by hand.
type Desk struct {
	S     *Source
	Arena *pool.Arena
}

// NewDesk makes the tracks that a description names.
func NewDesk(sdp string) (*Desk, error) {
	parsed, err := sdpunmarshaler.Unmarshal([]byte(sdp))
	if err != nil {
		return nil, err
	}
	var desc description.Session
	if err := desc.Unmarshal2(parsed); err != nil {
		return nil, err
	}
	opts := hal.Options{}.WithDefaults()
	s := &Source{clock: opts.Clock, log: opts.Log}
	found, left := offers(&desc, []byte(sdp))
	if len(found) == 0 {
		return nil, fmt.Errorf("nothing taken, left %v", left)
	}
	arena := opts.Arena()
	s.makeTracks(found, arena, arena)
	s.describeAll()
	return &Desk{S: s, Arena: arena}, nil
}

// Put takes one RTP packet that arrived at a time.
func (d *Desk) Put(track int, raw []byte, at time.Duration) {
	d.S.tracks[track].rtp(raw, int64(at)+1)
}

// Report takes a sender report.
func (d *Desk) Report(track int, ntp time.Duration, rtp uint32) {
	sec, frac := uint64(ntp/time.Second), uint64(ntp%time.Second)
	d.S.report(d.S.tracks[track], senderReport{ntp: sec<<32 | frac<<32/uint64(time.Second), rtp: rtp})
}

// Info sets what RTP-Info says.
func (d *Desk) Info(track int, ts uint32) { d.S.tracks[track].info = rtpInfo{known: true, ts: ts} }

// Take returns the frames so far.
func (d *Desk) Take() []hal.Frame {
	var out []hal.Frame
	for f, ok := d.S.pop(); ok; f, ok = d.S.pop() {
		out = append(out, f)
	}
	return out
}

// Next releases the next frame there is and says how long it was.
func (d *Desk) Next() (int, bool) {
	f, ok := d.S.pop()
	if !ok {
		return 0, false
	}
	defer f.Release()
	return f.Buf.Len(), true
}

// Close gives everything back.
func (d *Desk) Close() { d.S.giveBack() }

// Items takes a byte stream apart as it comes over TCP, in pieces of a size.
func Items(in []byte, piece int) (texts, frames [][]byte, err error) {
	return ItemsOf(in, piece, nil)
}

// ItemsOf is Items where only some channels exist.
func ItemsOf(in []byte, piece int, known func(byte) bool) (texts, frames [][]byte, err error) {
	b := block{known: known}
	for len(in) > 0 {
		n := copy(b.space(0), in[:min(piece, len(in))])
		in, b.w = in[n:], b.w+n
		for {
			kind, item, err := b.next()
			if err != nil {
				return texts, frames, err
			}
			if kind == itemNone {
				break
			}
			item = append([]byte(nil), item...)
			if kind == itemText {
				texts = append(texts, item)
			} else {
				frames = append(frames, item)
			}
		}
	}
	return texts, frames, nil
}

// RTCP parses a compound packet and returns its sender reports and BYEs.
func RTCP(b []byte) (reports, byes int, ok bool) {
	ok = parseRTCP(b, func(senderReport) { reports++ }, func() { byes++ })
	return reports, byes, ok
}

// Reorder returns decoding times of presentation times, all in milliseconds.
func Reorder(depth int, known bool, pts []int) []int {
	r := reorder{}
	r.set(depth, known)
	var out []int
	for _, p := range pts {
		out = append(out, int(r.next(time.Duration(p)*time.Millisecond, 40*time.Millisecond)/time.Millisecond))
	}
	return out
}

// UntilRead is how long a read that nobody waits for is put off.
var UntilRead = untilRead

// Aged makes all that came so far come so much earlier: the program stood still since.
func (s *Source) Aged(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	marks := []*int64{&s.opened, &s.first, &s.last}
	if f, ok := s.feed.(*tcpFeed); ok {
		marks = append(marks, &f.readAt, &f.seen)
	}
	for _, at := range marks {
		if *at != 0 {
			*at -= int64(by)
		}
	}
}

// ReadLate reads the socket when the deadline has passed, and says how much came.
func (s *Source) ReadLate() (int, error) {
	f, ok := s.feed.(*tcpFeed)
	if !ok {
		return 0, errClosed
	}
	if err := f.link.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return 0, err
	}
	n, err := f.read()
	f.in.w += n
	return n, err
}

// TakeTurns has a source read as if many were watched, as soon as it is urgent and its rate is known.
func (s *Source) TakeTurns() {
	if f, ok := s.feed.(*tcpFeed); ok {
		f.crowd = &coalescer{many: 1, every: together.every, early: together.early, looks: together.looks, clock: s.clock}
	}
}

// TookTurn says whether the last read was one.
func (s *Source) TookTurn() bool {
	f, ok := s.feed.(*tcpFeed)
	return ok && f.coalesced
}

// Watched is how many sources count as watched beside this one.
func (s *Source) Watched() int {
	f, ok := s.feed.(*tcpFeed)
	if !ok {
		return 0
	}
	return int(f.crowd.watched.Load())
}
