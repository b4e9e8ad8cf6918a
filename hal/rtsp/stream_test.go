package rtsp_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal/rtsp"
)

func frame(ch byte, n int) []byte { return append([]byte{'$', ch, byte(n >> 8), byte(n)}, fill(n)...) }

func TestByteStream(t *testing.T) {
	answer := []byte("RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n")
	body := []byte("RTSP/1.0 200 OK\r\ncontent-length:  5 \r\n\r\n$$$$$")
	for _, tc := range []struct {
		name          string
		in            []byte
		texts, frames int
		err           string
	}{
		{"answers and frames mixed", bytes.Join([][]byte{answer, frame(0, 1400), body, frame(1, 0), answer, frame(0, 65535)}, nil), 3, 3, ""},
		{"line ends between messages", append([]byte("\r\n\r\n"), answer...), 1, 0, ""},
		{"binary junk is skipped", append([]byte{0, 1, 2, 0xff}, answer...), 1, 0, ""},
		{"letters that break off in binary are skipped", append([]byte("ABC\x00"), answer...), 1, 0, ""},
		{"a frame cut off waits", frame(0, 100)[:50], 0, 0, ""},
		{"endless junk", make([]byte, 1<<20), 0, 0, "without a message"},
		{"an endless line", bytes.Repeat([]byte("A"), 1<<20), 0, 0, "a header of more than"},
		{"endless lines", append([]byte("RTSP/1.0 200 OK\r\n"), bytes.Repeat([]byte("A: b\r\n"), 1<<16)...), 0, 0, "a header of more than"},
		{"a huge body", []byte("RTSP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"), 0, 0, "a body of more than"},
		{"a negative body", []byte("RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n"), 0, 0, "Content-Length is"},
	} {
		for _, piece := range []int{1, 7, 1 << 16} {
			if len(tc.in) > 1<<17 && piece < 7 {
				continue // rescanning a line that grows by bytes is slow, and bounded
			}
			t.Run(tc.name, func(t *testing.T) {
				texts, frames, err := rtsp.Items(tc.in, piece)
				require.Len(t, texts, tc.texts)
				require.Len(t, frames, tc.frames)
				if tc.err == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, tc.err)
				}
			})
		}
	}
}

// TestStrayChannels: frames of a channel that was not set up are left out whole.
func TestStrayChannels(t *testing.T) {
	in := bytes.Join([][]byte{frame(0, 900), frame(7, 1400), frame(0, 900), frame(9, 10), []byte("RTSP/1.0 200 OK\r\n\r\n"), {'$', 77}, frame(0, 30)}, nil)
	for _, piece := range []int{1, 100, 1 << 16} {
		texts, frames, err := rtsp.ItemsOf(in, piece, func(ch byte) bool { return ch < 2 })
		require.NoError(t, err)
		require.Len(t, texts, 1)
		var sizes []int
		for _, f := range frames {
			if f[1] < 2 {
				sizes = append(sizes, len(f)-4)
			}
		}
		require.Equal(t, []int{900, 900, 30}, sizes)
	}
}

func FuzzByteStream(f *testing.F) {
	f.Add([]byte("RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab$\x00\x00\x01x"), 3)
	f.Add([]byte("\x00\x01GET_PARAMETER * RTSP/1.0\r\n\r\n$"), 1)
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		if len(in) > 1<<16 {
			return
		}
		texts, frames, err := rtsp.Items(in, max(piece&0xffff, 1))
		whole, wholeFrames, wholeErr := rtsp.Items(in, 1<<16)
		if err == nil && wholeErr == nil {
			require.Equal(t, whole, texts, "the pieces do not matter")
			require.Equal(t, wholeFrames, frames)
		}
	})
}

func FuzzRTCP(f *testing.F) {
	sr := append([]byte{0x80, 200, 0, 6}, make([]byte, 24)...)
	f.Add(sr)
	f.Add(append(sr, 0x81, 203, 0, 1, 0, 0, 0, 0))
	f.Fuzz(func(_ *testing.T, in []byte) { rtsp.RTCP(in) })
}

// FuzzUnpack throws packets at every unpacker: no panic, no frame that is too large, all
// memory back.
func FuzzUnpack(f *testing.F) {
	all := []string{sdpH264(), sdpH265, sdpAV1, sdpJPEG, sdpAAC, sdpPCMU, sdpL24, sdpOpus}
	types := []byte{96, 99, 98, 26, 97, 0, 101, 102}
	c := newCamera(f)
	for i := range all {
		f.Add(byte(i), bytes.Join(c.shoot(b64(f, sps264), b64(f, pps264), fill(2500, 0x65, 0x88)), []byte("|cut|")))
		f.Add(byte(i), []byte(strings.Repeat("\x7c\x85abc|cut|\x7c\x05abc|cut|\x7c\x45abc|cut|", 3)))
	}
	f.Add(byte(3), []byte("\x00\x00\x00\x00\x01\xff\x10\x10\x00\x00\x00\x80"+strings.Repeat("q", 128)+"scan"))
	f.Fuzz(func(t *testing.T, which byte, in []byte) {
		i := int(which) % len(all)
		d, err := rtsp.NewDesk(sdpOf(all[i]))
		require.NoError(t, err)
		rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable
		for n, piece := range bytes.Split(in, []byte("|cut|")) {
			head := []byte{0x80, types[i], 0, byte(n), 0, 0, byte(n / 3), 0, 0, 0, 0, 1}
			if len(piece) > 0 {
				head[1] |= piece[len(piece)-1] & 0x80
			}
			if rnd.IntN(20) == 0 {
				head[3] += 3
			}
			d.Put(0, append(head, piece...), 0)
			d.Put(0, piece, 0) // as a whole packet
		}
		for _, fr := range d.Take() {
			require.NotZero(t, fr.Buf.Len())
			require.GreaterOrEqual(t, fr.Stamp.PTS, fr.Stamp.DTS)
			fr.Release()
		}
		d.Close()
		require.Zero(t, d.Arena.Stats().Held)
	})
}
