package pack_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/pack"
	"github.com/millrace-video/millrace/stages/pack/packtest"
)

// counting counts what is read.
type counting struct {
	r     io.ReaderAt
	bytes int64
}

func (c *counting) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.r.ReadAt(p, at)
	c.bytes += int64(n)
	return n, err
}

// noted puts a note behind the head of a file, whose length is given.
func noted(file []byte, head int, json string) []byte {
	return append(pack.AppendNote(bytes.Clone(file[:head]), []byte(json)), file[head:]...)
}

func TestAnIndexNamesEveryFrame(t *testing.T) { // R6
	for _, tc := range clips() {
		t.Run(tc.name, func(t *testing.T) {
			file, sizes := written(t, tc.make(t))
			file = noted(file, sizes[0], `{"number":7}`)
			read := &counting{r: bytes.NewReader(file)}
			x, err := pack.ReadIndex(read, int64(len(file)))
			require.NoError(t, err)
			require.Equal(t, file[:sizes[0]], x.Head)
			require.JSONEq(t, `{"number":7}`, string(x.Note))
			require.EqualValues(t, len(file), x.Whole)
			require.NoError(t, x.Broken)
			require.False(t, x.Progressive)
			namesFragments(t, x, file, sizes)
			named(t, x, file, packtest.Parse(t, file))

			payload := 0
			for _, track := range x.Tracks {
				for _, s := range track.Samples {
					payload += int(s.Size)
				}
			}
			require.LessOrEqual(t, read.bytes, int64(len(file)-payload+1000), "payload was read")
		})
	}
}

// named compares an index with what mediacommon reads.
func named(t *testing.T, x *pack.Index, file []byte, c *packtest.Clip) {
	t.Helper()
	require.Len(t, x.Tracks, len(c.Stream.Tracks))
	for i, track := range x.Tracks {
		info := c.Stream.Tracks[i]
		require.EqualValues(t, i+1, track.ID)
		require.Equal(t, info.TimeScale, track.Scale)
		require.Equal(t, info.Codec.IsVideo(), track.Video)
		require.EqualValues(t, len(track.Entry), binary.BigEndian.Uint32(track.Entry))
		units := of(c, i)
		require.Len(t, track.Samples, len(units))
		for k, s := range track.Samples {
			u := units[k]
			require.InDelta(t, u.DTS, track.Time(s.DTS), 1)
			require.InDelta(t, u.PTS, track.Time(s.DTS+int64(s.Shift)), 1)
			require.InDelta(t, u.End, track.Time(s.DTS+int64(s.Duration)), 1)
			require.Equal(t, u.Key, s.Sync)
			require.True(t, bytes.Equal(u.Bytes, file[s.Offset:s.Offset+int64(s.Size)]), "frame %d", k)
		}
	}
}

// namesFragments compares the fragments with their sizes, of which the first is the head's.
func namesFragments(t *testing.T, x *pack.Index, file []byte, sizes []int) {
	t.Helper()
	require.Len(t, x.Fragments, len(sizes)-1)
	at := int64(len(file))
	lead := x.Tracks[x.Lead()]
	for i, f := range slices.Backward(x.Fragments) {
		at -= int64(sizes[i+1])
		require.Equal(t, at, f.Offset)
		require.EqualValues(t, sizes[i+1], f.Size)
		if f.First < len(lead.Samples) {
			require.Equal(t, lead.Time(lead.Samples[f.First].DTS), f.DTS)
			require.Less(t, f.Offset, lead.Samples[f.First].Offset)
		}
	}
}

// film is a small file: a second of pictures and sound in each of n fragments.
func film(t testing.TB, n int) (file []byte, sizes []int) {
	t.Helper()
	s := stream()
	p := planned(t, s)
	a := pool.NewArena(pool.ArenaConfig{})
	file, sizes = bytes.Clone(p.Movie().Head()), []int{len(p.Movie().Head())}
	for i := range n {
		for k := range 5 {
			at := time.Duration(i)*time.Second + time.Duration(k)*200*time.Millisecond
			for track := range 2 {
				f := frame(t, a, s, track, 8+4*track, at)
				f.Key = k == 0
				copy(f.Buf.Bytes(), []byte{0, 0, 0, 4, byte(i), byte(k), byte(track), 1})
				require.NoError(t, p.Add(f))
			}
		}
		piece := bytes.Join(p.Finish(), nil)
		p.Release()
		file, sizes = append(file, piece...), append(sizes, len(piece))
	}
	return file, sizes
}

func TestAFileIsWholeUpToItsLastWholeFragment(t *testing.T) { // R3
	file, sizes := film(t, 3)
	ends := []int{sizes[0], sizes[0] + sizes[1], sizes[0] + sizes[1] + sizes[2], len(file)}
	for n := range len(file) + 1 {
		x, err := pack.ReadIndex(bytes.NewReader(file[:n]), int64(n))
		if n < ends[1] {
			require.ErrorIs(t, err, pack.ErrCut, "cut after %d bytes", n)
			continue
		}
		whole := 1
		for whole < 3 && n >= ends[whole+1] {
			whole++
		}
		require.NoError(t, err)
		require.NoError(t, x.Broken)
		require.EqualValues(t, ends[whole], x.Whole, "cut after %d bytes", n)
		require.Len(t, x.Fragments, whole)
		require.Len(t, x.Tracks[0].Samples, 5*whole)
		require.Len(t, x.Tracks[1].Samples, 5*whole)
	}
}

// damage is one row: what was done to a file of three fragments, and what is left of it.
type damage struct {
	name   string
	do     func(file []byte, at []int) []byte // at: where each fragment begins, and the end
	want   error                              // of the whole file
	left   int                                // fragments
	broken bool
}

func damages() []damage {
	patch := func(at int, text string) func([]byte, []int) []byte {
		return func(f []byte, _ []int) []byte { copy(f[at:], text); return f }
	}
	// within a fragment
	second := func(find string, skip int, text string) func([]byte, []int) []byte {
		return func(f []byte, at []int) []byte {
			i := at[1] + bytes.Index(f[at[1]:], []byte(find)) + skip
			copy(f[i:], text)
			return f
		}
	}
	inHead := func(find string, skip int, text string) func([]byte, []int) []byte {
		return func(f []byte, _ []int) []byte { copy(f[bytes.Index(f, []byte(find))+skip:], text); return f }
	}
	return []damage{
		{"nothing was done", func(f []byte, _ []int) []byte { return f }, nil, 3, false},
		{"empty", func([]byte, []int) []byte { return nil }, pack.ErrCut, 0, false},
		{"never written", func(f []byte, _ []int) []byte { clear(f); return f }, pack.ErrCut, 0, false},
		{"something else", func([]byte, []int) []byte { return []byte("These are the minutes of the meeting.") }, pack.ErrDamaged, 0, false},
		{"zeros before something else", func(f []byte, _ []int) []byte { clear(f[:100]); return f }, pack.ErrDamaged, 0, false},
		{"a transport stream", patch(0, "\x47\x40\x00\x10\x00\x00"), pack.ErrDamaged, 0, false},
		{"somebody's film, its index at the end", func(f []byte, _ []int) []byte {
			return append(f[:binary.BigEndian.Uint32(f)], "\x7f\xff\xff\xffmdat...."...)
		}, pack.ErrDamaged, 0, false},
		{"the fragment under way is called free", func(f []byte, at []int) []byte { copy(f[at[2]:], "\x00\x00\x00\x00free"); return f }, nil, 2, false},
		{"zeros at the end", func(f []byte, at []int) []byte { clear(f[at[2]:]); return f }, nil, 2, false},
		{"zeros after the second moof", func(f []byte, at []int) []byte { clear(f[at[2]-168:]); return f }, nil, 1, false},
		{"a box of 3 bytes", func(f []byte, at []int) []byte { copy(f[at[1]:], "\x00\x00\x00\x03"); return f }, nil, 1, true},
		{"a moof past the end", func(f []byte, at []int) []byte { copy(f[at[2]:], "\x7f\xff\xff\xff"); return f }, nil, 2, false},
		{"a box of 2^63 bytes", func(f []byte, at []int) []byte {
			copy(f[at[2]:], "\x00\x00\x00\x01moof\xff\xff\xff\xff\xff\xff\xff\xff")
			return f
		}, nil, 2, true},
		{"no mdat", second("mdat", 0, "mbat"), nil, 2, true},
		{"a traf past its moof", second("traf", -4, "\x00\x0f\xff\xff"), nil, 2, true},
		{"a track that nobody knows", second("tfhd", 8, "\x00\x00\x00\x09"), nil, 2, true},
		{"others' tfhd", second("tfhd", 4, "\x00\x00\x00\x01"), nil, 2, true},
		{"others' trun", second("trun", 4, "\x01\x00\x03\x05"), nil, 2, true},
		{"more frames than there are", second("trun", 8, "\x7f\xff\xff\xff"), nil, 2, true},
		{"frames before their fragment", second("trun", 12, "\xff\xff\xff\x00"), nil, 2, true},
		{"frames larger than their fragment", second("trun", 20, "\x7f\xff\xff\xff"), nil, 2, true},
		{"no time", second("tfdt", 0, "tfdx"), nil, 2, true},
		{"a time beyond all", second("tfdt", 8, "\x7f\xff\xff\xff\xff\xff\xff\xff"), nil, 2, true},
		{"no time scale", inHead("mdhd", 16, "\x00\x00\x00\x00"), pack.ErrDamaged, 0, false},
		{"no track number", inHead("tkhd", 16, "\x00\x00\x00\x00"), pack.ErrDamaged, 0, false},
		{"two tracks of a number", inHead("tkhd", 16, "\x00\x00\x00\x02"), pack.ErrDamaged, 0, false},
		{"a track of subtitles", inHead("hdlr", 12, "sbtl"), pack.ErrDamaged, 0, false},
		{"two sample descriptions", inHead("stsd", 8, "\x00\x00\x00\x02"), pack.ErrDamaged, 0, false},
		{"no sample description", inHead("stsd", 0, "stsx"), pack.ErrDamaged, 0, false},
		{"a sample description past its box", inHead("avc1", -4, "\x00\xff\xff\xff"), pack.ErrDamaged, 0, false},
		{"a track past its moov", inHead("trak", -4, "\x00\xff\xff\xff"), pack.ErrDamaged, 0, false},
		{"no tracks", func(f []byte, _ []int) []byte { return bytes.ReplaceAll(f, []byte("trak"), []byte("frak")) }, pack.ErrDamaged, 0, false},
	}
}

// done returns a file of three fragments to which the damage was done.
func (d damage) done(t testing.TB) []byte {
	t.Helper()
	file, sizes := film(t, 3)
	at := []int{sizes[0]}
	for _, n := range sizes[1:] {
		at = append(at, at[len(at)-1]+n)
	}
	return d.do(file, at)
}

func TestDamageCostsNoMoreThanItTouches(t *testing.T) { // R3
	for _, tc := range damages() {
		t.Run(tc.name, func(t *testing.T) {
			file := tc.done(t)
			x, err := pack.ReadIndex(bytes.NewReader(file), int64(len(file)))
			if tc.want != nil {
				require.ErrorIs(t, err, tc.want)
				return
			}
			require.NoError(t, err)
			require.Len(t, x.Fragments, tc.left)
			require.Equal(t, tc.broken, x.Broken != nil, "%v", x.Broken)
		})
	}
}

func TestAnIndexTakesLittleMemory(t *testing.T) {
	require.EqualValues(t, 32, unsafe.Sizeof(pack.Sample{}))
}

// BenchmarkReadIndex reads the index of ten minutes: 15,000 pictures and as many pieces of
// sound in 600 fragments.
func BenchmarkReadIndex(b *testing.B) {
	s := stream()
	p := planned(b, s)
	a := pool.NewArena(pool.ArenaConfig{})
	file := bytes.Clone(p.Movie().Head())
	for i := range 30_000 {
		at := time.Duration(i/2) * 40 * time.Millisecond
		require.NoError(b, p.Add(frame(b, a, s, i%2, 100, at)))
		if p.Ready(time.Second) {
			file = append(file, bytes.Join(p.Cut(), nil)...)
			p.Release()
		}
	}
	p.Discard()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pack.ReadIndex(bytes.NewReader(file), int64(len(file))); err != nil {
			b.Fatal(err)
		}
	}
}

// progressive is the film as Film writes it.
func progressive(t testing.TB) []byte {
	t.Helper()
	file, _ := film(t, 3)
	path := filepath.Join(t.TempDir(), "a.mp4")
	require.NoError(t, os.WriteFile(path, file, 0o600))
	x, err := pack.OpenIndex(path)
	require.NoError(t, err)
	f := pack.NewFilm(x)
	require.NoError(t, f.Append(pack.Source{Path: path, At: time.Second}, x))
	f.Note([]byte("{}"))
	var out bytes.Buffer
	_, err = f.WriteTo(&out)
	require.NoError(t, err)
	return out.Bytes()
}

func TestADamagedIndexOfAFilmIsRefused(t *testing.T) {
	whole := progressive(t)
	x, err := pack.ReadIndex(bytes.NewReader(whole), int64(len(whole)))
	require.NoError(t, err)
	require.True(t, x.Progressive)
	require.Equal(t, "{}", string(x.Note))
	require.EqualValues(t, len(whole), x.Whole)
	require.EqualValues(t, 90000, x.Tracks[0].Samples[0].DTS, "it begins a second late")
	for _, tc := range []struct {
		box  string
		skip int
		text string
	}{
		{"stsz", 12, "\x7f\xff\xff\xff"}, // more frames than sizes
		{"stsz", 8, "\x00\x00\x00\xff"},  // all of a size, and more than the file holds
		{"stts", 8, "\x7f\xff\xff\xff"},  // more entries than there is room for
		{"stts", 12, "\x00\x00\x00\x02"}, // times of two frames
		{"stts", 12, "\x7f\xff\xff\xff"}, // of too many
		{"stss", 12, "\x00\x00\x00\x00"}, // frame 0
		{"stss", 8, "\x7f\xff\xff\xff"},
		{"stsc", 16, "\x00\x00\x00\x00"}, // chunks of nothing
		{"stsc", 8, "\x00\x00\x00\x00"},  // nobody says how many
		{"stco", 12, "\x7f\xff\xff\xff"}, // past the end
		{"stco", 8, "\x00\x00\x00\x01"},  // chunks are missing
		{"stco", 0, "stxx"},              // no places
		{"elst", 8, "\x7f\xff\xff\xff"},
		{"mdat", -4, "\x7f\xff\xff\xff"},
	} {
		t.Run(tc.box, func(t *testing.T) {
			file := bytes.Clone(whole)
			i := bytes.Index(file, []byte(tc.box))
			require.Positive(t, i)
			copy(file[i+tc.skip:], tc.text)
			_, err := pack.ReadIndex(bytes.NewReader(file), int64(len(file)))
			require.ErrorIs(t, err, pack.ErrDamaged)
		})
	}
	for n := range whole {
		_, err := pack.ReadIndex(bytes.NewReader(whole[:n]), int64(n))
		require.Error(t, err, "cut after %d bytes", n)
	}
}

// FuzzReadIndex gives files of anything: what an index names lies in the file.
func FuzzReadIndex(f *testing.F) {
	for _, d := range damages() {
		f.Add(d.done(f))
	}
	file, sizes := film(f, 1)
	f.Add(noted(file, sizes[0], "{}"))
	f.Add(progressive(f))
	f.Fuzz(func(t *testing.T, file []byte) {
		x, err := pack.ReadIndex(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		require.LessOrEqual(t, x.Whole, int64(len(file)))
		x.Length()
		for _, track := range x.Tracks {
			require.NotZero(t, track.Scale)
			for _, s := range track.Samples {
				require.GreaterOrEqual(t, s.Offset, int64(0))
				require.LessOrEqual(t, s.Offset+int64(s.Size), int64(len(file)))
			}
		}
	})
}
