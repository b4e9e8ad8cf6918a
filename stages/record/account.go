package record

import (
	"slices"
	"time"

	"github.com/millrace-video/millrace/pipeline"
)

// instant places a monotonic time on the wall.
func (r *Recorder) instant(mono int64) Instant {
	return Instant{Wall: r.clock.Wall(mono).UnixNano(), Mono: mono, Anchor: r.clock.Anchor().Number}
}

func (r *Recorder) enter(e Entry) {
	if r.cfg.Catalog != nil && !r.whole {
		e.Channel = r.channel
		r.cfg.Catalog.Enter(e)
	}
}

// enterSegment enters a copy of what the segment is now.
func (r *Recorder) enterSegment(kind Kind) {
	s := r.seg.info
	r.enter(Entry{Kind: kind, Segment: &s})
}

// closed takes a file that is closed into the account.
func (r *Recorder) closed(s *segment, why string) {
	s.info.EndedBy = why
	r.until, r.untilDTS, r.untilRun, r.last = s.info.End(), s.last, r.run, s.info.Number
	r.newRun = false
	r.count(func(c *Stats) { c.Writing = false })
	if s.info.Number == 0 {
		return
	}
	info := s.info
	r.enter(Entry{Kind: Closed, Segment: &info})
	r.parts = append(r.parts, info)
}

// disown takes what is left of a file that failed into the account, and remembers why.
func (r *Recorder) disown(s *segment, cause error) {
	r.blame(Disk, cause.Error())
	if s.info.Bytes > 0 {
		r.closed(s, cause.Error())
	}
	if r.until != (Instant{}) {
		r.blamed[len(r.blamed)-1].from = r.until.Mono
	}
}

// blame says that from now on it is the recorder that records nothing.
func (r *Recorder) blame(cause Cause, detail string) {
	if len(r.blamed) >= maxBlamed {
		r.blamed = slices.Delete(r.blamed, 1, 2) // the first says how it began
	}
	since := r.clock.Mono()
	if (cause == Idle || cause == RingFull) && r.until != (Instant{}) {
		since = r.until.Mono
	}
	r.blamed = append(r.blamed, blame{since, cause, detail})
}

// maxBlamed bounds what is remembered of one gap.
const maxBlamed = 16

// blame is why nothing was recorded from an instant on.
type blame struct {
	from   int64
	cause  Cause
	detail string
}

// continues moves the beginning of a segment to the end of the one before, where they meet. What
// comes from another run may meet it, and still does not follow from it.
func (r *Recorder) continues(s *segment) {
	apart := time.Duration(s.info.Start.Mono - r.until.Mono)
	near := r.step / 2
	if r.newRun {
		near = 0
	}
	if r.until == (Instant{}) || apart > near || apart < -longestHole || s.info.Start.Anchor != r.until.Anchor {
		return
	}
	s.info.Start = r.until
}

// missing returns the gaps from the end of what was recorded up to to, with their causes, and
// forgets who was blamed.
func (r *Recorder) missing(to Instant) []Gap {
	defer func() { r.blamed = r.blamed[:0] }()
	from := r.until
	if from != (Instant{}) && to.Mono <= from.Mono && !r.newRun {
		return nil
	}
	causes := r.causes(from.Mono, to.Mono)
	if from == (Instant{}) { // what was before this recorder the catalog knows
		g := Gap{To: to, Cause: Starting}
		if len(causes) > 0 && causes[0].cause == NotRunning { // until its Init, a moment ago
			causes = causes[1:]
		}
		if len(causes) > 0 && causes[0].cause != Dropped {
			g.Cause, g.Detail = causes[0].cause, causes[0].detail
		}
		return []Gap{g}
	}
	if len(causes) == 0 {
		causes = []blame{{from.Mono, r.presumed(), ""}}
	}
	gaps := make([]Gap, 0, len(causes))
	at := from
	for i, c := range causes {
		end := to
		if i+1 < len(causes) {
			end = from.Add(time.Duration(max(causes[i+1].from-from.Mono, 0)))
		}
		if end.Mono > at.Mono || i == 0 && r.newRun { // one source took over from another, at once
			gaps = append(gaps, Gap{After: r.last, From: at, To: end, Cause: c.cause, Detail: c.detail})
			at = end
		}
	}
	return gaps
}

// presumed is the cause of a gap of which nobody knows anything.
func (r *Recorder) presumed() Cause {
	if r.cfg.Between != "" {
		return r.cfg.Between
	}
	if r.newRun {
		return SourceLost
	}
	return Dropped
}

// causes returns what the recorder and the engine know of the time between two instants, the
// oldest first, equal neighbours as one. What follows from a cause is none of its own: a queue
// that overflows behind a recorder that failed, the silence after a source that was lost.
func (r *Recorder) causes(from, to int64) []blame {
	all := slices.Clone(r.blamed)
	for _, l := range r.lost(from) {
		all = append(all, blame{l.Mono, causeOf(l.Why), l.Detail})
	}
	slices.SortStableFunc(all, func(a, b blame) int { return int(max(-1, min(1, a.from-b.from))) })
	own := slices.IndexFunc(all, func(b blame) bool { return b.cause.owned() })
	known := slices.ContainsFunc(all, func(b blame) bool { return b.cause != Idle && b.from < to })
	kept := all[:0]
	for i, b := range all {
		n := len(kept)
		switch {
		case b.from >= to && (n > 0 || !r.newRun),
			b.cause == Idle && known,
			own >= 0 && b.cause.follows() && (i > own || all[own].from-b.from < int64(2*time.Second)),
			n > 0 && kept[n-1].cause == Stopped,
			n > 0 && kept[n-1].cause == b.cause:
			continue
		}
		kept = append(kept, b)
	}
	return kept
}

// lost asks the engine why nothing came since an instant, the end of the last frame: a loss may
// have begun right behind its beginning, and be over before its end where another source stood by.
func (r *Recorder) lost(from int64) []pipeline.Loss {
	if r.losses == nil {
		return nil
	}
	all := r.losses(from - int64(r.step))
	if !r.newRun || slices.ContainsFunc(all, fromSource) {
		return all
	}
	for _, l := range slices.Backward(r.losses(from - int64(time.Second))) {
		if fromSource(l) {
			return append([]pipeline.Loss{l}, all...)
		}
	}
	return all
}

func fromSource(l pipeline.Loss) bool { return l.Why == pipeline.LostSource }

// owned says that the recorder itself is the cause.
func (c Cause) owned() bool { return c == Disk || c == RingFull || c == Stopped }

// follows says that the cause is often a mere consequence of one of the recorder's own.
func (c Cause) follows() bool { return c == Dropped || c == Failed }

// causeOf is the engine's word in the account's.
func causeOf(k pipeline.LossKind) Cause {
	switch k {
	case pipeline.LostSource:
		return SourceLost
	case pipeline.LostPaused:
		return Paused
	case pipeline.LostDropped:
		return Dropped
	case pipeline.LostExit:
		return NotRunning
	case pipeline.LostFailed:
	}
	return Failed
}
