package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// What is odd begins here.
const (
	rateOff   = 0.1  // of the announced rate
	slowFirst = 2000 // ms
	uneven    = 1.8  // p99 of the intervals to p50
	unevenBy  = 20   // ms
	oldAge    = 1000 // ms from stamp to arrival
	rareKeys  = 4500 // ms between key frames
	silence   = int64(2 * time.Second)
)

// judge says what is odd about a measurement.
func (t *tally) judge() {
	m := &t.m
	if t.stream != nil && t.stream.Video() < 0 {
		t.odd("it has no pictures")
	}
	if m.Pictures == 0 {
		return
	}
	t.judgePace()
	if m.Backwards > 0 {
		t.odd("%d time stamps do not rise", m.Backwards)
	}
	if m.Ahead > 0 {
		t.odd("%d time stamps lie in the future", m.Ahead)
	}
	if t.live && m.DelayP50 > oldAge {
		t.odd("pictures are %.1f s old when they come", m.DelayP50/1000)
	}
	t.judgeCoding()
	t.judgeFaults()
}

// judgeCoding says what is odd about how pictures lean on each other.
func (t *tally) judgeCoding() {
	m := &t.m
	if t.codec.IsInter() && t.last.DTS-t.first.DTS > rareKeys*time.Millisecond && (m.KeyInterval == 0 || m.KeyInterval > rareKeys) {
		every := "one only"
		if m.KeyInterval > 0 {
			every = fmt.Sprintf("one each %.1f s", m.KeyInterval/1000)
		}
		t.odd("key frames are rare (%s): viewers and fail-over wait for them; set 1 to 2 s in the camera", every)
	}
	if t.reordered {
		t.odd("it has B-frames, which cost delay: turn them off in the camera")
	}
}

// judgeFaults says what was missing or made no sense.
func (t *tally) judgeFaults() {
	m := &t.m
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{m.Lost, "lost"},
		{m.Malformed, "malformed"},
		{m.Dropped, "dropped for want of a free buffer"},
		{m.Recovered, "faults that it got over"},
		{uint64(m.Gaps), "gaps"},
		{uint64(m.Changes), "changes of the format"},
	} {
		if c.n > 0 {
			t.odd("%d %s", c.n, c.what)
		}
	}
	if m.Fault != "" {
		t.odd("the last fault: %s", m.Fault)
	}
}

// judgePace says what is odd about when pictures came.
func (t *tally) judgePace() {
	m := &t.m
	if m.Announced > 0 && m.Rate > 0 && (m.Rate < m.Announced*(1-rateOff) || m.Rate > m.Announced*(1+rateOff)) {
		t.odd("announced %.4g a second, delivers %.4g", m.Announced, m.Rate)
	}
	if m.FirstMS > slowFirst {
		t.odd("first picture after %.1f s", m.FirstMS/1000)
	}
	if m.IntervalP99 > m.IntervalP50*uneven && m.IntervalP99 > m.IntervalP50+unevenBy {
		t.odd("uneven: pictures come each %.0f ms, but one in a hundred after %.0f ms or more", m.IntervalP50, m.IntervalP99)
	}
	if quiet := t.endAt - t.lastAt; !m.Ended && quiet > max(silence, 10*int64(m.IntervalP50*float64(time.Millisecond))) {
		t.odd("nothing came in the last %.1f s", float64(quiet)/float64(time.Second))
	}
}

// delivers says whether a format gave a stream of pictures.
func (m *Measurement) delivers() bool { return m.Pictures > 0 && m.Error == "" }

// cost ranks what recording a format costs: as it comes and small, to be encoded, as it comes
// and large, not possible.
func (m *Measurement) cost(encoder bool) int {
	codec, err := hal.ParseCodec(m.Format)
	switch {
	case err == nil && codec.IsInter():
		return 0
	case err == nil && codec == hal.MJPEG && !encoder:
		return 1
	case err == nil && codec == hal.MJPEG:
		return 2
	case encoder:
		return 1
	}
	return 3
}

// advise chooses a format and says why.
func (d Doctor) advise(ctx context.Context, r *Report) {
	if len(r.Formats) == 0 {
		r.Advice = "choose nothing: it was not measured"
		return
	}
	// A driver that cannot say what encoders it has is left out here; devices tells.
	encoders, _ := d.Registry.Encoders(ctx, hal.H264) //nolint:errcheck // as above
	chosen := slices.MaxFunc(r.Formats, func(a, b Measurement) int {
		return cmp.Or(
			compareBool(a.delivers(), b.delivers()),
			compareBool(len(a.Odd) == 0, len(b.Odd) == 0),
			compareBool(a.Rate >= fluid*(1-rateOff), b.Rate >= fluid*(1-rateOff)),
			cmp.Compare(a.Width*a.Height, b.Width*b.Height),
			cmp.Compare(b.cost(len(encoders) > 0), a.cost(len(encoders) > 0)),
			cmp.Compare(a.Rate, b.Rate),
		)
	})
	if !chosen.delivers() {
		r.Advice = "choose nothing: " + chosen.why()
		return
	}
	r.Choice, r.Odd = chosen.URL, chosen.Odd
	r.Advice = fmt.Sprintf("choose %s: %s %dx%d, %.1f a second, %s", chosen.URL, chosen.Format, chosen.Width, chosen.Height, chosen.Rate,
		handling(chosen.Format, len(encoders) > 0))
	if len(r.Odd) > 0 {
		r.Advice += "; odd: " + strings.Join(r.Odd, "; ")
	}
}

func (m *Measurement) why() string {
	switch {
	case m.Error != "" && m.Pictures > 0:
		return fmt.Sprintf("it fails after %.1f s: %s", m.Seconds, m.Error)
	case m.Error != "":
		return m.Error
	}
	return "it ended without a picture"
}

// handling says what becomes of a format when it is recorded.
func handling(format string, encoder bool) string {
	if _, err := hal.ParseCodec(format); err == nil {
		return "recorded as it comes"
	}
	if !encoder {
		return "recorded as JPEG: there is no encoder for H.264"
	}
	return "encoded before it is recorded"
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
