//go:build hil

package hil_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/hal/v4l2"
	"github.com/millrace-video/millrace/pool"
)

// Sizes of the pictures in these tests: vicodec takes none that are smaller, and makes 368 lines
// of 360, of which it shows 360.
const (
	encodeWidth, encodeHeight = 640, 480
	oddHeight                 = 360
)

// theEncoder returns the one hardware encoder that there is, vicodec's.
func theEncoder(t *testing.T) hal.EncoderInfo {
	t.Helper()
	infos, err := v4l2.Driver{}.Encoders(t.Context())
	require.NoError(t, err)
	require.Len(t, infos, 1)
	require.Equal(t, "v4l2:vicodec@platform:vicodec", infos[0].Name)
	require.Equal(t, hal.FWHT, infos[0].Codec)
	require.True(t, infos[0].Hardware)
	require.GreaterOrEqual(t, infos[0].Rank, 100)
	require.Contains(t, infos[0].Detail, node(t, "stateful-encoder"))
	require.Contains(t, infos[0].Inputs, hal.I420)
	return infos[0]
}

func loadCodec(t *testing.T, multi bool) {
	t.Helper()
	load(t, "vicodec", map[bool]string{false: "multiplanar=0", true: "multiplanar=1"}[multi])
	for _, name := range []string{"stateful-encoder", "stateful-decoder"} {
		node(t, name)
	}
}

// openEncoder opens vicodec's encoder for these pictures.
func openEncoder(t *testing.T, in hal.Track, gop int) hal.Encoder {
	t.Helper()
	enc, err := v4l2.Driver{}.OpenEncoder(t.Context(), theEncoder(t).Name, hal.EncoderConfig{Input: in, Codec: hal.FWHT, GOP: gop})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, enc.Close()) })
	return enc
}

func encoderStats(t *testing.T, enc hal.Encoder) v4l2.EncoderStats {
	t.Helper()
	e, ok := enc.(interface{ EncoderStats() v4l2.EncoderStats })
	require.True(t, ok)
	return e.EncoderStats()
}

// given is what an encoder was given: the stamps of all pictures, and some of the pictures.
type given struct {
	mu     sync.Mutex
	stamps []hal.Stamp
	shown  map[int]pixel.Picture // I420
}

// note takes note of a picture, a copy of each tenth.
func (g *given) note(t *testing.T, f hal.Frame) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.stamps); n%10 == 0 {
		src, err := pixel.View(f.Info(), f.Buf)
		require.NoError(t, err)
		dst, err := pixel.New(hal.I420, src.Width, src.Height)
		require.NoError(t, err)
		require.NoError(t, (&pixel.Converter{}).Convert(dst, src))
		if g.shown == nil {
			g.shown = map[int]pixel.Picture{}
		}
		g.shown[n] = dst
	}
	g.stamps = append(g.stamps, f.Stamp)
}

// drainInto reads all that the encoder yields and appends it to a file. The frames' stamps must be
// those given; it returns which were key frames.
func (g *given) drainInto(t *testing.T, enc hal.Encoder, file *os.File) (keys []int) {
	t.Helper()
	for n := 0; ; n++ {
		f, err := enc.Read(t.Context())
		if errors.Is(err, io.EOF) {
			g.mu.Lock()
			require.Len(t, g.stamps, n, "as many access units as pictures")
			g.mu.Unlock()
			return keys
		}
		require.NoError(t, err)
		g.mu.Lock()
		require.Less(t, n, len(g.stamps))
		require.Equal(t, g.stamps[n], f.Stamp, "frame %d", n)
		g.mu.Unlock()
		require.False(t, f.Gap, "frame %d", n)
		require.Equal(t, hal.FWHT, f.Info().Codec)
		if f.Key {
			keys = append(keys, n)
		}
		_, err = file.Write(f.Buf.Bytes())
		f.Release()
		require.NoError(t, err)
	}
}

// drawn returns a picture of soft shapes that move, without padding.
func drawn(b []byte, width, height, n int) {
	for y := range height {
		for x := range width {
			b[y*width+x] = byte(16 + wave(x+7*n)/2 + wave(2*y+3*n)/2)
		}
	}
	for i := range b[width*height:] {
		b[width*height+i] = byte(96 + (i+n)%(width/2)/8)
	}
}

// wave rises and falls between 0 and 200, in plain numbers: floating point is slow in an emulator.
func wave(x int) int {
	if x %= 400; x > 200 {
		return 400 - x
	}
	return x
}

// encodeDrawn encodes pictures of the given size into a file, with a key frame asked for before
// picture asked.
func encodeDrawn(t *testing.T, path string, height, pictures, asked int) *given {
	t.Helper()
	nothingLeft(t)
	layout, err := hal.PackedLayout(hal.I420, encodeWidth, height)
	require.NoError(t, err)
	in := hal.Track{Codec: hal.Raw, TimeScale: 90000, Width: encodeWidth, Height: height, FrameRate: 25, Layout: layout}
	stream := &hal.Stream{Tracks: []hal.Track{in}}
	buffers, err := pool.NewBuffers(2, layout.Size)
	require.NoError(t, err)
	enc := openEncoder(t, in, 16)
	file, err := os.Create(path) //nolint:gosec // a path of this test's
	require.NoError(t, err)
	g := &given{}
	begin := time.Now() //nolint:forbidigo // to measure
	var writing sync.WaitGroup
	writing.Go(func() {
		defer enc.CloseInput()
		for n := range pictures {
			buf, err := buffers.Take(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			drawn(buf.Bytes(), encodeWidth, height, n)
			at := time.Duration(n)*40*time.Millisecond + 1 // no whole µs
			f := hal.Frame{Buf: buf, Stream: stream, Key: true, Stamp: hal.Stamp{Run: 3, DTS: at, PTS: at, Mono: int64(n + 1)}}
			g.note(t, f)
			if n == asked {
				enc.RequestKeyFrame()
			}
			if err := enc.Write(t.Context(), f); err != nil {
				t.Error(err)
				return
			}
		}
	})
	keys := g.drainInto(t, enc, file)
	writing.Wait()
	took := time.Since(begin) //nolint:forbidigo // as above
	require.NoError(t, file.Close())
	var want []int
	for n := range pictures {
		if n < asked && n%16 == 0 || n >= asked && (n-asked)%16 == 0 {
			want = append(want, n)
		}
	}
	require.Equal(t, want, keys, "every 16th, and from the one asked for again")
	s := encoderStats(t, enc)
	require.EqualValues(t, pictures, s.Copied)
	require.Zero(t, s.Shared+s.Lost)
	figure(t, "%d pictures at %.1f fps, key frames %v, one copy of %.2f ms each", pictures, float64(pictures)/took.Seconds(),
		keys, s.CopyTime.Seconds()*1000/float64(s.Copied))
	return g
}

// H3: as many access units as pictures, stamps unchanged, a key frame when asked for, the tail
// drained, and what comes out is decoded to what went in.
func TestEncoder(t *testing.T) {
	const pictures, asked = 30, 11
	for api, multi := range map[string]bool{"single-planar": false, "multi-planar": true} {
		for _, height := range []int{encodeHeight, oddHeight} {
			t.Run(fmt.Sprintf("%s %dx%d", api, encodeWidth, height), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "clip.fwht")
				var g *given
				require.True(t, t.Run("encoded", func(t *testing.T) {
					loadCodec(t, multi)
					g = encodeDrawn(t, path, height, pictures, asked)
				}))
				require.True(t, t.Run("decoded", func(t *testing.T) {
					loadCodec(t, false)
					g.compare(t, path, height)
				}))
			})
		}
	}
}

// H2, H3: a camera's pictures go to the encoder without a copy, where both lay them out alike,
// whichever API the two have; with one copy otherwise.
func TestCameraToEncoder(t *testing.T) {
	for _, c := range []struct {
		name          string
		camera, multi bool // multi-planar
		format        string
		shared        bool
	}{
		{"single-planar to single-planar", false, false, "nv12", true},
		{"single-planar to multi-planar", false, true, "i420", true},
		{"multi-planar to multi-planar", true, true, "nv12", true},
		{"multi-planar to single-planar", true, false, "yuyv", true},
		{"two planes to one", true, true, "nm12", false},
		{"three planes to one", true, false, "ym12", false},
	} {
		t.Run(c.name+", "+c.format, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "camera.fwht")
			var g *given
			require.True(t, t.Run("encoded", func(t *testing.T) {
				single, several := cameras(t)
				dev := map[bool]string{false: single, true: several}[c.camera]
				const checkers = 11 // vicodec makes nothing but key frames of what is smooth
				set(t, dev, "Test Pattern", checkers)
				loadCodec(t, c.multi)
				g = encodeCamera(t, "v4l2://"+dev+"?size=640x480&rate=25&format="+c.format, path, c.shared)
			}))
			if c.format == "yuyv" { // the decoder's 4:2:2 would need another comparison
				return
			}
			require.True(t, t.Run("decoded", func(t *testing.T) {
				loadCodec(t, false)
				g.compare(t, path, encodeHeight)
			}))
		})
	}
}

// encodeCamera encodes a camera's pictures into a file.
func encodeCamera(t *testing.T, url, path string, shared bool) *given {
	t.Helper()
	nothingLeft(t)
	const pictures, asked = 31, 21
	src := open(t, url)
	enc := openEncoder(t, src.Stream().Tracks[0], 16)
	file, err := os.Create(path) //nolint:gosec // a path of this test's
	require.NoError(t, err)
	g := &given{}
	begin := time.Now() //nolint:forbidigo // to measure
	var writing sync.WaitGroup
	writing.Go(func() {
		defer enc.CloseInput()
		for n := range pictures {
			f, err := src.Read(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			f.Gap = false // an emulated machine may be too slow for the camera
			g.note(t, f)
			if n == asked {
				enc.RequestKeyFrame()
			}
			if err := enc.Write(t.Context(), f); err != nil {
				t.Error(err)
				return
			}
		}
	})
	keys := g.drainInto(t, enc, file)
	writing.Wait()
	took := time.Since(begin) //nolint:forbidigo // as above
	require.NoError(t, file.Close())
	require.Equal(t, []int{0, 16, asked}, keys)
	s := encoderStats(t, enc)
	if shared {
		require.EqualValues(t, pictures, s.Shared)
		require.Zero(t, s.Copied)
	} else {
		require.EqualValues(t, pictures, s.Copied)
		require.Zero(t, s.Shared)
	}
	require.Zero(t, s.Lost)
	figure(t, "%.1f fps, %d pictures without a copy, %d with one, %d key frames", float64(pictures)/took.Seconds(),
		s.Shared, s.Copied, len(keys))
	return g
}

// P3: from DQBUF to the encoder and out of it again nothing is allocated and no sample copied.
func TestNothingIsAllocatedFromCameraToEncoder(t *testing.T) {
	for api, multi := range map[string]bool{"single-planar": false, "multi-planar": true} {
		t.Run(api, func(t *testing.T) {
			single, several := cameras(t)
			loadCodec(t, multi)
			src := open(t, "v4l2://"+map[bool]string{false: single, true: several}[multi]+"?size=640x480&rate=25&format=nv12")
			enc := openEncoder(t, src.Stream().Tracks[0], 16)
			one := func() {
				f, err := src.Read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err = enc.Write(t.Context(), f); err != nil {
					t.Fatal(err)
				}
				if f, err = enc.Read(t.Context()); err != nil {
					t.Fatal(err)
				}
				f.Release()
			}
			for range 5 {
				one()
			}
			require.Zero(t, testing.AllocsPerRun(20, one))
			require.Zero(t, encoderStats(t, enc).Copied)
			figure(t, "0 allocations, 0 copies a picture")
		})
	}
}

// An encoder that is closed while both sides wait leaves nothing behind.
func TestAnEncoderIsClosedAtAnyTime(t *testing.T) {
	loadCodec(t, true)
	layout, err := hal.PackedLayout(hal.I420, encodeWidth, encodeHeight)
	require.NoError(t, err)
	in := hal.Track{Codec: hal.Raw, TimeScale: 90000, Width: encodeWidth, Height: encodeHeight, FrameRate: 25, Layout: layout}
	stream := &hal.Stream{Tracks: []hal.Track{in}}
	buffers, err := pool.NewBuffers(2, layout.Size)
	require.NoError(t, err)
	for after := range 6 {
		t.Run(fmt.Sprintf("after %d frames", after), func(t *testing.T) {
			nothingLeft(t)
			enc := openEncoder(t, in, 16)
			var writing sync.WaitGroup
			writing.Go(func() {
				for {
					buf, err := buffers.Take(t.Context())
					if err != nil || enc.Write(t.Context(), hal.Frame{Buf: buf, Stream: stream}) != nil {
						return
					}
				}
			})
			for range after {
				f, err := enc.Read(t.Context())
				require.NoError(t, err)
				f.Release()
			}
			require.NoError(t, enc.Close())
			writing.Wait()
			require.Zero(t, buffers.Held())
		})
	}
}

// compare decodes a file with vicodec's decoder and compares the pictures with those given. The
// decoder is of the single-planar API.
func (g *given) compare(t *testing.T, path string, height int) {
	t.Helper()
	stream, err := os.ReadFile(path) //nolint:gosec // a path of this test's
	require.NoError(t, err)
	frames := splitFWHT(t, stream)
	require.Len(t, frames, len(g.stamps))
	worst, n := math.Inf(1), 0
	decode(t, frames, func(p pixel.Picture) {
		require.Equal(t, height, p.Height)
		if want, ok := g.shown[n]; ok {
			ratio := psnr(want, p)
			require.Greater(t, ratio, 30.0, "picture %d", n)
			worst = min(worst, ratio)
		}
		n++
	})
	require.Equal(t, len(frames), n, "pictures decoded")
	figure(t, "%d pictures decoded, at least %.1f dB of %d that were compared", n, worst, len(g.shown))
}

// splitFWHT splits a file at the frames' headers, whose last word is the size that follows.
func splitFWHT(t *testing.T, b []byte) (frames [][]byte) {
	t.Helper()
	const header = 44
	for len(b) > 0 {
		require.Greater(t, len(b), header)
		require.True(t, bytes.HasPrefix(b, []byte("OOOO\xff\xff\xff\xff")))
		n := header + int(binary.BigEndian.Uint32(b[header-4:]))
		require.LessOrEqual(t, n, len(b))
		frames = append(frames, b[:n])
		b = b[n:]
	}
	return frames
}

// psnr compares pictures in I420.
func psnr(a, b pixel.Picture) float64 {
	sum, n := 0.0, 0
	for i := range a.Plane {
		w, h := a.Width, a.Height
		if i > 0 {
			w, h = w/2, h/2
		}
		for y := range h {
			ra, rb := a.Plane[i][y*a.Stride[i]:][:w], b.Plane[i][y*b.Stride[i]:][:w]
			for x := range ra {
				d := float64(ra[x]) - float64(rb[x])
				sum += d * d
			}
		}
		n += w * h
	}
	if sum == 0 {
		return 99
	}
	return 10 * math.Log10(255*255*float64(n)/sum)
}

// A program that may not open the device says so, and what to do.
func TestAnEncoderThatMayNotBeOpenedIsSaid(t *testing.T) {
	loadCodec(t, false)
	dev := node(t, "stateful-encoder")
	require.NoError(t, os.Rename(dev, dev+".away"))
	require.NoError(t, os.Symlink("/dev/nothing", dev))
	defer func() {
		require.NoError(t, os.Remove(dev))
		require.NoError(t, os.Rename(dev+".away", dev))
	}()
	infos, err := v4l2.Driver{}.Encoders(t.Context())
	require.Empty(t, infos)
	require.ErrorIs(t, err, hal.ErrNoDevice)
	require.ErrorContains(t, err, dev)
}
