package file_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/file"
)

// damage is one row of the table: what is done to which file, what the error says and how much
// of the file is played before. It feeds the tests and the fuzzers' seeds.
type damage struct {
	name   string
	source string // the recipe of the whole file; "": do makes it all
	do     func(b []byte) []byte
	want   string // part of the error; "": the file is played to its end
	frames int    // at least so many frames come before
}

// poke writes a big-endian number off bytes behind the first occurrence of a box's name.
func poke(kind string, off int, v uint32) func([]byte) []byte {
	return func(b []byte) []byte {
		binary.BigEndian.PutUint32(b[bytes.Index(b, []byte(kind))+4+off:], v)
		return b
	}
}

// rename makes a box another one, which is ignored.
func rename(kind, other string) func([]byte) []byte {
	return func(b []byte) []byte {
		i := bytes.Index(b, []byte(kind))
		copy(b[max(i, 0):], other)
		return b
	}
}

func cut(numerator, denominator int) func([]byte) []byte {
	return func(b []byte) []byte { return b[:len(b)*numerator/denominator] }
}

func whole(content string) func([]byte) []byte {
	return func([]byte) []byte { return []byte(content) }
}

func put(p ...byte) func([]byte) []byte {
	return func(b []byte) []byte {
		copy(b, p)
		return b
	}
}

const tsLen = 188

func damages() []damage {
	return []damage{
		// MP4 as a whole.
		{"mp4: cut within the samples, index first", "first.mp4", cut(1, 2), "the file ends at byte", 10},
		{"mp4: cut within the samples, index last", "h264.mp4", cut(1, 2), "without the index", 0},
		{"mp4: cut within the index", "first.mp4", func(b []byte) []byte { return b[:500] }, "within the index", 0},
		{"mp4: cut within the index, last", "h264.mp4", cut(99, 100), "within the index", 0},
		{"mp4: cut after 20 bytes", "h264.mp4", func(b []byte) []byte { return b[:20] }, "damaged", 0},
		{"mp4: no moov", "h264.mp4", rename("moov", "free"), "without the index", 0},
		{"mp4: moov only", "first.mp4", func(b []byte) []byte { return b[:bytes.Index(b, []byte("mdat"))-4] }, "the file ends", 0},
		{"mp4: a box of 0 bytes runs to the end", "h264.mp4", put(0, 0, 0, 0), "without the index", 0},
		{"mp4: a box of 1 byte with a size of 0", "h264.mp4", put(0, 0, 0, 1, 'f', 't', 'y', 'p', 0, 0, 0, 0, 0, 0, 0, 0), "a size of 0 bytes", 0},
		{"mp4: a box of 7 bytes", "h264.mp4", put(0, 0, 0, 7), "a size of 7 bytes", 0},
		{"mp4: a box whose size overflows", "h264.mp4", put(0, 0, 0, 1, 'f', 't', 'y', 'p', 0x7f, 255, 255, 255, 255, 255, 255, 255), "without the index", 0},
		{"mp4: a box within moov that passes its end", "first.mp4", poke("trak", -8, 0x7fffffff), "passes the end of what holds it", 0},
		{"mp4: a time scale of 0", "first.mp4", poke("mdhd", 12, 0), "a time scale of 0", 0},
		{"mp4: no tracks", "first.mp4", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("trak"), []byte("free")) }, "no track with pictures or sound", 0},
		{"mp4: codecs nobody knows", "first.mp4", func(b []byte) []byte {
			return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("avc1"), []byte("zzzz")), []byte("mp4a"), []byte("yyyy"))
		}, "no track can be played, only: track 1 (zzzz), track 2 (yyyy)", 0},
		{"mp4: avcC ends within its lists", "first.mp4", poke("avcC", 4, 0xffe1ffff), "parameter set", 0},
		{"mp4: a parameter set that makes no sense", "first.mp4", func(b []byte) []byte {
			return poke("avcC", 12, 0)(poke("avcC", 8, 0x67420000)(b))
		}, "makes no sense", 0},

		// MP4's tables.
		{"mp4: stsz counts too many", "first.mp4", poke("stsz", 8, 0x7fffffff), "there is room for", 0},
		{"mp4: stsz counts more than there are durations", "first.mp4", func(b []byte) []byte {
			return poke("stts", 8, 10)(b)
		}, "durations of 10 of the track's", 9},
		{"mp4: a sample larger than the file", "first.mp4", poke("stsz", 12+4*5, 0x7fffffff), "has a sample of 2147483647 bytes", 3},
		{"mp4: stco counts too many", "first.mp4", poke("stco", 4, 0xffffffff), "there is room for", 0},
		{"mp4: stco points past the end", "first.mp4", poke("stco", 8, 0xfffffff0), "the file ends at byte", 0},
		{"mp4: no stco", "first.mp4", rename("stco", "free"), "stco is missing", 0},
		{"mp4: stsc with chunks of no samples", "first.mp4", poke("stsc", 12, 0), "chunks without samples", 0},
		{"mp4: stsc counts too many", "first.mp4", poke("stsc", 4, 0x10000000), "there is room for", 0},
		{"mp4: no stsc", "first.mp4", rename("stsc", "free"), "stsc is missing", 0},
		{"mp4: ctts counts too many", "first.mp4", poke("ctts", 4, 0x20000001), "there is room for", 0},
		{"mp4: a duration of 2³² ticks a sample", "first.mp4", poke("stts", 12, 0xffffffff), "", 90},
		{"mp4: every size 0", "first.mp4", func(b []byte) []byte {
			at := bytes.Index(b, []byte("stsz")) + 4
			clear(b[at+12 : at+12+4*50])
			return b
		}, "", 90},

		// Fragments.
		{"fmp4: cut within a fragment's samples", "frag.mp4", cut(3, 4), "the file ends at byte", 10},
		{"fmp4: cut within a fragment's header", "frag.mp4", func(b []byte) []byte { return b[:bytes.LastIndex(b, []byte("moof"))+30] }, "damaged", 10},
		{"fmp4: trun counts too many", "frag.mp4", poke("trun", 4, 0xffffffff), "there is room for", 0},
		{"fmp4: trun without sizes counts for ever", "frag.mp4", func(b []byte) []byte { return poke("trun", 4, 0xffffffff)(poke("trun", 0, 1)(b)) }, "samples of", 0},
		{"fmp4: trun points before the file", "frag.mp4", poke("trun", 8, 0x80000000), "sample", 0},
		{"fmp4: tfdt beyond any time", "frag.mp4", func(b []byte) []byte { return poke("tfdt", 4, 0x7fffffff)(b) }, "time stamp", 0},
		{"fmp4: no trun at all", "frag.mp4", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("trun"), []byte("free")) }, "no samples", 0},
		{"fmp4: another track's fragments", "frag.mp4", func(b []byte) []byte {
			for at := 0; ; {
				i := bytes.Index(b[at:], []byte("tfhd"))
				if i < 0 {
					return b
				}
				at += i + 4
				binary.BigEndian.PutUint32(b[at+4:], 99)
			}
		}, "no samples", 0},
		{"fmp4: boxes nested 10000 deep", "", func([]byte) []byte { return nested(10000) }, "no track with", 0},

		// MPEG-TS.
		{"ts: cut within a packet", "h264.ts", func(b []byte) []byte { return b[:tsLen*100+77] }, "no whole packet follows", 5},
		{"ts: cut within a PES packet", "h264.ts", func(b []byte) []byte { return b[:tsLen*100] }, "", 10},
		{"ts: garbage before", "h264.ts", func(b []byte) []byte { return append(bytes.Repeat([]byte("garbage"), 100), b...) }, "", 90},
		{"ts: garbage within", "h264.ts", func(b []byte) []byte {
			return append(b[:tsLen*100:tsLen*100], append(bytes.Repeat([]byte{0x47, 1, 2}, 333), b[tsLen*100:]...)...)
		}, "", 50},
		{"ts: garbage to the end", "h264.ts", func(b []byte) []byte { clear(b[tsLen*200:]); return b }, "no whole packet follows", 30},
		{"ts: nothing but null packets", "", func([]byte) []byte {
			return bytes.Repeat(append([]byte{0x47, 0x1f, 0xff, 0x10}, make([]byte, 184)...), 1000)
		}, "no program", 0},
		{"ts: a program with unknown types", "h264.ts", func(b []byte) []byte { return retype(b, 0x1b, 0xdb, 0x0f, 0xdc) }, "stream type 0xdb", 0},
		{"ts: pictures of an unknown type, sound stays", "h264.ts", func(b []byte) []byte { return retype(b, 0x1b, 0xdb, 0x0f, 0x0f) }, "", 90},
		{"ts: tables with a wrong checksum", "h264.ts", func(b []byte) []byte {
			for at := 0; at < len(b); at += tsLen {
				if pid := binary.BigEndian.Uint16(b[at+1:]) & 0x1fff; pid == 0 {
					b[at+8] ^= 0xff
				}
			}
			return b
		}, "no program", 0},
		{"ts: lost packets", "h264.ts", func(b []byte) []byte {
			return append(b[:tsLen*60:tsLen*60], b[tsLen*63:]...)
		}, "", 80},
		{"ts: adaptation fields longer than the packet", "h264.ts", func(b []byte) []byte {
			for at := tsLen * 50; at < tsLen*60; at += tsLen {
				b[at+3], b[at+4] = b[at+3]|0x30, 0xff
			}
			return b
		}, "", 50},

		// Annex B.
		{"annex b: cut within a unit", "h264.h264", cut(1, 2), "", 10},
		{"annex b: no key frame", "h264.h264", func(b []byte) []byte {
			i := bytes.Index(b, []byte{0, 0, 0, 1, 0x67})
			return append(b[i:i+40:i+40], bytes.Repeat([]byte{0, 0, 1, 0x41, 0x9a, 1, 2, 3}, 100)...)
		}, "no key frame", 0},
		{"annex b: zeros within", "h264.h264", func(b []byte) []byte { clear(b[len(b)/2 : len(b)/2+2000]); return b }, "", 10},
		{"annex b: a unit that never ends", "h264.h264", func(b []byte) []byte {
			return append(b, bytes.Repeat([]byte{1}, 40<<20)...)
		}, "", 40},
		{"annex b: start codes only", "h264.h264", func(b []byte) []byte {
			return append(b, bytes.Repeat([]byte{0, 0, 1}, 100_000)...)
		}, "", 49},
		{"annex b h265: cut within a unit", "h265.265", cut(1, 2), "", 10},

		// No video at all.
		{"empty", "", whole(""), "the file is empty", 0},
		{"text", "", whole("Lorem ipsum dolor sit amet.\n"), "it looks like text", 0},
		{"zeros", "", whole(strings.Repeat("\x00", 1<<20)), "it begins with 00", 0},
		{"a sound file", "pcm.wav", nil, "it looks like AVI or WAV", 0},
		{"FLV", "flv.flv", nil, "it looks like FLV", 0},
		{"MP4 with VP9 only", "vp9.mp4", nil, "vp09", 0},
	}
}

// nested is a fragmented file whose moov is boxes within boxes.
func nested(depth int) []byte {
	inner := []byte{}
	for range depth {
		inner = append(binary.BigEndian.AppendUint32(nil, uint32(len(inner)+8)), append([]byte("moov"), inner...)...)
		if len(inner) > 1<<20 {
			break
		}
	}
	return inner
}

// retype changes the stream types in every program map and its checksum.
func retype(b []byte, pairs ...byte) []byte {
	for at := 0; at < len(b); at += tsLen {
		p := b[at : at+tsLen]
		if p[1]&0x40 == 0 || p[5] != 2 || p[4] != 0 {
			continue
		}
		s := p[5 : 5+3+int(binary.BigEndian.Uint16(p[6:])&0xfff)]
		for i := 12 + int(binary.BigEndian.Uint16(s[10:])&0xfff); i+5 <= len(s)-4; i += 5 + int(binary.BigEndian.Uint16(s[i+3:])&0xfff) {
			for k := 0; k < len(pairs); k += 2 {
				if s[i] == pairs[k] {
					s[i] = pairs[k+1]
					break
				}
			}
		}
		binary.BigEndian.PutUint32(s[len(s)-4:], file.CRC(s[:len(s)-4]))
	}
	return b
}

func (d damage) content(t testing.TB) []byte {
	t.Helper()
	var b []byte
	if d.source != "" {
		var err error
		b, err = os.ReadFile(media(t, d.source))
		require.NoError(t, err)
	}
	if d.do != nil {
		b = d.do(b)
	}
	return b
}

// playContent plays bytes to their end or first error and checks each frame's form.
func playContent(t testing.TB, b []byte, limit int) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	src, err := file.OpenContent(ctx, bytes.NewReader(b), int64(len(b)), "file:x?pace=fast", hal.Options{})
	if err != nil {
		return 0, err
	}
	defer func() {
		require.NoError(t, src.Close())
		require.Zero(t, file.Held(src), "frames never released")
	}()
	last := map[int]time.Duration{}
	for n := range limit {
		f, err := src.Read(ctx)
		if err != nil {
			return n, err
		}
		require.Less(t, f.Track, len(f.Stream.Tracks))
		require.Positive(t, f.Buf.Len())
		if f.Info().Codec == hal.H264 || f.Info().Codec == hal.H265 {
			for p := f.Buf.Bytes(); len(p) > 0; {
				require.GreaterOrEqual(t, len(p), 4)
				size := int(binary.BigEndian.Uint32(p))
				require.Positive(t, size)
				require.LessOrEqual(t, size, len(p)-4)
				p = p[4+size:]
			}
		}
		require.GreaterOrEqual(t, f.Stamp.DTS, last[f.Track], "DTS steps back")
		last[f.Track] = f.Stamp.DTS
		f.Release()
	}
	return limit, nil
}

// A damaged file gives its good part and then an error that says what is wrong and where (A3).
func TestDamagedFiles(t *testing.T) {
	for _, d := range damages() {
		t.Run(d.name, func(t *testing.T) {
			n, err := playContent(t, d.content(t), 1<<20)
			require.NotErrorIs(t, err, context.DeadlineExceeded, "a hang")
			require.GreaterOrEqual(t, n, d.frames, "frames before the end: %v", err)
			if d.want == "" {
				require.ErrorIs(t, err, io.EOF)
				return
			}
			require.ErrorContains(t, err, d.want)
			var where *file.DamagedError
			if errors.As(err, &where) {
				require.GreaterOrEqual(t, where.Offset, int64(0))
				require.NotEmpty(t, where.Where)
				require.NotEmpty(t, where.Advice)
			}
			if n == 0 && d.frames == 0 && where == nil {
				require.ErrorIs(t, err, hal.ErrUnsupported)
			}
		})
	}
}

// What is no file, or may not be read, is said without waiting for it.
func TestFilesThatDoNotOpen(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe.mp4"), 0o600))
	for _, tc := range []struct {
		path, want string
		is         error
	}{
		{"nowhere.mp4", "check the path", hal.ErrNoDevice},
		{".", "is a directory", hal.ErrUnsupported},
		{"pipe.mp4", "is no regular file", hal.ErrUnsupported},
	} {
		_, err := hal.NewRegistry(file.Driver{}).Open(t.Context(), "file://"+dir+"/"+tc.path, hal.Options{})
		require.ErrorIs(t, err, tc.is)
		require.ErrorContains(t, err, tc.want)
	}
	err := file.Refused("x.mp4", &fs.PathError{Op: "open", Path: "x.mp4", Err: syscall.EACCES})
	require.ErrorIs(t, err, hal.ErrNoDevice)
	require.ErrorContains(t, err, "let the program's user read it")

	_, err = hal.NewRegistry(file.Driver{}).Open(t.Context(), "file://"+media(t, "video.mp4")+"?rate=25", hal.Options{})
	require.ErrorIs(t, err, hal.ErrUnsupported)
	require.ErrorContains(t, err, "rate= is for Annex B")
}

// After a frame that was lost the next one says so.
func TestGapAfterLoss(t *testing.T) {
	b, err := os.ReadFile(media(t, "h264.ts"))
	require.NoError(t, err)
	b = append(b[:tsLen*60:tsLen*60], b[tsLen*63:]...)
	src, err := file.OpenContent(t.Context(), bytes.NewReader(b), int64(len(b)), "file:x?pace=fast", hal.Options{})
	require.NoError(t, err)
	_, frames, err := play(t, src)
	require.NoError(t, err)
	gaps := 0
	for _, f := range frames {
		gaps += btoi(f.Gap)
	}
	require.Positive(t, gaps)
	require.LessOrEqual(t, gaps, 2)
	stats := src.(hal.Reporter).SourceStats()
	require.Positive(t, stats.Lost)
	require.Positive(t, stats.Malformed)
	require.EqualValues(t, len(frames), stats.Frames)
	require.NoError(t, src.Close())
}

// FuzzFile takes any bytes as a file.
func FuzzFile(f *testing.F) {
	for _, d := range damages() {
		if b := d.content(f); len(b) < 20<<10 {
			f.Add(b)
		}
	}
	for _, name := range []string{"tiny.mp4", "tiny-frag.mp4", "tiny.ts", "tiny.h264", "tiny-hevc.mp4", "tiny.265", "av1.mp4"} {
		b, err := os.ReadFile(media(f, name))
		require.NoError(f, err)
		f.Add(b[:min(len(b), 32<<10)])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := playContent(t, b, 5000)
		require.NotErrorIs(t, err, context.DeadlineExceeded, "a hang")
	})
}
