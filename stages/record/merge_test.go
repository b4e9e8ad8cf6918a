package record_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/pack"
	"github.com/millrace-video/millrace/stages/pack/packtest"
	"github.com/millrace-video/millrace/stages/record"
)

const second = time.Second

// recorded is a recording of n seconds in parts of two, in a directory of its own.
func recorded(t *testing.T, n int, query string) (dir string, parts []record.Segment) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "rec")
	url := fmt.Sprintf("synth://?size=320x180&rate=25&codec=h264&gop=25&pace=fast&frames=%d&%s", n*25, query)
	require.NoError(t, film(t.Context(), url, record.To(dir, record.Config{SegmentDuration: 2 * second})))
	return dir, segments(t, dir)
}

// segments describes the parts in a directory as a recorder does: one after the other without a
// gap.
func segments(t *testing.T, dir string) []record.Segment {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.mp4"))
	require.NoError(t, err)
	var parts []record.Segment
	at := record.Instant{Wall: 1_800_000_000e9, Mono: 1000e9, Anchor: 1}
	for i, path := range files {
		x := indexOf(t, path)
		parts = append(parts, record.Segment{
			Number: uint64(i + 1), Recording: 1, File: filepath.Base(path), Start: at, Length: x.Length(), Bytes: x.Whole,
		})
		at = at.Add(x.Length())
	}
	return parts
}

// later moves the parts from number i on, as if so much were missing before it.
func later(parts []record.Segment, i int, d time.Duration) []record.Segment {
	parts = slices.Clone(parts)
	for k := i; k < len(parts); k++ {
		parts[k].Start = parts[k].Start.Add(d)
	}
	return parts
}

func indexOf(t testing.TB, path string) *pack.Index {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	is, err := f.Stat()
	require.NoError(t, err)
	x, err := pack.ReadIndex(f, is.Size())
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return x
}

// sums are the checksums of the parts.
func sums(t testing.TB, dir string, parts []record.Segment) [][32]byte {
	t.Helper()
	all := make([][32]byte, 0, len(parts))
	for _, p := range parts {
		file, err := os.ReadFile(filepath.Join(dir, p.File))
		require.NoError(t, err)
		all = append(all, sha256.Sum256(file))
	}
	return all
}

func merged(t *testing.T, dir string, parts []record.Segment) []record.MergedFile {
	t.Helper()
	before := sums(t, dir, parts)
	all, err := record.Merge(t.Context(), dir, parts, record.MergeOptions{})
	require.NoError(t, err)
	require.Equal(t, before, sums(t, dir, parts), "the parts are untouched")
	return all
}

func TestPartsBecomeOneFileWithoutASeam(t *testing.T) { // R4
	for _, audio := range []string{"none", "aac", "pcma", "lpcm"} {
		t.Run(audio, func(t *testing.T) {
			dir, parts := recorded(t, 7, "audio="+audio)
			require.Len(t, parts, 4)
			all := merged(t, dir, parts)
			require.Len(t, all, 1)
			require.Empty(t, all[0].Why)
			require.Equal(t, parts, all[0].Parts)
			seg := all[0].Segment
			require.Equal(t, []any{uint64(1), uint64(1), 7 * second}, []any{seg.Number, seg.Recording, seg.Length})

			path := filepath.Join(dir, seg.File)
			is, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, is.Size(), seg.Bytes)
			require.Equal(t, upTo(175), shown(t, path, 320, 180))
			linear(t, path, parts, dir)
			indexFirst(t, path)
		})
	}
}

// indexFirst makes sure that a player has the index before the payload.
func indexFirst(t *testing.T, path string) {
	t.Helper()
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	moov, mdat := bytes.Index(file, []byte("moov")), bytes.Index(file, []byte("mdat"))
	require.Positive(t, moov)
	require.Less(t, moov, mdat)
}

// linear makes sure that every frame of the parts is in the merged file, byte for byte, at the
// time at which it was recorded: by our own reader and by ffprobe.
func linear(t *testing.T, path string, parts []record.Segment, dir string) {
	t.Helper()
	x := indexOf(t, path)
	require.True(t, x.Progressive)
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	packets := packtest.Probe(t, path)
	next := make([]int, len(x.Tracks))
	for _, p := range parts {
		part, err := os.ReadFile(filepath.Join(dir, p.File))
		require.NoError(t, err)
		off := time.Duration(p.Start.Mono - parts[0].Start.Mono)
		for i, track := range indexOf(t, filepath.Join(dir, p.File)).Tracks {
			for _, s := range track.Samples {
				got := x.Tracks[i].Samples[next[i]]
				next[i]++
				require.True(t, bytes.Equal(part[s.Offset:s.Offset+int64(s.Size)], file[got.Offset:got.Offset+int64(got.Size)]))
				require.InDelta(t, off+track.Time(s.DTS), track.Time(got.DTS), float64(time.Millisecond))
				require.Equal(t, s.Sync, got.Sync)
			}
		}
	}
	seen := make([]int, len(x.Tracks))
	for _, p := range packets {
		s := x.Tracks[p.Track].Samples[seen[p.Track]]
		seen[p.Track]++
		require.InDelta(t, s.DTS, p.DTS, 1, "track %d", p.Track)
		require.InDelta(t, s.DTS+int64(s.Shift), p.PTS, 1)
		require.EqualValues(t, s.Size, p.Size)
	}
	require.Equal(t, next, seen, "frames that ffprobe sees")
	require.Equal(t, len(x.Tracks[0].Samples), packtest.Plays(t, path, 0))
}

func TestAGapIsHeldByTheFramesBeforeIt(t *testing.T) { // R4, R6
	for _, audio := range []string{"none", "aac", "pcma"} {
		t.Run(audio, func(t *testing.T) {
			dir, parts := recorded(t, 6, "audio="+audio)
			parts = later(later(parts, 1, 3*second), 2, 700*time.Millisecond)
			all := merged(t, dir, parts)
			require.Len(t, all, 1)
			require.Equal(t, 9700*time.Millisecond, all[0].Segment.Length)
			path := filepath.Join(dir, all[0].Segment.File)
			require.Equal(t, upTo(150), shown(t, path, 320, 180))
			linear(t, path, parts, dir)
			x := indexOf(t, path)
			held := x.Tracks[0].Samples[49]
			require.Equal(t, 3040*time.Millisecond, x.Tracks[0].Time(int64(held.Duration)))
		})
	}
}

func TestWhatAPlayerCouldNotFollowGoesIntoAnotherFile(t *testing.T) { // R4
	dir, parts := recorded(t, 4, "audio=aac")
	other, more := recorded(t, 4, "audio=aac&seed=2")
	small := filepath.Join(t.TempDir(), "small")
	require.NoError(t, film(t.Context(), "synth://?size=160x112&rate=25&pace=fast&frames=50&audio=aac", record.To(small, record.Config{})))
	rich, richer := recorded(t, 2, "audio=none&bitrate=12M")
	mute, silent := recorded(t, 2, "audio=none")
	take := func(from string, p record.Segment) record.Segment { // into dir, as the next part
		file, err := os.ReadFile(filepath.Join(from, p.File))
		require.NoError(t, err)
		last := parts[len(parts)-1]
		p.Number = last.Number + 1
		p.File = fmt.Sprintf("%08d-20260101T000000Z.mp4", p.Number)
		p.Start = last.End()
		require.NoError(t, os.WriteFile(filepath.Join(dir, p.File), file, 0o600))
		return p
	}
	parts = append(parts, take(other, more[0]))
	parts = append(parts, take(small, segments(t, small)[0]))
	parts = append(parts, take(mute, silent[0]))
	p := take(mute, silent[0])
	p.Start = p.Start.Add(61 * second)
	parts = append(parts, p)
	p = take(mute, silent[0])
	p.Start.Mono, p.Start.Anchor = 5, 2
	parts = append(parts, p)
	parts = append(parts, take(rich, richer[0]))

	all := merged(t, dir, parts)
	var report []string
	for _, m := range all {
		report = append(report, fmt.Sprintf("%d parts from %s; %s", len(m.Parts), m.Segment.File[:8], m.Why))
		path := filepath.Join(dir, m.Segment.File)
		require.Equal(t, len(indexOf(t, path).Tracks[0].Samples), packtest.Plays(t, path, 0))
	}
	require.Equal(t, []string{
		"3 parts from 00000001; track 1: 320x180 became 160x112",
		"1 parts from 00000004; 2 tracks became 1",
		"1 parts from 00000005; 1m1s are missing before 00000006-20260101T000000Z.mp4",
		"1 parts from 00000006; nobody can tell how much time lies before 00000007-20260101T000000Z.mp4: the clock was set",
		"1 parts from 00000007; track 1: other parameters of avc1",
		"1 parts from 00000008; ",
	}, report)
}

func TestAMergeThatIsCancelledLeavesNothing(t *testing.T) { // R4
	dir, parts := recorded(t, 4, "audio=aac")
	before, err := os.ReadDir(dir)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = record.Merge(ctx, dir, parts, record.MergeOptions{})
	require.ErrorIs(t, err, context.Canceled)
	after, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Equal(t, entries(before), entries(after))
}

func entries(all []os.DirEntry) []string {
	list := make([]string, 0, len(all))
	for _, e := range all {
		list = append(list, e.Name())
	}
	return list
}

func TestAMergeAsksForRoomFirst(t *testing.T) { // R4, R7
	require.NoError(t, record.RoomFor(t.TempDir(), 1))
	err := record.RoomFor(t.TempDir(), 1<<62)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, "delete old recordings")
	require.ErrorIs(t, record.RoomFor(filepath.Join(t.TempDir(), "none"), 1), os.ErrNotExist)
}

func TestLeftoversOfAMergeAreRemovedAndNothingElse(t *testing.T) { // R4
	dir, parts := recorded(t, 2, "audio=none")
	all := merged(t, dir, parts)
	left := filepath.Join(dir, "."+all[0].Segment.File+".part")
	require.NoError(t, os.WriteFile(left, []byte("half"), 0o600))
	require.NoError(t, record.CleanMerges(dir))
	require.NoFileExists(t, left)
	require.FileExists(t, filepath.Join(dir, parts[0].File))
	require.FileExists(t, filepath.Join(dir, all[0].Segment.File))

	for range 2 { // a second time there is nothing more to do
		require.NoError(t, record.RemoveParts(dir, all[0]))
		require.NoFileExists(t, filepath.Join(dir, parts[0].File))
		require.FileExists(t, filepath.Join(dir, all[0].Segment.File))
	}
	require.NoError(t, os.Remove(filepath.Join(dir, all[0].Segment.File)))
	require.NoError(t, os.WriteFile(filepath.Join(dir, parts[0].File), nil, 0o600))
	require.ErrorIs(t, record.RemoveParts(dir, all[0]), os.ErrNotExist)
	require.FileExists(t, filepath.Join(dir, parts[0].File), "the parts stay where the merged file is gone")
}

// Between the parts of a merged file there may be holes. They are not those of a power cut: it had
// no name before it was durable.
func TestAMergedFileIsNothingToSalvage(t *testing.T) { // R3, R4
	dir, parts := recorded(t, 3, "audio=none")
	path := filepath.Join(dir, merged(t, dir, parts)[0].Segment.File)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	s, err := record.Salvage(path)
	require.NoError(t, err)
	require.False(t, s.Removed)
	require.Zero(t, s.Cut)
	require.NoError(t, s.Broken)
	require.Equal(t, []int{len(indexOf(t, path).Tracks[0].Samples)}, s.Frames)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestAMergedFileCountsAsANumber(t *testing.T) { // R4: the next file of a recorder gets another
	dir, parts := recorded(t, 2, "audio=none")
	all := merged(t, dir, parts)
	require.NoError(t, record.RemoveParts(dir, all[0]))
	require.NoError(t, film(t.Context(), "synth://?size=160x112&pace=fast&frames=5&audio=none", record.To(dir, record.Config{})))
	files, err := filepath.Glob(filepath.Join(dir, "*.mp4"))
	require.NoError(t, err)
	require.Len(t, files, 2)
	require.Equal(t, "00000001-"+parts[0].File[9:len(parts[0].File)-4]+".merged.mp4", filepath.Base(files[0]))
	require.Equal(t, "00000002", filepath.Base(files[1])[:8])
}
