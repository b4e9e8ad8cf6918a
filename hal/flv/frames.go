package flv

import (
	"fmt"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// soundAlone: pictures that do not begin hold the sound back no longer.
const soundAlone = 10 * time.Second

// whose returns the track that a tag belongs to.
func (s *Source) whose(t *tag) *track {
	if t.kind == tagVideo {
		return &s.pictures
	}
	return &s.sound
}

// begin implements taker.
func (s *Source) begin(t *tag, h *bodyHead) (where placement, before []byte) {
	tr := s.whose(t)
	switch {
	case h.use == useUnknown:
		s.unknown(tr, h.name)
		return nowhere, nil
	case h.use != useFrame:
		return nowhere, nil
	}
	if tr.use(h) {
		s.changed(tr)
	}
	tr.dts, tr.pts = tr.when(t.time, h.delay, s.in.at, s.beside(tr))
	switch {
	case t.kind == tagAudio && (!tr.complete() || !s.soundDue()):
		s.drop(tr)
		return nowhere, nil
	case tr.Codec != hal.H264 && tr.Codec != hal.H265:
		return inBuilder, nil
	case tr.config.LengthSize != nal.PrefixLen:
		return besideIt, nil
	}
	return inBuilder, s.extra(h)
}

// extra returns the parameter sets that go before a key frame, because no frame of the stream carries
// them.
func (s *Source) extra(h *bodyHead) []byte {
	if h.key {
		return s.pictures.config.Extra
	}
	return nil
}

// beside returns the other track.
func (s *Source) beside(t *track) *track {
	if t == &s.pictures {
		return &s.sound
	}
	return &s.pictures
}

// soundDue says whether sound is delivered: it does not begin before the pictures.
func (s *Source) soundDue() bool {
	pictures := s.pictures.index >= 0
	if s.stream == nil {
		pictures = s.pictures.Codec != hal.CodecUnknown || s.demux.flags&(flagPictures|flagSound) != flagSound
	}
	return s.zeroSet || !pictures || s.sound.clock.at > soundAlone
}

// unknown notes a codec that is not taken.
func (s *Source) unknown(tr *track, name string) {
	if name == "" {
		name = "a codec without a name"
	}
	if tr.unwanted == "" {
		tr.unwanted = fmt.Sprintf("%.40q", name)
		s.fault(tr.unwanted + " is not taken")
	}
}

// config implements taker.
func (s *Source) config(t *tag, h *bodyHead, record []byte) {
	tr := s.whose(t)
	was := tr.Codec
	renewed := tr.use(h)
	changed, err := tr.learn(record)
	if err != nil {
		s.broken(t, err.Error())
		if tr.Codec == hal.AAC && !tr.complete() {
			s.unknown(tr, "AAC of a kind that is not taken")
		}
		return
	}
	if changed || renewed && was != hal.CodecUnknown {
		s.changed(tr)
	}
}

// changed notes that a track is another one from its next frame on.
func (s *Source) changed(tr *track) {
	tr.dirty = true
	if s.stream != nil {
		return
	}
	kept := s.ready[:0]
	for _, f := range s.ready { // they belong to what the track was
		if s.of(f.Track) == tr {
			f.Release()
		} else {
			kept = append(kept, f)
		}
	}
	clear(s.ready[len(kept):])
	s.ready = kept
}

// frame implements taker.
func (s *Source) frame(t *tag, h *bodyHead, beside []byte) {
	tr, build := s.whose(t), s.demux.build
	var key bool
	var n int
	var why string
	switch tr.Codec { //nolint:exhaustive // those that FLV has
	case hal.H264, hal.H265:
		if beside != nil && !s.widen(t, h, beside) {
			return
		}
		n, key, why = s.units(tr)
	case hal.AV1:
		n, key, why = s.obus(tr, h.key)
	default:
		n, key, why = soundUnit(tr, build.Bytes()), true, ""
	}
	if why == "" && n == 0 {
		why = "it is empty"
	}
	if why != "" {
		build.Discard()
		if why != onlySets {
			s.broken(t, why)
		}
		return
	}
	build.Truncate(n)
	s.deliver(t, tr, key)
}

// widen writes a frame with lengths of another size into the builder.
func (s *Source) widen(t *tag, h *bodyHead, body []byte) bool {
	size, sets := s.pictures.config.LengthSize, s.extra(h)
	space, err := s.demux.build.Grow(len(sets) + nal.Widened(body, size))
	if err != nil {
		s.full(t)
		return false
	}
	nal.Widen(space[copy(space, sets):], body, size)
	return true
}

const onlySets = "only parameter sets"

// units brings an access unit of H.264 or H.265 into the form that frames have.
func (s *Source) units(tr *track) (n int, key bool, why string) {
	unit := s.demux.build.Bytes()
	there, key := nal.Picture(tr.Codec, unit)
	n, changed, bad := nal.Settle(&tr.Track, unit, key || !there)
	switch {
	case bad >= 0:
		return 0, false, fmt.Sprintf("a NAL unit passes the end at byte %d of %d", bad, len(unit))
	case !there && changed == nil && (n > 0 || len(unit) == 0):
		why = "it has no picture"
	case !there:
		why = onlySets
	}
	if changed != nil {
		tr.Track = *changed
		s.changed(tr)
	}
	return n, key, why
}

// obus does the same for a temporal unit of AV1.
func (s *Source) obus(tr *track, key bool) (n int, isKey bool, why string) {
	build := s.demux.build
	size := build.Len()
	if _, err := build.Grow(nal.OBURoom); err != nil {
		return 0, false, err.Error()
	}
	n, changed, bad := nal.SettleAV1(&tr.Track, build.Bytes(), size, key)
	if bad >= 0 {
		return 0, false, fmt.Sprintf("an OBU makes no sense at byte %d of %d", bad, size)
	}
	if changed != nil {
		tr.Track = *changed
		s.changed(tr)
	}
	return n, key, ""
}

// soundUnit returns how much of a piece of sound is one.
func soundUnit(tr *track, unit []byte) int {
	switch {
	case tr.Codec != hal.AAC:
		return len(unit) / tr.Channels * tr.Channels
	case len(unit) > 2 && unit[0] == 0xff && unit[1]&0xf6 == 0xf0: // ADTS, which FLV does not have
		return 0
	}
	return len(unit)
}

// deliver hands on the frame in the builder, where it is wanted.
func (s *Source) deliver(t *tag, tr *track, key bool) {
	if !s.wanted(tr, key) {
		s.demux.build.Discard()
		s.drop(tr)
		return
	}
	if !s.zeroSet {
		s.zero, s.zeroSet = tr.dts, true
	}
	dts, pts := tr.dts-s.zero, tr.pts-s.zero
	if dts < 0 && !tr.started { // from before the first picture
		s.demux.build.Discard()
		s.drop(tr)
		return
	}
	buf, err := s.demux.build.Finish()
	if err != nil {
		s.full(t)
		return
	}
	if !tr.started {
		tr.started, tr.leading, tr.floor, tr.gap = true, tr.Codec.IsInter(), tr.pts, false
	}
	tr.lastDTS = max(dts, tr.lastDTS)
	f := hal.Frame{
		Buf: buf, Track: 0, Key: key, Gap: tr.gap,
		Stamp: hal.Stamp{DTS: tr.lastDTS, PTS: max(pts, tr.lastDTS), Mono: s.in.at},
	}
	tr.gap, tr.awaits = false, false
	if s.stream != nil {
		if tr.dirty || tr.index < 0 {
			s.admit(tr)
		}
		f.Stream, f.Track = s.stream, tr.index
	} else if tr == &s.sound {
		f.Track = 1
	}
	tr.dirty = false
	s.stats.frames.Add(1)
	s.stats.bytes.Add(uint64(buf.Len()))
	s.push(f)
}

// wanted says whether a frame is delivered: a run, and what follows a change, begins with a key
// frame, and what an open GOP shows before its key frame cannot be decoded.
func (s *Source) wanted(tr *track, key bool) bool {
	switch {
	case !tr.complete():
		return false
	case !tr.Codec.IsVideo():
		return true
	case key:
		tr.leading = tr.leading && !tr.started
		return true
	}
	return !tr.awaits && (!tr.leading || tr.pts >= tr.floor)
}

// drop counts a frame that is not delivered.
func (s *Source) drop(tr *track) {
	s.stats.dropped.Add(1)
	tr.gap = tr.gap || tr.started
}

// full implements taker.
func (s *Source) full(t *tag) {
	s.demux.build.Discard()
	s.drop(s.whose(t))
	s.fault("no memory for a frame: whoever takes the frames is too slow")
}

// broken implements taker.
func (s *Source) broken(t *tag, why string) {
	if t == nil {
		s.stats.recovered.Add(1)
		s.pictures.gap, s.sound.gap = s.pictures.started, s.sound.started
		s.fault(fmt.Sprintf("before byte %d: %s", s.in.taken, why))
		return
	}
	s.stats.malformed.Add(1)
	tr := s.whose(t)
	tr.gap = tr.gap || tr.started
	what := "sound"
	if t.kind == tagVideo {
		what = "pictures"
	}
	s.fault(fmt.Sprintf("a tag of %s before byte %d: %s", what, s.in.taken, why))
}

func (s *Source) fault(what string) { s.stats.fault.Store(&what) }
