package flv_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/flv"
	"github.com/millrace-video/millrace/hal/flv/flvtest"
	"github.com/millrace-video/millrace/hal/haltest"
)

// damage is one row of the table: what is done to a small stream of H.264 and AAC, and what comes
// of it. It feeds the tests and the fuzzer's seeds.
type damage struct {
	name string
	do   func(tags [][]byte) []byte // tags are the file header, two sequence headers, then frames
	want string                     // part of the error of Open; "": it opens
	lost int                        // frames that do not come, of those after the tenth tag at most
	// What is counted at least.
	malformed, recovered uint64
}

// at damages one tag.
func at(i int, do func(tag []byte) []byte) func([][]byte) []byte {
	return func(tags [][]byte) []byte {
		tags[i] = do(bytes.Clone(tags[i]))
		return slices.Concat(tags...)
	}
}

func claim(size int) func([]byte) []byte {
	return func(tag []byte) []byte {
		tag[1], tag[2], tag[3] = byte(size>>16), byte(size>>8), byte(size)
		return tag
	}
}

// body replaces a tag's body.
func body(p ...byte) func([]byte) []byte {
	return func(tag []byte) []byte { return flvtest.Tag(tag[0], binary.BigEndian.Uint32(tag[3:])&0xffffff, p...) }
}

func instead(p string) func([][]byte) []byte { return func([][]byte) []byte { return []byte(p) } }

// picked is the tag that most rows damage: a picture.
const picked = 11

func damages() []damage {
	garbage := bytes.Repeat([]byte("\x09garbage\x00\x00"), 300)
	return []damage{
		{"nothing", func(tags [][]byte) []byte { return slices.Concat(tags...) }, "", 0, 0, 0},
		{"no byte", instead(""), `this is no FLV: the answer ("video/x-flv") ends after 0 bytes`, 0, 0, 0},
		{"a web page", instead("<!DOCTYPE html><title>Camera</title>"), `begins with "<!DOCTYPE"`, 0, 0, 0},
		{"another version", instead("FLV\x02\x05\x00\x00\x00\x09\x00\x00\x00\x00"), "this is no FLV", 0, 0, 0},
		{"a giant file header", instead("FLV\x01\x05\xff\xff\xff\xff\x00\x00\x00\x00"), "this is no FLV", 0, 0, 0},
		{"a tiny file header", instead("FLV\x01\x05\x00\x00\x00\x00\x00\x00\x00\x00"), "this is no FLV", 0, 0, 0},
		{"only a file header", instead("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"), "after 13 bytes, before a picture or sound was known", 0, 0, 0},
		{"only garbage", instead("FLV\x01\x05\x00\x00\x00\x09" + strings.Repeat("x", 2<<20)), "no tag begins in the 1048577 bytes before byte", 0, 0, 0},
		{"no codec that is taken", instead("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00" +
			string(flvtest.Tag(9, 0, 0x24, 1, 2)) + string(flvtest.Tag(8, 0, 0x2f, 1, 2))), `no track of a known codec (["VP6" "MP3"])`, 0, 0, 0},
		{"a longer file header", at(0, func([]byte) []byte { return []byte("FLV\x01\x05\x00\x00\x00\x0cabc\x00\x00\x00\x00") }), "", 0, 0, 0},
		{"no flags in the file header", at(0, func(h []byte) []byte { h[4] = 0; return h }), "", 0, 0, 0},
		{"flags that lie", at(0, func(h []byte) []byte { h[4] = 4; return h }), "", 0, 0, 0},
		{"garbage between tags", at(picked, func(b []byte) []byte { return slices.Concat(b, garbage) }), "", 0, 0, 1},
		{"garbage before the first tag", at(0, func(b []byte) []byte { return slices.Concat(b, garbage) }), "", 0, 0, 1},
		{"a wrong size of the tag before", at(picked, func(b []byte) []byte { b[len(b)-1] ^= 0x55; return b }), "", 0, 0, 0},
		{"sizes of 0 of the tags before", func(tags [][]byte) []byte {
			for _, b := range tags[1:] {
				clear(b[len(b)-4:])
			}
			return slices.Concat(tags...)
		}, "", 0, 0, 0},
		{"a giant size", at(picked, claim(0xffffff)), "", 1000, 0, 0},
		{"a size that is too large", at(picked, func(b []byte) []byte { return claim(len(b) - 11)(b) }), "", 2, 1, 1},
		{"a size that is too small", at(picked, claim(12)), "", 1, 1, 1},
		{"a size of 0", at(picked, claim(0)), "", 1, 0, 1},
		{"an empty tag", at(picked, body()), "", 1, 0, 0},
		{"a tag that ends in its head", at(picked, body(0x27, 1, 0)), "", 1, 1, 0},
		{"a picture without a byte", at(picked, body(0x27, 1, 0, 0, 0)), "", 1, 1, 0},
		{"a unit that passes the end", at(picked, body(0x27, 1, 0, 0, 0, 0, 0, 1, 0, 0x41)), "", 1, 1, 0},
		{"a unit of 4 GiB", at(picked, body(0x27, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x41)), "", 1, 1, 0},
		{"a picture that is only filler", at(picked, body(0x27, 1, 0, 0, 0, 0, 0, 0, 2, 0x0c, 0xff)), "", 1, 1, 0},
		{"an end of the sequence", at(picked, body(0x17, 2, 0, 0, 0)), "", 1, 0, 0},
		{"a kind of packet that nobody knows", at(picked, body(0x27, 9, 0, 0, 0, 1)), "", 1, 1, 0},
		{"CodedFramesX where there is none", at(picked, body(0x27, 3, 0, 0, 0, 1)), "", 1, 1, 0},
		{"a sequence header that makes no sense", at(picked, body(0x17, 0, 0, 0, 0, 1, 2)), "", 1, 1, 0},
		{"a sequence header that is too large", at(picked, body(append([]byte{0x17, 0, 0, 0, 0}, make([]byte, 70_000)...)...)), "", 1, 1, 0},
		{"a codec that nobody knows", at(picked, body(0x90, 'v', 'v', 'c', '1', 0)), "", 1, 0, 0},
		{"several tracks in one", at(picked, body(0x96, 0, 'h', 'v', 'c', '1', 0)), "", 1, 0, 0},
		{"a command", at(picked, body(0x57, 1, 0, 0, 0, 0)), "", 1, 0, 0},
		{"an encrypted tag", at(picked, func(b []byte) []byte { b[0] |= 0x20; return b }), "", 1, 1, 0},
		{"metadata that is a lie", at(picked, func(b []byte) []byte {
			return slices.Concat(b, flvtest.Tag(18, 0, append([]byte("\x02\x00\x0aonMetaData\x08\xff\xff\xff\xff"), make([]byte, 3000)...)...))
		}), "", 0, 0, 0},
		{"a composition time of hours", at(picked, func(b []byte) []byte { b[13] = 0x7f; return b }), "", 0, 0, 0},
		{"a composition time below 0", at(picked, func(b []byte) []byte { b[13] = 0xff; return b }), "", 0, 0, 0},
		{"the middle of a tag is the end", func(tags [][]byte) []byte {
			b := slices.Concat(tags[:picked+1]...)
			return b[:len(b)-20]
		}, "", 1000, 0, 0},
		{"the middle of a tag's header is the end", func(tags [][]byte) []byte {
			b := slices.Concat(tags[:picked+1]...)
			return b[:len(b)-len(tags[picked])+5]
		}, "", 1000, 0, 0},
		{"the file header again", at(picked, func(b []byte) []byte { return slices.Concat(b, flvtest.Header(5)) }), "", 0, 0, 1},
	}
}

// small is the stream that is damaged.
func small(t testing.TB) [][]byte {
	t.Helper()
	c := clip(t, tiny)
	all := append([][]byte{flvtest.Header(5)}, tags(flvtest.Muxer{Way: flvtest.Legacy, Stream: c.Stream}, c.Units)...)
	require.Equal(t, []byte{flvtest.Video, 0x27}, []byte{all[picked][0], all[picked][11]}, "a picture that is no key frame")
	return all
}

// TestDamagedStreams: A3, H6.
func TestDamagedStreams(t *testing.T) {
	whole := clip(t, tiny)
	for _, tc := range damages() {
		t.Run(tc.name, func(t *testing.T) {
			b := tc.do(small(t))
			src, err := hal.NewRegistry(driver(closing(b))).Open(t.Context(), address, hal.Options{})
			if tc.want != "" {
				require.ErrorContains(t, err, tc.want)
				require.NotErrorIs(t, err, io.EOF)
				require.NotContains(t, err.Error(), secret)
				return
			}
			require.NoError(t, err)
			frames := checked(t, src)
			s, ok := src.(*flv.Source)
			require.True(t, ok)
			st := s.SourceStats()
			if tc.lost < 1000 {
				require.GreaterOrEqual(t, len(frames), len(whole.Units)-tc.lost)
			}
			require.LessOrEqual(t, len(frames), len(whole.Units))
			require.GreaterOrEqual(t, len(frames), 5, "what came before is delivered")
			require.GreaterOrEqual(t, st.Malformed, tc.malformed, st.Fault)
			require.GreaterOrEqual(t, st.Recovered, tc.recovered, st.Fault)
			if tc.lost == 0 {
				require.Len(t, frames, len(whole.Units), st.Fault)
			}
			if tc.malformed+tc.recovered > 0 {
				require.NotEmpty(t, st.Fault)
			}
			for i, f := range frames[:5] {
				require.Equal(t, string(whole.Units[i].Bytes), f.Bytes)
			}
		})
	}
}

// checked reads a source to its end, which is no io.EOF, and checks every frame. Nothing is left of it.
func checked(t testing.TB, src hal.Source) (frames []got) {
	t.Helper()
	clock := hal.NewClock()
	order := haltest.NewOrder(src.Stream(), clock, 0)
	for {
		f, err := src.Read(context.Background())
		if err != nil {
			if !errors.Is(err, hal.ErrNoSignal) || errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			break
		}
		if err := order.Next(f); err != nil && !strings.Contains(err.Error(), "comes twice") {
			t.Fatalf("frame %d: %v", len(frames), err)
		}
		if err := haltest.Payload(f); err != nil {
			t.Fatalf("frame %d: %v", len(frames), err)
		}
		frames = append(frames, got{f.Track, f.Info().Codec, f.Stamp.DTS, f.Stamp.PTS, f.Key, f.Gap, string(f.Buf.Bytes())})
		f.Release()
	}
	require.NoError(t, src.Close())
	require.Zero(t, flv.Held(src), "frames on loan")
	return frames
}

// TestAGapIsMarked where something is missing, on the track that misses it.
func TestAGapIsMarked(t *testing.T) {
	b := at(picked, body(0x27, 1, 0, 0, 0, 0, 0, 1, 0, 0x41))(small(t))
	frames := checked(t, open(t, driver(closing(b)), address, hal.Options{}))
	gaps := 0
	for _, f := range frames {
		if f.Gap {
			gaps++
			require.Equal(t, hal.H264, f.Codec)
		}
	}
	require.Equal(t, 1, gaps)
}

// TestWrongAnswers: A3, H6, of HTTP itself.
func TestWrongAnswers(t *testing.T) {
	film := slices.Concat(small(t)...)
	for _, tc := range []struct {
		name, answer, want string
		decision           error
	}{
		{"nothing", "", "the connection was closed", hal.ErrNoSignal},
		{"no HTTP", "RTSP/1.0 200 OK\r\n\r\n", "does not speak HTTP", hal.ErrNoSignal},
		{"no end of the header", strings.Repeat("x", 1<<20), "does not speak HTTP, or says more than 32768 bytes", hal.ErrNoSignal},
		{"500", "HTTP/1.1 500 Internal \x1b[2J Error\r\n\r\n", `the server refuses ("500 Internal \x1b[2J Error")`, hal.ErrNoSignal},
		{"403", "HTTP/1.1 403 No\r\n\r\n", "wrong user or password, or none", hal.ErrUnsupported},
		{"410", "HTTP/1.1 410 Gone\r\n\r\n", "there is no such stream", hal.ErrNoDevice},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", "the server refuses", hal.ErrNoSignal},
		{"compressed", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", "compresses its answer", hal.ErrNoSignal},
		{"lengths that contradict", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "does not speak HTTP", hal.ErrNoSignal},
		{"a strange transfer coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: bzip\r\n\r\n", "does not speak HTTP", hal.ErrNoSignal},
		{"chunks without sizes", okChunked + string(film), "chunks make no sense", hal.ErrNoSignal},
		{"a chunk of giant size", okChunked + "fffffffffffffffff\r\n", "chunks make no sense", hal.ErrNoSignal},
		{"an endless chunk extension", okChunked + "5;" + strings.Repeat("x", 1<<20), "chunks make no sense", hal.ErrNoSignal},
		{"an endless trailer", okChunked + "0\r\n" + strings.Repeat("x: y\r\n", 1<<18), "chunks make no sense", hal.ErrNoSignal},
		{"a chunk without its end", okChunked + "3\r\nFLVxx", "chunks make no sense", hal.ErrNoSignal},
		{"a password echoed", "HTTP/1.1 503 " + secret + "\r\n\r\n", "xxxxx", hal.ErrNoSignal},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := hal.NewRegistry(driver([]byte(tc.answer))).Open(t.Context(), address, hal.Options{})
			require.ErrorIs(t, err, tc.decision)
			require.ErrorContains(t, err, tc.want)
			require.NotErrorIs(t, err, io.EOF)
			require.NotContains(t, err.Error(), secret)
			require.Less(t, len(err.Error()), 1000)
		})
	}
	t.Run("100 Continue before the answer", func(t *testing.T) {
		s := open(t, driver(slices.Concat([]byte("HTTP/1.1 100 Continue\r\n\r\n"), closing(film))), address, hal.Options{})
		require.Len(t, checked(t, s), len(clip(t, tiny).Units))
	})
	t.Run("a length that means none", func(t *testing.T) {
		s := open(t, driver(slices.Concat(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 1<<31-1), film)), address, hal.Options{})
		require.True(t, s.Live())
		require.Len(t, checked(t, s), len(clip(t, tiny).Units))
	})
	t.Run("a download that is cut off", func(t *testing.T) {
		b := download(film)
		frames, _, err := all(t, open(t, driver(b[:len(b)-100]), address, hal.Options{}))
		require.NotEmpty(t, frames)
		brokenOff(t, err)
	})
	t.Run("a download of a file that was cut off", func(t *testing.T) {
		frames, _, err := all(t, open(t, driver(download(film[:len(film)-10])), address, hal.Options{}))
		require.Len(t, frames, len(clip(t, tiny).Units)-1)
		require.Equal(t, io.EOF, err)
	})
}

// TestMemoryIsBounded: a size that is a lie takes no memory before its bytes come.
func TestMemoryIsBounded(t *testing.T) { // P3
	b := at(picked, claim(0xffffff))(small(t))
	s := open(t, driver(closing(b)), address, hal.Options{})
	frames := checked(t, s)
	require.NotEmpty(t, frames)
	require.LessOrEqual(t, flv.ArenaBytes(s), 4<<20)
}

// FuzzStream: whatever comes, frames are well formed and in order, memory is bounded, nothing is left.
func FuzzStream(f *testing.F) {
	for _, d := range damages() {
		if b := d.do(small(f)); len(b) < 100_000 {
			f.Add(b)
		}
	}
	for _, args := range []string{tiny265, tinyAV1} {
		for _, way := range []string{flvtest.Legacy, flvtest.Timeless} {
			f.Add(film(f, clip(f, args), way))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		src, err := hal.NewRegistry(driver(closing(b))).Open(context.Background(), address, hal.Options{})
		if err != nil {
			if errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			return
		}
		if frames := checked(t, src); len(frames)*6 > len(b) {
			t.Fatalf("%d frames of %d bytes", len(frames), len(b))
		}
	})
}

// FuzzAnswer does the same to HTTP.
func FuzzAnswer(f *testing.F) {
	film := slices.Concat(small(f)...)
	f.Add(chunked(film, 1000, 7))
	f.Add(download(film))
	f.Add(closing(film))
	f.Add([]byte("HTTP/1.1 302 Found\r\nLocation: http://[::1/\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		src, err := hal.NewRegistry(driver(b)).Open(context.Background(), address, hal.Options{})
		if err != nil {
			if strings.Contains(err.Error(), secret) {
				t.Fatal(err)
			}
			return
		}
		for err == nil {
			var fr hal.Frame
			fr, err = src.Read(context.Background())
			fr.Release()
		}
		require.NoError(t, src.Close())
		require.Zero(t, flv.Held(src))
	})
}
