package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/pipeline"
)

// R1: each row is a clause.
func TestTheRingFollowsTheNeed(t *testing.T) {
	with := func(change func(*pipeline.Limit)) pipeline.Limit {
		l := smallRing()
		change(&l)
		return l
	}
	for _, tc := range []struct {
		clause string
		limit  pipeline.Limit
		test   func(g *ringRig)
	}{
		{"a ring buffer, which is the queue of its branch: frames lie in the arena once", smallRing(), func(g *ringRig) {
			g.push('I', 10*kib)
			require.Equal(g.t, 1, g.tap.ledger.held())
			require.Equal(g.t, 10*kib, g.ring().Fill)
			require.Equal(g.t, 10*kib, g.ch.Status().Queues[0].Bytes)
		}},
		{"It starts small", smallRing(), func(g *ringRig) {
			require.Equal(g.t, 64*kib, g.ring().Capacity)
			require.Equal(g.t, 1024*kib, g.ring().Maximum)
			g.push('I', 40*kib)
			g.push('a', 24*kib)
			require.Equal(g.t, 64*kib, g.ring().Capacity, "what has room changes nothing")
		}},
		{"a write larger than the free space doubles it", smallRing(), func(g *ringRig) {
			g.push('I', 40*kib)
			g.push('a', 25*kib)
			require.Equal(g.t, 128*kib, g.ring().Capacity)
			require.Equal(g.t, "64→128 write of 25600 bytes", g.changes("capacity"))
			require.Equal(g.t, "Ia", g.disk.got(), "who needs room is handed over at once")
		}},
		{"doubles it, as often as the write needs", smallRing(), func(g *ringRig) {
			g.push('I', 200*kib)
			require.Equal(g.t, "64→256 write of 204800 bytes", g.changes("capacity"))
		}},
		{"(or adds a fixed step, for instance 500 MB on a large machine)", with(func(l *pipeline.Limit) { l.Growth.Step = 100 * kib }), func(g *ringRig) {
			g.push('I', 65*kib)
			g.push('a', 200*kib)
			require.Equal(g.t, "64→164 write of 66560 bytes; 164→264 write of 204800 bytes", g.changes("capacity"))
			wait(31 * time.Second)
			require.Equal(g.t, 164*kib, g.ring().Capacity, "and shrinks by it")
		}},
		{"up to a maximum", with(func(l *pipeline.Limit) { l.Bytes = 300 * kib }), func(g *ringRig) {
			g.push('I', 200*kib)
			defer g.hold()()
			g.push('a', 10*kib)
			g.push('b', 256*kib)
			require.Equal(g.t, 300*kib, g.ring().Capacity)
			require.Equal(g.t, 300*kib, g.ring().Maximum)
		}},
		{"it shrinks again when long over-sized", smallRing(), func(g *ringRig) {
			g.push('I', 250*kib)
			g.flow(29*time.Second, kib)
			require.Equal(g.t, 256*kib, g.ring().Capacity, "not before 30 s")
			g.flow(2*time.Second, kib)
			require.Equal(g.t, 128*kib, g.ring().Capacity)
			g.flow(31*time.Second, kib)
			require.Equal(g.t, 64*kib, g.ring().Capacity)
			g.flow(100*time.Second, kib)
			require.Equal(g.t, "64→256 write of 256000 bytes; 256→128 oversized; 128→64 oversized", g.changes("capacity"), "never below its start")
			require.EqualValues(g.t, 2, g.ring().Shrunk)
		}},
		{"over-sized is less than a quarter used", smallRing(), func(g *ringRig) {
			g.push('I', 250*kib)
			g.flow(5*time.Minute, 3*kib) // 75 KiB a fragment
			require.Equal(g.t, 256*kib, g.ring().Capacity)
		}},
		{"over-sized is what is used between two reads too", smallRing(), func(g *ringRig) {
			g.push('I', kib)
			wait(8 * time.Minute) // it is read every 25.6 s
			g.push('I', 250*kib)
			g.flow(5*time.Minute, 3*kib)
			require.Equal(g.t, 256*kib, g.ring().Capacity)
		}},
		{"an idle ring, at which nobody looks, is as small as at its start", with(func(l *pipeline.Limit) { l.Pace.Max = 100 * time.Millisecond }), func(g *ringRig) {
			g.push('I', 250*kib)
			wait(3 * time.Second)
			require.Equal(g.t, "64→256 write of 256000 bytes; 256→64 idle", g.changes("capacity"))
			require.Equal(g.t, "I~", g.disk.got())
		}},
		{"its memory is in proportion", smallRing(), func(g *ringRig) {
			release := g.hold()
			g.push('I', kib)
			for range 1000 {
				g.push('a', 1)
			}
			require.Equal(g.t, 1024, g.ch.Entries())
			release()
			g.flow(70*time.Second, kib)
			require.Equal(g.t, 64, g.ch.Entries(), "twice what was used")
		}},
		{"A write larger than the largest piece (setting) is cut into pieces", smallRing(), func(g *ringRig) {
			g.push('I', 600*kib)
			require.Equal(g.t, "64→256 write of 262144 bytes; 256→512 write of 262144 bytes; 512→1024 write of 90112 bytes", g.changes("capacity"))
			wait(time.Second)
			require.Equal(g.t, "I(614400)", g.disk.got(), "it is one frame all the same")
		}},
		{"Where a write needs more than the maximum, the recording ends with an error, its files are finished, and it starts anew", smallRing(), func(g *ringRig) {
			began := g.disk.env.Clock.Mono()
			g.push('I', 10*kib)
			release := g.hold()
			wait(time.Second + 20*time.Millisecond) // I is being written
			g.push('a', 500*kib)
			g.push('b', 500*kib)
			g.push('c', 100*kib) // needs more
			g.push('d', kib)
			g.push('1', kib)
			g.push('J', 100*kib) // finds no room either
			require.Equal(g.t, "full 1 orphaned 3", drops(g.ch.Status().Queues[0]))
			release()
			require.Equal(g.t, "Iab!", g.disk.got(), "what the ring held before is still recorded")
			g.push('e', kib)
			g.push('K', kib)
			g.push('f', kib)
			g.push('2', kib)
			wait(1100 * time.Millisecond)
			require.Equal(g.t, "*Kf*2", g.disk.got(), "anew from a key frame")
			require.Equal(g.t, "dropped: queue disk: the ring is full at its maximum of 1048576 bytes", reasons(g.disk.sink, began))
		}},
		{"also where it is a single write", smallRing(), func(g *ringRig) {
			g.push('I', 1025*kib)
			require.Equal(g.t, "!", g.disk.got())
			require.Equal(g.t, "full 1", drops(g.ch.Status().Queues[0]))
			g.push('J', 1024*kib)
			wait(1100 * time.Millisecond)
			require.Equal(g.t, "*J(1048576)", g.disk.got())
		}},
	} {
		t.Run(tc.clause, func(t *testing.T) { onRing(t, tc.limit, tc.test) })
	}
}

// R2: each row is a clause.
func TestTheReaderFollowsTheFlow(t *testing.T) {
	const ms = time.Millisecond
	atMaximum := smallRing()
	atMaximum.Growth.Start = atMaximum.Bytes
	for _, tc := range []struct {
		clause string
		limit  pipeline.Limit
		test   func(g *ringRig)
	}{
		{"empties the ring at an interval that adapts (initial 100 ms…", smallRing(), func(g *ringRig) {
			wait(30 * ms)
			g.push('I', 60*kib) // past the threshold: the next read hands it over
			wait(69 * ms)
			require.Empty(g.t, g.disk.got())
			wait(ms)
			require.Equal(g.t, "I", g.disk.got())
		}},
		{"…floor 20 ms, maximum 30 s): …data with the ring filled past its threshold… halves it, down to the floor", smallRing(), func(g *ringRig) {
			for range 6 {
				g.push('I', 60*kib)
				wait(100 * ms)
			}
			require.Equal(g.t, "0→100 new data; 100→50 past threshold; 50→25 past threshold; 25→20 past threshold", g.changes("interval"))
			require.Equal(g.t, 64*kib, g.ring().Capacity)
		}},
		{"at the floor it is read every 20 ms", smallRing(), func(g *ringRig) {
			for range 4 {
				g.push('I', 60*kib)
				wait(200 * ms)
			}
			g.disk.got()
			g.push('J', 60*kib)
			wait(19 * ms)
			require.Empty(g.t, g.disk.got())
			wait(ms)
			require.Equal(g.t, "J", g.disk.got())
		}},
		{"data… or its capacity at the maximum, halves it", atMaximum, func(g *ringRig) {
			g.push('I', kib)
			wait(300 * ms)
			require.Equal(g.t, "0→100 new data; 100→50 data with the capacity at its maximum; 50→25 data with the capacity at its maximum; "+
				"25→20 data with the capacity at its maximum", g.changes("interval"))
			require.Empty(g.t, g.disk.got(), "less than a fragment lies where it lies")
		}},
		{"n empty reads in a row (10…) double it", smallRing(), func(g *ringRig) {
			g.push('I', kib)
			wait(time.Second) // that long a fragment is waited for: each read finds data
			require.Equal(g.t, "I", g.disk.got())
			wait(999 * ms)
			require.Equal(g.t, "0→100 new data", g.changes("interval"), "nine empty reads")
			wait(ms)
			require.Equal(g.t, "0→100 new data; 100→200 10 empty reads", g.changes("interval"))
		}},
		{"in a row", smallRing(), func(g *ringRig) {
			for range 30 {
				g.push('I', kib)
				wait(1850 * ms)
			}
			require.Equal(g.t, "0→100 new data", g.changes("interval"))
		}},
		{"at least 2", func() pipeline.Limit { l := smallRing(); l.Pace.Empty = 2; return l }(), func(g *ringRig) {
			g.push('I', kib)
			wait(1200 * ms)
			require.Equal(g.t, "0→100 new data; 100→200 2 empty reads", g.changes("interval"))
		}},
		{"between those the interval stays", smallRing(), func(g *ringRig) {
			g.flow(5*time.Minute, kib)
			require.Equal(g.t, "0→100 new data", g.changes("interval"))
		}},
		{"An interval above its maximum ends the recording as idle", smallRing(), func(g *ringRig) {
			g.push('I', 100*kib)
			wait(8 * time.Minute)
			require.Equal(g.t, "I", g.disk.got())
			require.InDelta(g.t, 25.6, g.ring().Interval, 1e-9, "the longest below 30 s")
			wait(time.Minute)
			require.Equal(g.t, "~", g.disk.got())
			require.Equal(g.t, "idle", g.ring().State)
			require.Equal(g.t, 64*kib, g.ring().Capacity)
			changed := len(g.ring().Changes)
			wait(24 * time.Hour)
			require.Empty(g.t, g.disk.got(), "said once")
			require.Len(g.t, g.ring().Changes, changed)
		}},
		{"new data… opens it again", smallRing(), func(g *ringRig) {
			g.push('I', kib)
			wait(10 * time.Minute)
			require.Equal(g.t, "I~", g.disk.got())
			g.push('a', kib)
			require.Equal(g.t, "reading", g.ring().State)
			require.InDelta(g.t, 0.1, g.ring().Interval, 1e-9)
			wait(1100 * ms)
			require.Equal(g.t, "a", g.disk.got())
			wait(10 * time.Minute)
			require.Equal(g.t, "~", g.disk.got(), "and may be idle again")
		}},
		{"…or the start command, opens it again", smallRing(), func(g *ringRig) {
			g.push('I', kib)
			wait(time.Minute)
			require.InDelta(g.t, 3.2, g.ring().Interval, 3)
			g.disk.env.Resume()
			require.InDelta(g.t, 0.1, g.ring().Interval, 1e-9, "a slow one is read at its initial interval")
			wait(10 * time.Minute)
			require.Equal(g.t, "idle", g.ring().State)
			g.disk.env.Resume()
			require.Equal(g.t, "reading", g.ring().State)
			require.InDelta(g.t, 0.1, g.ring().Interval, 1e-9)
			wait(1100 * ms)
			require.InDelta(g.t, 0.2, g.ring().Interval, 1e-9, "and goes on from there")
		}},
		{"While data flows a fragment is written every second whatever the interval is", smallRing(), func(g *ringRig) {
			g.push('I', kib)
			wait(8 * time.Minute)
			require.InDelta(g.t, 25.6, g.ring().Interval, 1e-9)
			before := g.disk.batches.Load()
			g.disk.got()
			g.flow(20*time.Second, kib)
			require.InDelta(g.t, 20, g.disk.batches.Load()-before, 1)
			require.InDelta(g.t, 500, len(g.disk.got()), 26, "all but the last second")
			require.InDelta(g.t, 25.6, g.ring().Interval, 1e-9)
			wait(1020 * ms)
			require.Zero(g.t, g.ring().Fill, "the tail is as old at most")
		}},
		{"the worker is woken once a fragment, not once a read", smallRing(), func(g *ringRig) {
			g.flow(60*time.Second, kib)
			require.InDelta(g.t, 60, g.disk.batches.Load(), 2)
			before := g.disk.batches.Load()
			wait(7 * time.Minute)
			require.LessOrEqual(g.t, g.disk.batches.Load()-before, int32(1), "reads that find nothing wake nobody")
		}},
		{"a paused channel's ring gets nothing and may go idle; Start goes on", smallRing(), func(g *ringRig) {
			g.push('I', kib)
			wait(100 * ms)
			require.NoError(g.t, g.ch.Pause())
			g.push('a', kib)
			wait(20 * time.Minute)
			require.Empty(g.t, g.disk.got(), "what it holds is kept")
			require.Equal(g.t, "idle", g.ring().State)
			require.NoError(g.t, g.ch.Start())
			synctest.Wait()
			require.Equal(g.t, "I~", g.disk.got())
			g.push('J', kib)
			require.Equal(g.t, "reading", g.ring().State)
			wait(1020 * ms)
			require.Equal(g.t, "*J", g.disk.got())
		}},
		{"the end of the source's run is handed over at once", smallRing(), func(g *ringRig) {
			g.push('I', kib)
			require.NoError(g.t, g.ch.Exit(context.Background()))
			require.Equal(g.t, "I||)", g.disk.got())
		}},
		{"a branch on demand: idle until it asks, then from the last key frame", func() pipeline.Limit { l := smallRing(); l.OnDemand = true; return l }(), func(g *ringRig) {
			g.push('I', 60*kib)
			wait(time.Hour)
			require.Equal(g.t, "idle", g.ring().State)
			require.Zero(g.t, g.ring().Fill)
			require.Empty(g.t, g.ring().Changes)
			g.push('a', 60*kib)
			g.disk.env.Want(true)
			require.Equal(g.t, "reading", g.ring().State)
			require.Equal(g.t, "64→128 write of 61440 bytes", g.changes("capacity"), "what was kept counts too")
			synctest.Wait()
			require.Equal(g.t, "Ia", g.disk.got())
			g.push('b', kib)
			g.disk.env.Want(false)
			g.disk.env.Mark()
			g.push('c', kib)
			require.Equal(g.t, "b?", g.disk.got(), "a recording that is stopped ends where it was stopped")
			wait(time.Hour)
			require.Equal(g.t, "~", g.disk.got())
			g.disk.env.Want(true)
			synctest.Wait()
			require.Equal(g.t, "Iabc", g.disk.got())
			g.push('d', 1025*kib)
			g.disk.env.Want(false)
			g.push('K', kib)
			g.disk.env.Want(true)
			g.push('e', kib)
			wait(1100 * ms)
			require.Equal(g.t, "!*Ke", g.disk.got(), "a ring that was full goes on with the key frame that was kept")
		}},
	} {
		t.Run(tc.clause, func(t *testing.T) { onRing(t, tc.limit, tc.test) })
	}
}

// P6: a source that can be held back waits for a ring at its maximum, and loses nothing.
func TestAFileWaitsForTheRing(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam := &camera{script: "Iabcdefghi", frames: 1000, file: true}
		disk := &sink{name: "disk", onWork: func(context.Context, string) error { wait1(frameTime); return nil }}
		limit := pipeline.Limit{Bytes: 7, Growth: pipeline.Growth{Start: 2}}
		ch := add(t, r, pipeline.Define("gate", from(cam)).Branch("disk", limit, marked{disk}))
		require.NoError(t, ch.Start())
		wait(time.Minute)
		require.Equal(t, "("+strings.Repeat("Iabcdefghi", 100)+"|", disk.got())
		s := ch.Status().Queues[0]
		require.Equal(t, []any{7, ""}, []any{s.Ring.Capacity, drops(s)})
	})
}

// R2: reads of all rings of an interval are one look of the engine's one timer, whenever their
// channels began, and allocate nothing.
func TestRingsAreReadInOneGo(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		slow := smallRing()
		slow.Pace.Empty = 1_000_000
		rigs := make([]*ringRig, 8)
		for i := range rigs {
			g := &ringRig{t: t, tap: newTap(), disk: &recorder{sink: &sink{name: "disk"}}}
			g.ch = add(t, r, pipeline.Define(fmt.Sprint("gate", i), from(g.tap)).Branch("disk", slow, g.disk))
			if i == 0 {
				wait(mono - time.Duration(g.disk.env.Clock.Mono())%mono)
			}
			require.NoError(t, g.ch.Start())
			synctest.Wait()
			g.disk.got()
			rigs[i] = g
			wait(11 * time.Millisecond)
			g.push('I', 60*kib)
		}
		wait(12*time.Millisecond - time.Nanosecond)
		handed := func() (n int) {
			for _, g := range rigs {
				n += len(g.disk.got())
			}
			return n
		}
		require.Zero(t, handed())
		wait(time.Nanosecond)
		require.Equal(t, 4, handed(), "to whom this is the nearest to an interval from the beginning")
		wait(100*time.Millisecond - time.Nanosecond)
		require.Zero(t, handed())
		wait(time.Nanosecond)
		require.Equal(t, 4, handed())
		wait(time.Second)
		reads := func() { wait(20 * time.Second) } // 400 looks, 3200 reads: at 50 ms
		require.Less(t, testing.AllocsPerRun(1, reads), 50.0)
		require.InDelta(t, 0.05, rigs[0].ring().Interval, 1e-9)
	})
}
