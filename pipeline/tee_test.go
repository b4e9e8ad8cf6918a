package pipeline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
)

func branchQueue(t *testing.T) *pipeline.Queue {
	t.Helper()
	q, err := pipeline.NewQueue("b", pipeline.Limit{})
	require.NoError(t, err)
	return q
}

func feed(t *testing.T, tee *pipeline.Tee, l *ledger, letters string) {
	t.Helper()
	for _, r := range letters {
		require.NoError(t, tee.Push(l.frame(r)))
	}
}

// P7: every branch gets every frame of the one stream, from when it joins until it leaves.
func TestTeeHandsEveryFrameToEveryBranch(t *testing.T) {
	l := newLedger(hal.H264, hal.AAC)
	tee := pipeline.NewTee(0)
	early, late := branchQueue(t), branchQueue(t)
	feed(t, tee, l, "I")
	tee.Join(early)
	tee.Join(early)
	feed(t, tee, l, "a1b")
	tee.Join(late)
	feed(t, tee, l, "J")
	tee.Leave(early)
	feed(t, tee, l, "c")
	tee.Close()
	early.Close()
	require.Equal(t, "a1bJ", drain(t, early))
	require.Equal(t, "Jc", drain(t, late))
	require.Zero(t, l.held())
}

func TestTeeReplaysSinceTheLastKeyFrame(t *testing.T) {
	for _, tc := range []struct{ name, before, want string }{
		{"pictures and sound since the key frame", "Ia1Jb2c", "Jb2c"},
		{"nothing before the first key frame", "ab12", ""},
		{"nothing when it is too much", "Iabcdefgh", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLedger(hal.H264, hal.AAC)
			tee := pipeline.NewTee(6)
			feed(t, tee, l, tc.before)
			q := branchQueue(t)
			tee.Join(q)
			feed(t, tee, l, "Z")
			tee.Close()
			require.Equal(t, tc.want+"Z", drain(t, q))
			require.Zero(t, l.held())
		})
	}
}

func TestAFullBranchLosesItsOwnFramesOnly(t *testing.T) {
	l := newLedger()
	tee := pipeline.NewTee(0)
	slow, err := pipeline.NewQueue("slow", pipeline.Limit{Frames: 1})
	require.NoError(t, err)
	fast := branchQueue(t)
	tee.Join(slow)
	tee.Join(fast)
	feed(t, tee, l, "Iabc")
	tee.Close()
	require.Equal(t, "I", drain(t, slow))
	require.Equal(t, "Iabc", drain(t, fast))
	require.Zero(t, l.held())
}

func TestRawPicturesAreNotKept(t *testing.T) {
	l := newLedger(hal.Raw)
	tee := pipeline.NewTee(1 << 20)
	feed(t, tee, l, "ABC")
	require.Zero(t, l.held(), "raw pictures are few: none is held back for who may come")
	tee.Close()
}
