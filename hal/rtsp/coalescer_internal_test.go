package rtsp

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
)

const lookEvery = 2 * time.Millisecond

func newCoalescer() *coalescer {
	return &coalescer{many: 3, every: lookEvery, early: 4, looks: 50, clock: hal.NewClock()}
}

// line is how many wait.
func (c *coalescer) line() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

// Issue, Build 3: a picture is found at the next look; before its time a camera is looked at less often, sound waits
// for its picture, and who sends nothing is read all the same.
func TestACameraIsReadAtTheLookThatFindsAPicture(t *testing.T) {
	const picture, sound, period, late = 5000, 300, 36 * time.Millisecond, 44 * time.Millisecond
	type lot struct {
		at    time.Duration
		bytes int
	}
	for name, tc := range map[string]struct {
		comes     []lot
		due       time.Duration // when a picture is expected
		from, to  time.Duration // when the camera is read
		soundless bool
	}{
		"at once":                          {[]lot{{0, picture}}, 0, lookEvery, lookEvery, false},
		"later":                            {[]lot{{7 * time.Millisecond, picture}}, 0, 8 * time.Millisecond, 8 * time.Millisecond, false},
		"as expected":                      {[]lot{{period, picture}}, period, period, period + lookEvery, false},
		"as expected, smaller than sound":  {[]lot{{period, 100}}, period, period, period + lookEvery, false},
		"the same, with sound":             {[]lot{{20 * time.Millisecond, sound}, {period, 100}}, period, period, period + lookEvery, false},
		"before its time":                  {[]lot{{7 * time.Millisecond, picture}}, period, 7 * time.Millisecond, 7*time.Millisecond + 4*lookEvery, false},
		"the same, small, a silent camera": {[]lot{{7 * time.Millisecond, 100}}, period, 7 * time.Millisecond, 7*time.Millisecond + 4*lookEvery, true},
		"sound, and then a picture":        {[]lot{{time.Millisecond, sound}, {22 * time.Millisecond, sound}, {41 * time.Millisecond, picture}}, period, 41 * time.Millisecond, 43 * time.Millisecond, false},
		"sound alone":                      {[]lot{{time.Millisecond, sound}}, period, late, late + lookEvery, false},
		"no larger than sound, too early":  {[]lot{{10 * time.Millisecond, 100}}, period, late, late + lookEvery, false},
		"nothing":                          {nil, period, 100 * time.Millisecond, 100 * time.Millisecond, false},
		"nothing, nor is it expected":      {nil, time.Second, 100 * time.Millisecond, 100 * time.Millisecond, false},
		"what was expected long ago":       {[]lot{{3 * time.Millisecond, 100}}, -time.Second, 4 * time.Millisecond, 4 * time.Millisecond, false},
		"closed":                           {[]lot{{5 * time.Millisecond, -1}}, 0, 6 * time.Millisecond, 6 * time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCoalescer()
				began := c.clock.Mono()
				past := func() time.Duration { return time.Duration(c.clock.Mono() - began) }
				one := newTurn(func() (there int) {
					for _, l := range tc.comes {
						if past() >= l.at {
							there += l.bytes
						}
					}
					return there
				})
				expect := expectation{began + int64(tc.due), began + int64(tc.due+late-period), 2 * sound}
				if tc.soundless {
					expect.sound = 0
				}
				c.wait(&one, expect)
				require.GreaterOrEqual(t, past(), tc.from)
				require.LessOrEqual(t, past(), tc.to)
				require.Zero(t, c.line())
			})
		})
	}
}

// Cameras wait at the same time and are called at the same time; who is called by somebody else does
// not wait, and stands in line once.
func TestCamerasAreLookedAtTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoalescer()
		began := c.clock.Mono()
		woken := make(chan time.Duration, 10)
		for i := range 10 {
			go func() {
				time.Sleep(time.Duration(i) * 100 * time.Microsecond) //nolint:forbidigo // simulated time
				one := newTurn(func() int { return 1 })
				c.wait(&one, expectation{})
				woken <- time.Duration(c.clock.Mono() - began)
			}()
		}
		for range 10 {
			require.Equal(t, lookEvery, <-woken)
		}

		never := newTurn(func() int { return 0 })
		for range 3 {
			never.call()
			at := c.clock.Mono()
			c.wait(&never, expectation{})
			require.Equal(t, at, c.clock.Mono(), "called before it waited")
		}
		require.Equal(t, 1, c.line())
		at := c.clock.Mono()
		time.AfterFunc(5*time.Millisecond, never.call)
		c.wait(&never, expectation{})
		require.Equal(t, 5*time.Millisecond, time.Duration(c.clock.Mono()-at))
		require.Equal(t, 1, c.line())
		time.Sleep(time.Second) //nolint:forbidigo // simulated time
		require.Zero(t, c.line(), "nobody waits: nothing is looked at")
	})
}

func TestACrowdIsCounted(t *testing.T) {
	c := newCoalescer()
	for _, want := range []bool{false, false, true, true} {
		c.watch(1)
		require.Equal(t, want, c.crowded())
	}
	c.watch(-2)
	require.False(t, c.crowded())
}

// A small picture is found at a time at which one is expected. One that was read late, since the program stood still, leaves
// those after it where they are due; a camera that slows down, pauses or is faster than thought is followed.
func TestPicturesKeepTheirBeat(t *testing.T) {
	const interval = 40 * time.Millisecond
	ms := func(n int) int64 { return int64(n) * int64(time.Millisecond) }
	for name, tc := range map[string]struct{ due, read, want int64 }{
		"in time":       {ms(1000), ms(1001), ms(1000)},
		"read late":     {ms(1000), ms(1008), ms(1000)},
		"much too late": {ms(1000), ms(1030), ms(1020)},
		"after a pause": {ms(1000), ms(9000), ms(8990)},
		"early":         {ms(1000), ms(980), ms(980)},
		"the first":     {interval.Nanoseconds(), ms(5000), ms(4990)},
	} {
		require.Equal(t, tc.want, inTime(tc.due, tc.read, interval), name)
	}
}
