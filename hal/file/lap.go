package file

import "time"

// lap places the passes of a looped file one after the other on one time line. All tracks
// move by the same period, so that sound and picture never drift apart.
type lap struct {
	shift  time.Duration // of this pass
	tracks []span
}

// span is what a track took of a pass, in the file's own time.
type span struct {
	used               bool
	firstDTS, endDTS   time.Duration
	firstShow, endShow time.Duration // by PTS
}

// minPeriod is the shortest period, for a file whose frames take no time.
const minPeriod = 40 * time.Millisecond

// place moves a sample to its pass.
func (l *lap) place(m sample) sample {
	for len(l.tracks) <= m.track {
		l.tracks = append(l.tracks, span{})
	}
	t := &l.tracks[m.track]
	if !t.used {
		*t = span{used: true, firstDTS: m.dts, firstShow: m.pts}
	}
	t.endDTS = max(t.endDTS, m.dts+m.dur)
	t.endShow = max(t.endShow, m.pts+m.dur)
	t.firstShow = min(t.firstShow, m.pts)
	m.dts += l.shift
	m.pts += l.shift
	return m
}

// next begins another pass. False where the one before had no frame: nor will this one.
//
// The period is what the whole file takes to be shown, from the first picture or sound to the
// end of the last; but no shorter than any one track is, counted by DTS, lest it step back.
func (l *lap) next() bool {
	var period, from, to time.Duration
	some := false
	for i := range l.tracks {
		t := &l.tracks[i]
		if !t.used {
			continue
		}
		if !some {
			from, to, some = t.firstShow, t.endShow, true
		}
		from, to = min(from, t.firstShow), max(to, t.endShow)
		period = max(period, t.endDTS-t.firstDTS)
		t.used = false
	}
	if !some {
		return false
	}
	l.shift += max(period, to-from, minPeriod)
	return true
}
