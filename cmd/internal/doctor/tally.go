package doctor

import (
	"fmt"
	"slices"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// Measurement is what one format of a camera delivered. Times are in milliseconds.
type Measurement struct {
	URL    string `json:"url"`
	Format string `json:"format"`
	Width  int    `json:"width"`
	Height int    `json:"height"`

	Announced   float64 `json:"announced"`    // pictures a second as the camera says; 0 where it does not
	Rate        float64 `json:"rate"`         // as it delivers
	IntervalP50 float64 `json:"interval_p50"` // between the stamps of two pictures
	IntervalP99 float64 `json:"interval_p99"`
	DelayP50    float64 `json:"delay_p50"` // from a picture's stamp until it is here
	DelayP99    float64 `json:"delay_p99"`
	OpenMS      float64 `json:"open"`
	FirstMS     float64 `json:"first"`   // from the beginning of the opening to the first picture
	Seconds     float64 `json:"seconds"` // from the first picture to the last
	Pictures    int     `json:"pictures"`
	Bitrate     float64 `json:"bitrate"`      // bits a second of the pictures
	KeyInterval float64 `json:"key_interval"` // 0 where there were no two key frames, or all are
	Sound       string  `json:"sound,omitempty"`
	CPU         float64 `json:"cpu"` // of one core, in per cent, of this program

	Lost      uint64 `json:"lost"`
	Malformed uint64 `json:"malformed"`
	Dropped   uint64 `json:"dropped"`
	Recovered uint64 `json:"recovered"`
	Gaps      int    `json:"gaps"`      // marks that something is missing
	Backwards int    `json:"backwards"` // stamps that do not rise
	Ahead     int    `json:"ahead"`     // stamps of the future
	Changes   int    `json:"changes"`   // of the format while it ran
	Fault     string `json:"fault,omitempty"`

	Ended bool     `json:"ended"`           // by itself, cleanly
	Error string   `json:"error,omitempty"` // why it could not be measured, or not to the end
	Odd   []string `json:"odd"`
}

// tally adds a camera's frames up.
type tally struct {
	m     Measurement
	clock *hal.Clock
	began int64 // on the clock of Stamp.Mono, as all that follow

	live     bool
	stream   *hal.Stream
	codec    hal.Codec
	pictures int
	bytes    int64

	firstAt, lastAt int64 // arrival of pictures
	endAt           int64 // of the measurement
	first, last     hal.Stamp
	keys            int
	firstKey        time.Duration
	lastKey         time.Duration
	reordered       bool

	intervals, delays []int64 // ns
}

const (
	maxIntervals = 1 << 20 // more are not kept: five hours at 60 a second
	aheadLimit   = int64(50 * time.Millisecond)
)

// take looks at one frame.
func (t *tally) take(f *hal.Frame) {
	now := t.clock.Mono()
	if f.Stream != t.stream {
		t.stream = f.Stream
		t.m.Changes++
	}
	if f.Track != t.stream.Video() {
		return
	}
	if f.Gap && t.pictures > 0 {
		t.m.Gaps++
	}
	s := f.Stamp
	if t.pictures == 0 {
		t.first, t.firstAt, t.m.FirstMS = s, now, t.since(now)
	} else {
		t.follow(s)
	}
	if s.Mono > now+aheadLimit {
		t.m.Ahead++
	}
	if len(t.delays) < maxIntervals {
		t.delays = append(t.delays, now-s.Mono)
	}
	if s.PTS != s.DTS {
		t.reordered = true
	}
	if f.Key {
		if t.keys == 0 {
			t.firstKey = s.DTS
		}
		t.keys++
		t.lastKey = s.DTS
	}
	t.pictures++
	t.bytes += size(f)
	t.last, t.lastAt = s, now
}

// size is the bytes of a picture, in all its planes.
func size(f *hal.Frame) (n int64) {
	if f.Buf.IsZero() {
		return 0
	}
	for i := range f.Buf.Planes() {
		n += int64(len(f.Buf.Plane(i)))
	}
	return n
}

// follow compares a picture's stamp with that of the one before it.
func (t *tally) follow(s hal.Stamp) {
	between := s.Mono - t.last.Mono
	if !t.live {
		between = int64(s.DTS - t.last.DTS)
	}
	if between <= 0 || s.DTS < t.last.DTS {
		t.m.Backwards++
	}
	if len(t.intervals) < maxIntervals {
		t.intervals = append(t.intervals, between)
	}
}

// result ends the measurement.
func (t *tally) result() Measurement {
	m := &t.m
	m.Pictures = t.pictures
	span := t.last.Mono - t.first.Mono
	if !t.live {
		span = int64(t.last.DTS - t.first.DTS)
	}
	m.Seconds = float64(span) / float64(time.Second)
	if t.pictures > 1 && span > 0 {
		m.Rate = float64(t.pictures-1) / m.Seconds
		m.Bitrate = 8 * float64(t.bytes) / float64(t.pictures) * m.Rate
	}
	slices.Sort(t.intervals)
	slices.Sort(t.delays)
	m.IntervalP50, m.IntervalP99 = ms(percentile(t.intervals, 50)), ms(percentile(t.intervals, 99))
	m.DelayP50, m.DelayP99 = ms(percentile(t.delays, 50)), ms(percentile(t.delays, 99))
	if t.codec.IsInter() && t.keys > 1 {
		m.KeyInterval = float64((t.lastKey-t.firstKey)/time.Millisecond) / float64(t.keys-1)
	}
	t.judge()
	return *m
}

// percentile of a sorted list, by the nearest rank.
func percentile(sorted []int64, p int) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*p+99)/100-1]
}

func (t *tally) odd(format string, args ...any) {
	t.m.Odd = append(t.m.Odd, fmt.Sprintf(format, args...))
}
