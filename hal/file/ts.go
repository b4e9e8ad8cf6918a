package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// ts reads the first program of an MPEG transport stream.
type ts struct {
	in     *input
	win    *window
	layout packets
	pos    int64

	pat, pmt section
	mapPID   uint16
	program  []listed
	es       []*elementary
	byPID    [1 << 13]int8 // index in es, +1

	first, cur *hal.Stream
	line       timeline
	probing    bool
	ready      []sample
	taken      int         // of ready
	drain      *elementary // whose sound is being handed out, frame by frame
	end        error       // what comes after the last sample; nil before the end
	said       bool        // lost sync was logged
}

const (
	tsWindow  = 188 * 348
	probeSize = 16 << 20 // bytes in which every track must have shown what it is
)

// openTS finds the tracks, and what a decoder must know of each, and goes back to the start.
func openTS(ctx context.Context, in *input, layout packets) (*ts, error) {
	d := &ts{in: in, layout: layout, win: newWindow(in.r, in.size, tsWindow)}
	d.restart()
	d.probing = true
	err := d.probe(ctx)
	d.probing = false
	if err != nil {
		return nil, err
	}
	if err := d.choose(); err != nil {
		return nil, err
	}
	d.cur = d.first
	d.rewind()
	return d, nil
}

// probe reads until every track is known, or far enough.
func (d *ts) probe(ctx context.Context) error {
	for d.pos-d.layout.start < probeSize && !d.settled() {
		s, err := d.next(ctx)
		if err != nil {
			var damage *DamagedError
			if errors.Is(err, io.EOF) || errors.As(err, &damage) {
				break
			}
			return err
		}
		s.buf.Release()
	}
	if d.program == nil {
		return damaged(d.layout.start, "MPEG-TS", adviceConvert, "the first %d bytes hold no program (PAT and PMT)",
			min(probeSize, d.in.size))
	}
	return nil
}

// settled says whether every stream that can be played is known.
func (d *ts) settled() bool {
	for _, e := range d.es {
		if !e.known() {
			return false
		}
	}
	return d.program != nil
}

// choose keeps the streams that are known and says once which are left out.
func (d *ts) choose() error {
	var out []string
	for _, l := range d.program {
		if l.codec == hal.CodecUnknown {
			out = append(out, fmt.Sprintf("PID %d (stream type %#02x)", l.pid, l.kind))
		}
	}
	d.es = slices.DeleteFunc(d.es, func(e *elementary) bool {
		if e.known() {
			return false
		}
		out = append(out, fmt.Sprintf("PID %d (%s without parameters)", e.pid, e.codec))
		return true
	})
	if len(out) > 0 {
		d.in.log.Warn("streams are left out: not supported", "streams", strings.Join(out, ", "))
	}
	if len(d.es) == 0 {
		return fmt.Errorf("%w: no stream can be played, only: %s; %s", hal.ErrUnsupported, strings.Join(out, ", "), adviceConvert)
	}
	d.first = &hal.Stream{}
	d.byPID = [1 << 13]int8{}
	for i, e := range d.es {
		e.index, e.initial = i, e.track
		d.first.Tracks = append(d.first.Tracks, e.track)
		d.byPID[e.pid] = int8(i + 1)
		if i == 0 || signed33(e.firstDTS-d.line.origin) < 0 {
			d.line.origin = e.firstDTS
		}
	}
	return nil
}

func (d *ts) stream() *hal.Stream { return d.first }

func (d *ts) rewind() {
	d.restart()
	if !d.cur.Equal(d.first) {
		d.cur = d.first
	}
	for _, e := range d.es {
		e.rewind()
		e.track = e.initial
	}
}

func (d *ts) restart() {
	d.pos, d.end, d.drain = d.layout.start, nil, nil
	d.pat.want, d.pmt.want = 0, 0
	d.line.restart()
	for _, s := range d.ready[d.taken:] {
		s.buf.Release()
	}
	d.ready, d.taken = d.ready[:0], 0
}

func (d *ts) close() {
	d.restart()
	for _, e := range d.es {
		if e.join != nil {
			e.join.build.Close()
		}
	}
}

// next returns the next sample, in the order of the file.
func (d *ts) next(ctx context.Context) (sample, error) {
	for {
		if d.taken < len(d.ready) {
			s := d.ready[d.taken]
			d.taken++
			return s, nil
		}
		d.ready, d.taken = d.ready[:0], 0
		if d.drain != nil {
			if err := d.sound(ctx, d.drain); err != nil {
				return sample{}, err
			}
			continue
		}
		if d.end != nil {
			if !d.flush() {
				return sample{}, d.end
			}
			continue
		}
		if err := d.step(ctx); err != nil {
			return sample{}, err
		}
		if d.probing && d.pos-d.layout.start >= probeSize {
			return sample{}, io.EOF
		}
	}
}

// step takes one packet.
func (d *ts) step(ctx context.Context) error {
	from := d.pos
	p, skipped, err := d.packet(ctx)
	if skipped > 0 {
		d.lostSync(from, skipped)
	}
	switch {
	case errors.Is(err, io.EOF):
		d.end = io.EOF
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		d.end = damaged(from, "MPEG-TS", adviceCut, "no whole packet follows, only %d bytes", d.in.size-from)
		return nil
	case err != nil:
		return err
	}
	consumed, err := d.consume(ctx, p)
	if consumed {
		d.pos += int64(d.layout.stride)
	}
	return err
}

func (d *ts) lostSync(at, n int64) {
	if !d.probing {
		d.in.counts.malformed.Add(1)
		if !d.said {
			d.in.log.Warn("lost sync in the transport stream", "byte", at, "skipped", n)
			d.said = true
		}
	}
	for _, e := range d.es {
		e.breaks()
	}
}

// consume works a packet off. False where the packet completed a unit first and is to be given
// again once that is handed out.
func (d *ts) consume(ctx context.Context, p []byte) (bool, error) {
	pid := be16(p[1:]) & 0x1fff
	starts := p[1]&0x40 != 0
	body := payload(p)
	switch {
	case pid == 0:
		d.associate(d.pat.feed(body, starts))
		return true, nil
	case pid == d.mapPID:
		if program, ok := programMap(d.pmt.feed(body, starts)); ok {
			d.remap(program)
		}
		return true, nil
	case d.byPID[pid] == 0 || len(body) == 0:
		return true, nil
	}
	e := d.es[d.byPID[pid]-1]
	if p[1]&0x80 != 0 || p[3]&0xc0 != 0 { // transport error, or scrambled
		if !d.probing {
			d.in.counts.malformed.Add(1)
		}
		e.breaks()
		return true, nil
	}
	return d.carry(ctx, e, p, body)
}

func (d *ts) associate(s []byte) {
	if m, ok := association(s); ok && d.program == nil {
		d.mapPID = m
	}
}

// carry takes a packet of an elementary stream.
func (d *ts) carry(ctx context.Context, e *elementary, p, body []byte) (bool, error) {
	starts := p[1]&0x40 != 0
	lost, again := e.continuity(p[3]&15, p)
	if again {
		return true, nil
	}
	if lost > 0 {
		e.breaks()
	}
	if e.join != nil {
		if err := e.join.room(ctx, packetLen); err != nil {
			return false, err
		}
	}
	if starts && e.active && e.closes(body) {
		d.complete(e)
		return false, nil
	}
	e.cc = int8(p[3] & 15)
	if !d.probing {
		d.in.counts.lost.Add(uint64(lost))
	}
	e.take(body, starts)
	if e.active && e.left == 0 && e.join == nil {
		d.complete(e)
	}
	return true, nil
}

// payload returns what a packet carries.
func payload(p []byte) []byte {
	if p[3]&0x10 == 0 {
		return nil
	}
	if p[3]&0x20 == 0 {
		return p[4:]
	}
	return p[min(len(p), 5+int(p[4])):]
}

// remap takes a program's map: the first one makes the streams, a later one may move them to
// other PIDs.
func (d *ts) remap(program []listed) {
	if sameProgram(program, d.program) {
		return
	}
	if d.program == nil {
		d.program = program
		for _, l := range program {
			if l.codec != hal.CodecUnknown && len(d.es) < maxTracks && d.byPID[l.pid] == 0 {
				d.es = append(d.es, newElementary(l, &d.in.lender))
				d.byPID[l.pid] = int8(len(d.es))
			}
		}
		return
	}
	if d.probing {
		return
	}
	d.program = program
	d.byPID = [1 << 13]int8{}
	used := make([]bool, len(program))
	for i, e := range d.es {
		for k, l := range program {
			if !used[k] && l.codec == e.codec {
				used[k] = true
				e.pid = l.pid
				d.byPID[l.pid] = int8(i + 1)
				break
			}
		}
	}
}

// flush completes what is left at the end of the file, one stream at a time.
func (d *ts) flush() bool {
	for _, e := range d.es {
		if e.active {
			if !errors.Is(d.end, io.EOF) || e.left > 0 {
				e.breaks() // the end of it is missing
			}
			d.complete(e)
			return true
		}
	}
	return false
}

// complete ends a stream's unit.
func (d *ts) complete(e *elementary) {
	e.active = false
	if e.broken {
		if !d.probing {
			d.in.counts.malformed.Add(1)
		}
		e.drop()
		return
	}
	if e.join == nil {
		d.drain = e
		return
	}
	buf, key, changed := e.join.finish()
	if changed != nil {
		e.track = *changed
		if !d.probing {
			d.cur = with(d.cur, e.index, e.track)
		}
	}
	if buf.IsZero() {
		return
	}
	d.emit(e, sample{buf: buf, key: key}, e.pts, e.dts)
}

// emit places a sample in time and hands it out.
func (d *ts) emit(e *elementary, s sample, pts, dts int64) {
	ticks, jumped := d.line.place(&e.place, dts)
	s.track, s.stream = e.index, d.cur
	s.gap = e.gap || jumped
	e.gap = false
	s.dts, _ = toTime(ticks, tsScale)
	shown, _ := toTime(ticks+max(0, signed33(pts-dts)), tsScale)
	s.pts = shown
	if s.dur == 0 {
		s.dur = e.length(s.dts)
	}
	e.lastDTS = s.dts
	d.line.end = max(d.line.end, ticks+int64(s.dur)*tsScale/int64(time.Second))
	d.ready = append(d.ready, s)
}
