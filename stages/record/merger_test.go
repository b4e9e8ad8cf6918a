package record_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/record"
)

// merging runs a merger for a recorder, whose catalog it tells.
func merging(t *testing.T, cfg record.Config) (*live, *record.Merger) {
	t.Helper()
	l := filmed(t, pictures(t, false), record.Config{})
	m := record.NewMerger(l.book, l.clock, logTo(&l.log))
	cfg.Catalog, cfg.Merger = l.book, m
	l.r = record.To(l.dir, cfg)
	l.open()
	return l, m
}

// runs starts a merger and returns what ends it.
func runs(t *testing.T, m *record.Merger) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- m.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-left)
	}
}

// visible are the recordings in the folder, without what is hidden.
func (l *live) visible() string {
	var all []string
	for _, path := range l.files() {
		if name := filepath.Base(path); !strings.HasPrefix(name, ".") {
			_, kind, _ := strings.Cut(name, ".")
			all = append(all, name[:8]+"."+kind)
		}
	}
	return strings.Join(all, " ")
}

func TestARecordingThatHasEndedBecomesOneFile(t *testing.T) { // R4
	for _, tc := range []struct {
		name   string
		cfg    record.Config
		ends   func(l *live)
		merged bool
		files  string
		books  string
	}{
		{"by command", record.Config{}, func(l *live) { l.r.StopRecording(); l.mark(pipeline.Asked) }, true, "00000001.merged.mp4", "m1[1 2 3]"},
		{"by its ring", record.Config{}, func(l *live) { l.mark(pipeline.RingFull) }, true, "00000001.merged.mp4", "m1[1 2 3]"},
		{"by silence, once it can no more go on", record.Config{}, func(l *live) {
			l.mark(pipeline.Idled)
			pass(59 * time.Second)
			synctest.Wait()
			require.Equal(l.t, "00000001.mp4 00000002.mp4 00000003.mp4", l.visible())
			pass(2 * time.Second)
		}, true, "00000001.merged.mp4", "m1[1 2 3]"},
		{
			"the parts kept",
			record.Config{Merge: record.MergePolicy{KeepParts: true}},
			func(l *live) { l.mark(pipeline.RingFull) },
			true, "00000001.merged.mp4 00000001.mp4 00000002.mp4 00000003.mp4", "m1[1 2 3]",
		},
		{
			"not where it is off",
			record.Config{Merge: record.MergePolicy{Off: true}},
			func(l *live) { l.mark(pipeline.RingFull) },
			false, "00000001.mp4 00000002.mp4 00000003.mp4", "",
		},
		{
			"not where it is too large",
			record.Config{Merge: record.MergePolicy{MaxBytes: 1000}},
			func(l *live) { l.mark(pipeline.RingFull) },
			false, "00000001.mp4 00000002.mp4 00000003.mp4", "",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tc.cfg.SegmentDuration = time.Second
				l, m := merging(t, tc.cfg)
				stop := runs(t, m)
				l.play(75)
				tc.ends(l)
				synctest.Wait()
				require.Equal(t, tc.files, l.visible(), l.log.String())
				if tc.merged {
					require.Contains(t, l.book.lines(), tc.books)
					require.Equal(t, 75, plays(t, []string{l.files()[0]}))
					require.EqualValues(t, 1, m.Stats().Merged)
				}
				stop()
				l.close()
			})
		})
	}
}

func TestARecordingThatGoesOnIsNotMerged(t *testing.T) { // R2, R4
	synctest.Test(t, func(t *testing.T) {
		l, m := merging(t, record.Config{})
		stop := runs(t, m)
		l.play(25)
		l.mark(pipeline.Idled)
		l.skipTo(30 * time.Second)
		l.play(25)
		pass(2 * time.Minute)
		synctest.Wait()
		require.Zero(t, m.Stats().Merged)
		l.mark(pipeline.RingFull)
		synctest.Wait()
		require.EqualValues(t, 1, m.Stats().Merged)
		stop()
		require.Equal(t, 50, plays(t, l.close()))
	})
}

func TestWhatWaitedForAMergeIsMergedByTheNextProgram(t *testing.T) { // R4
	synctest.Test(t, func(t *testing.T) {
		l, _ := merging(t, record.Config{SegmentDuration: time.Second}) // its merger never runs: the program was killed
		l.play(50)
		l.mark(pipeline.RingFull)
		require.NoError(t, l.r.Close())
		require.NoError(t, os.WriteFile(filepath.Join(l.dir, ".merge-00000009.json"), []byte("{"), 0o600))

		m := record.NewMerger(l.book, l.clock, logTo(&l.log))
		stop := runs(t, m)
		l.r = record.To(l.dir, record.Config{Merger: m})
		l.open()
		synctest.Wait()
		require.Equal(t, "00000001.merged.mp4", l.visible(), l.log.String())
		require.Len(t, l.files(), 1, "no note is left")
		require.Contains(t, l.log.String(), "makes no sense")
		l.r.StartRecording()
		l.play(50)
		stop()
		require.Contains(t, l.visible(), "00000003.mp4", "numbers go on")
		l.close()
	})
}
