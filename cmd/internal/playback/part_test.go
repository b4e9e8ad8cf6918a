package playback_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/cmd/internal/playback"
	"github.com/millrace-video/millrace/cmd/internal/playback/playbacktest"
	"github.com/millrace-video/millrace/stages/pack"
)

func always() playback.Ask {
	return playback.Ask{Channel: "gate", From: playbacktest.Begin().Add(-100 * time.Hour), To: playbacktest.Begin().Add(100 * time.Hour)}
}

// later moves files to a later time of the wall clock.
func later(d time.Duration, segs ...*catalog.Segment) {
	for _, s := range segs {
		s.Start.Wall += int64(d)
	}
}

// A shelf's files are number 1 (merged from 1 and 2), 3, 4 and 5; 7.3 s are missing before 4.
func TestWhereAnotherFilmBegins(t *testing.T) { // R6
	for _, tc := range []struct {
		name  string
		do    func(t *testing.T, s []catalog.Segment)
		films []uint64
		why   string
	}{
		{"a gap of seconds is held", func(*testing.T, []catalog.Segment) {}, []uint64{1}, ""},
		{"a gap of hours is held", func(_ *testing.T, s []catalog.Segment) {
			later(11*time.Hour, &s[2], &s[3])
			s[2].Start.Mono += int64(11 * time.Hour)
		}, []uint64{1}, ""},
		{"a gap of half a day is not", func(_ *testing.T, s []catalog.Segment) { later(13*time.Hour, &s[2], &s[3]) }, []uint64{1, 4}, "nothing was recorded for 13h0m7s"},
		{"the clock was set back", func(_ *testing.T, s []catalog.Segment) {
			later(-time.Hour, &s[1], &s[2], &s[3])
		}, []uint64{1, 3}, "the clock was set back by 1h0m0s"},
		{"the clock was set forth", func(_ *testing.T, s []catalog.Segment) {
			later(time.Hour, &s[3])
			s[3].Start.Anchor = 2
		}, []uint64{1, 5}, "the clock was set forth by 1h0m0s"},
		{"the machine started again", func(_ *testing.T, s []catalog.Segment) {
			later(time.Hour, &s[3])
			s[3].Start.Anchor, s[3].Start.Mono = 2, int64(3*time.Second)
		}, []uint64{1}, ""},
		{"the tracks changed", func(t *testing.T, s []catalog.Segment) {
			t.Helper()
			s[2].Path = playbacktest.Record(t, "&audio=none", nil).Segments[2].Path
		}, []uint64{1, 4, 5}, "2 tracks became 1"},
		{"a file is gone", func(t *testing.T, s []catalog.Segment) {
			t.Helper()
			require.NoError(t, os.Remove(s[1].Path))
		}, []uint64{1}, ""},
		{"a file has only just begun", func(t *testing.T, s []catalog.Segment) {
			t.Helper()
			require.NoError(t, os.Truncate(s[3].Path, 100))
		}, []uint64{1}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := playbacktest.Record(t, "&audio=aac", nil)
			tc.do(t, s.Segments)
			all, err := playback.Parts(t.Context(), s, always())
			require.NoError(t, err)
			var films []uint64
			for _, p := range all {
				films = append(films, p.File)
			}
			require.Equal(t, tc.films, films)
			text, err := playback.Playlist(t.Context(), s, always()) // which spans them all
			require.NoError(t, err)
			playable := 0
			for _, one := range s.Segments {
				if _, err := pack.OpenIndex(one.Path); err == nil {
					playable++
				}
			}
			require.Equal(t, playable, strings.Count(string(text), "#EXT-X-MAP:"))
			require.Equal(t, playable-1, strings.Count(string(text), "#EXT-X-DISCONTINUITY\n"))
			if len(all) == 1 {
				film, err := playback.Stream(t.Context(), s, always())
				require.NoError(t, err)
				require.NoError(t, film.Close())
				return
			}
			require.Equal(t, tc.why, all[1].Why)
			_, err = playback.Export(t.Context(), s, always())
			many, ok := errors.AsType[*playback.ManyError](err)
			require.True(t, ok, "%v", err)
			require.Len(t, many.Parts, len(tc.films))
		})
	}
}

func TestAFolderOfFilesTellsWhatItHolds(t *testing.T) { // R6
	s := playbacktest.Record(t, "", nil)
	for _, data := range []string{s.Dir, filepath.Dir(s.Dir)} { // the folder itself, or the one above
		f, err := playback.OpenFolder(data, "gate")
		require.NoError(t, err)
		ask := always()
		line, err := f.Timeline("gate", ask.From, ask.To)
		require.NoError(t, err)
		require.Len(t, line.Segments, len(s.Segments))
		for i, is := range line.Segments {
			require.Equal(t, s.Segments[i].Number, is.Number)
			require.Equal(t, s.Segments[i].Start, is.Start)
			require.InDelta(t, s.Segments[i].Length, is.Length, float64(50*time.Millisecond))
		}
		require.Len(t, line.Gaps, 1)
		require.EqualValues(t, 3, line.Gaps[0].After)
		require.Equal(t, playback.Unknown, line.Gaps[0].Cause)
	}
	for _, name := range []string{"yard", "..", "gate/../gate", ""} {
		_, err := playback.OpenFolder(filepath.Dir(s.Dir), name)
		require.Error(t, err, name)
	}
}

// What a merge that was cut off between its end and the removal of its parts leaves is there once.
func TestAMergedFileBesideItsPartsCountsOnce(t *testing.T) { // R4, R6
	s := playbacktest.Record(t, "", nil)
	count := func() (numbers []uint64) {
		f, err := playback.OpenFolder(s.Dir, "gate")
		require.NoError(t, err)
		ask := always()
		line, err := f.Timeline("gate", ask.From, ask.To)
		require.NoError(t, err)
		for _, one := range line.Segments {
			numbers = append(numbers, one.Number)
		}
		return numbers
	}
	put := func(number string, from catalog.Segment) {
		text, err := os.ReadFile(from.Path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(s.Dir, number+"-20260301T120000Z.mp4"), text, 0o600))
	}
	put("00000002", s.Segments[0]) // its second part was not removed yet
	require.Equal(t, []uint64{1, 3, 4, 5}, count())
	put("00000001", s.Segments[0]) // nor was its first: the parts tell
	require.Equal(t, []uint64{1, 2, 3, 4, 5}, count())
}
