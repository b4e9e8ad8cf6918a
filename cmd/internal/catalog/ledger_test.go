package catalog_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/record"
)

// life is a recorder of which the truth is known, over several programs of one boot.
type life struct {
	*house

	dice     *rand.Rand
	number   uint64
	recorded time.Duration
	missing  map[record.Cause]time.Duration
}

// pass lets time pass.
func (l *life) pass(most time.Duration) time.Duration {
	d := time.Duration(l.dice.Int64N(int64(most))) + time.Millisecond
	<-time.After(d)
	return d
}

func (l *life) now() record.Instant { return l.at(l.cfg.Clock.Mono(), 0) }

func (l *life) gap(from, to record.Instant, cause record.Cause) {
	l.Enter(record.Entry{Kind: record.Missing, Channel: "gate", Gap: &record.Gap{After: l.number, From: from, To: to, Cause: cause}})
}

// file records one, with a hole in it now and then, and says by how much its time stamps were
// off against the clock.
func (l *life) file() {
	l.number++
	start := l.now()
	s := l.segment("gate", l.number, start, 0, 10)
	l.Enter(record.Entry{Kind: record.Opened, Channel: "gate", Segment: &s})
	length := l.pass(minute)
	if l.dice.IntN(2) == 0 {
		from := l.now()
		hole := l.pass(minute)
		l.gap(from, l.now(), record.Dropped)
		l.missing[record.Dropped] += hole
		l.pass(minute)
		l.recorded -= hole
		length = time.Duration(l.now().Mono - start.Mono)
	}
	l.recorded += length
	s.Length = length + time.Duration(l.dice.Int64N(int64(200*time.Millisecond))) - 100*time.Millisecond
	s.Length = max(s.Length, 0)
	l.Enter(record.Entry{Kind: record.Closed, Channel: "gate", Segment: &s})
}

// What the catalog adds up is the truth, and every instant is in it once.
func TestRecordedAndGapsAreTheElapsedTime(t *testing.T) { // R6, must-show 7
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			l := life{dice: rand.New(rand.NewPCG(seed, 7)), missing: map[record.Cause]time.Duration{}}
			l.house = open(t, catalog.Config{Channels: []catalog.Channel{{Name: "gate"}}, Clock: hal.NewClock()})
			began := l.now()
			ended := began
			files := 0
			for range 3 {
				started := l.now()
				l.missing[record.NotRunning] += time.Duration(started.Mono - ended.Mono)
				l.missing[record.Starting] += l.pass(5 * time.Second)
				l.Enter(record.Entry{Kind: record.Missing, Channel: "gate", Gap: &record.Gap{After: l.number, To: l.now(), Cause: record.Starting}})
				for range 8 {
					l.file()
					files++
					if l.dice.IntN(3) == 0 {
						from := l.now()
						l.missing[record.SourceLost] += l.pass(minute)
						l.gap(from, l.now(), record.SourceLost)
					}
				}
				ended = l.now()
				l.close()
				l.pass(minute)
				l.house = open(t, l.cfg)
			}
			line := l.all("gate")
			require.True(t, line.Gaps[len(line.Gaps)-1].Open, "nothing is recorded now")
			line.Gaps = line.Gaps[:len(line.Gaps)-1]
			sum := l.Account(line)
			total := sum.Recorded
			for cause, d := range sum.Missing {
				total += d
				require.InDelta(t, l.missing[cause].Seconds(), d.Seconds(), 0.1*float64(files), "seed %d: %s", seed, cause)
			}
			require.Equal(t, sum.Elapsed, total, "seed %d: to the nanosecond", seed)
			require.InDelta(t, ended.Mono-began.Mono, sum.Elapsed, 2e8, "seed %d: of the whole time", seed)
			require.Zero(t, sum.Unaccounted)
			require.Zero(t, sum.Unknown)
			require.InDelta(t, l.recorded.Seconds(), sum.Recorded.Seconds(), 0.1*float64(files), "seed %d", seed)
			l.close()
		})
	}
}
