package record_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/stages/pack"
	"github.com/millrace-video/millrace/stages/pack/packtest"
	"github.com/millrace-video/millrace/stages/record"
)

// part is a file as a recorder leaves it: three fragments of a second, H.264 and AAC, its note
// behind the head.
func part(t *testing.T, seg record.Segment) []byte {
	t.Helper()
	g := recorder(t, record.Config{})
	g.feed(pictures(t, true), nil)
	file, err := os.ReadFile(g.close()[0])
	require.NoError(t, err)
	x, err := pack.ReadIndex(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	note, err := json.Marshal(seg)
	require.NoError(t, err)
	return append(pack.AppendNote(bytes.Clone(x.Head), note), file[x.Fragments[0].Offset:]...)
}

func TestWhatWasLeftOpenIsCutBackToItsLastWholeFragment(t *testing.T) { // R3
	file := part(t, record.Segment{Number: 7, Recording: 5, Start: record.Instant{Wall: 1, Mono: 2, Anchor: 3}})
	x, err := pack.ReadIndex(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	last := x.Fragments[len(x.Fragments)-1]
	second := x.Fragments[1]
	full := []int{75, len(x.Tracks[1].Samples)}
	for _, tc := range []struct {
		name   string
		left   []byte
		whole  int64
		length time.Duration
		says   string
	}{
		{"nothing is missing", file, int64(len(file)), 3 * time.Second, "it was whole"},
		{"a byte is missing", file[:len(file)-1], last.Offset, last.DTS, "cut off"},
		{"under way", patched(file, last.Offset, "\x00\x00\x00\x00free"), last.Offset, last.DTS, "cut off"},
		{"half a header", file[:second.Offset+5], second.Offset, second.DTS, "5 bytes behind the last whole fragment cut off"},
		{"zeros", append(bytes.Clone(file), make([]byte, 9000)...), int64(len(file)), 3 * time.Second, "9000 bytes behind the last whole fragment cut off"},
		{"no fragment", file[:x.Fragments[0].Offset+100], 0, 0, "removed"},
		{"half a head", file[:100], 0, 0, "removed"},
		{"nothing", nil, 0, 0, "removed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "00000007-20260101T000000Z.mp4")
			require.NoError(t, os.WriteFile(path, tc.left, 0o600))
			s, err := record.Salvage(path)
			require.NoError(t, err)
			require.Contains(t, s.String(), tc.says)
			require.Contains(t, s.String(), path)
			require.Equal(t, int64(len(tc.left))-tc.whole, s.Cut)
			if tc.whole == 0 {
				require.True(t, s.Removed)
				require.NoFileExists(t, path)
				return
			}
			require.InDelta(t, tc.length, s.Length(), float64(50*time.Millisecond))
			require.Equal(t, tc.whole, s.Segment.Bytes)
			require.EqualValues(t, 7, s.Segment.Number)
			require.True(t, s.Noted)
			require.Equal(t, packtest.Plays(t, path, 0), s.Frames[0])
			if s.Length() >= 3*time.Second {
				require.Equal(t, full, s.Frames)
			}
			got, err := os.ReadFile(path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(file[:tc.whole], got), "what is left is as it was written")

			again, err := record.Salvage(path) // idempotent
			require.NoError(t, err)
			s.Cut = 0
			require.Equal(t, s, again)
		})
	}
}

// R3: a power cut that kept the length of a file, and its headers, and lost a block of a picture.
func TestWhatThePowerCutLeftUnwrittenIsCutOff(t *testing.T) {
	const block = 4096
	file := part(t, record.Segment{Number: 7})
	x, err := pack.ReadIndex(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	second := x.Fragments[1]
	hole := (second.Offset/block + 2) * block
	require.Less(t, hole+block, second.Offset+second.Size, "the hole lies in the payload")
	path := filepath.Join(t.TempDir(), "00000007-20260101T000000Z.mp4")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // it only stands beside the test
	_, err = f.WriteAt(file[:hole], 0)
	require.NoError(t, err)
	_, err = f.WriteAt(file[hole+block:], hole+block)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	if at, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_HOLE); err != nil || at != hole {
		t.Skipf("the file system of %s keeps no holes", path)
	}
	s, err := record.Salvage(path)
	require.NoError(t, err)
	require.Equal(t, second.Offset, s.Segment.Bytes)
	require.Equal(t, int64(len(file))-second.Offset, s.Cut)
	require.Equal(t, packtest.Plays(t, path, 0), s.Frames[0])
}

// R3: at most the sync interval is missing after a power cut, counted from the frame on, which waits
// for its fragment first.
func TestWhatIsWrittenWaitsNoLongerThanTheSyncIntervalLeaves(t *testing.T) {
	for _, tc := range []struct {
		sync, fragment, want time.Duration
	}{
		{0, 0, 3500 * time.Millisecond}, // 5 s, fragments of 1 s
		{5 * time.Second, 200 * time.Millisecond, 4700 * time.Millisecond},
		{2 * time.Second, 0, 500 * time.Millisecond},
		{time.Second, 0, 0},
		{1, 0, 0}, // each fragment
		{record.SyncSegment, 0, -1},
	} {
		require.Equal(t, tc.want, record.Patience(record.Config{Sync: tc.sync, FragmentDuration: tc.fragment}), "%+v", tc)
	}
}

func patched(file []byte, at int64, text string) []byte {
	file = bytes.Clone(file)
	copy(file[at:], text)
	return file
}

func TestSalvageLeavesAloneWhatIsNotOurs(t *testing.T) { // R3
	file := part(t, record.Segment{Number: 1})
	x, err := pack.ReadIndex(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	others := filepath.Join(t.TempDir(), "others.mp4")
	packtest.Tool(t, "ffmpeg", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=1", "-c:v", "libx264", "-movflags", "frag_keyframe+empty_moov", others)
	made, err := os.ReadFile(others)
	require.NoError(t, err)
	for _, tc := range []struct {
		name string
		file []byte
		ok   bool
	}{
		{"a text", []byte("minutes of the meeting"), false},
		{"another program's film", made, false},
		{"a damaged fragment before whole ones", patched(file, x.Fragments[1].Offset+40, "\x00\x00\x00\x01"), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "00000001-20260101T000000Z.mp4")
			require.NoError(t, os.WriteFile(path, tc.file, 0o600))
			s, err := record.Salvage(path)
			if tc.ok {
				require.NoError(t, err)
				require.ErrorIs(t, s.Broken, pack.ErrDamaged)
				require.Contains(t, s.String(), "left as it is")
			} else {
				require.ErrorIs(t, err, pack.ErrDamaged)
			}
			got, err := os.ReadFile(path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(tc.file, got))
		})
	}
	_, err = record.Salvage(filepath.Join(t.TempDir(), "none.mp4"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
