package pixel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/pool"
)

// home is where test buffers go back to.
type home struct{}

func (home) Return(*pool.Slot) {}

// noise returns a track with padded lines and a picture of it, random to the last byte, its
// planes in memory of their own where the format says so.
func noise(t testing.TB, f hal.PixelFormat, w, h, pad int) (hal.Track, pool.Buffer) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(uint64(f), uint64(w*h)))
	fill := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	tr := hal.Track{Codec: hal.Raw, Width: w, Height: h, Layout: hal.Layout{Pixel: f}}
	pl := &tr.Layout.Planes
	switch f {
	case hal.YUYV, hal.UYVY:
		pl[0].Stride = 2*w + pad
		return tr, pool.NewSlot(home{}, fill(pl[0].Stride*h)).Lend()
	case hal.NV12, hal.NV21:
		pl[0].Stride, pl[1].Stride, pl[1].Offset = w+pad, w+pad, (w+pad)*h
		return tr, pool.NewSlot(home{}, fill((w+pad)*h*3/2)).Lend()
	case hal.NM12:
		pl[0].Stride = w + pad
		pl[1] = hal.Plane{Memory: 1, Stride: w + 2*pad}
		return tr, pool.NewSlot(home{}, fill((w+pad)*h), fill((w+2*pad)*h/2)).Lend()
	case hal.I420:
		c := w/2 + pad
		*pl = [3]hal.Plane{{Stride: w + pad}, {Offset: (w + pad) * h, Stride: c}, {Offset: (w+pad)*h + c*h/2, Stride: c}}
		return tr, pool.NewSlot(home{}, fill((w+pad)*h+c*h)).Lend()
	case hal.YM12:
		c := w/2 + pad
		*pl = [3]hal.Plane{{Stride: w + pad}, {Memory: 1, Stride: c}, {Memory: 2, Stride: c + 3}}
		return tr, pool.NewSlot(home{}, fill((w+pad)*h), fill(c*h/2), fill((c+3)*h/2)).Lend()
	case hal.PixelUnknown:
	}
	t.Fatalf("no noise in %s", f)
	return tr, pool.Buffer{}
}

// sample is the reference: one sample of the I420 picture that b should become, by the book.
func sample(tr hal.Track, b pool.Buffer, plane, x, y int) float64 {
	l := tr.Layout
	at := func(p, off int) float64 { return float64(b.Plane(l.Planes[p].Memory)[l.Planes[p].Offset+off]) }
	packed := func(luma int) float64 {
		s := l.Planes[0].Stride
		if plane == 0 {
			return at(0, y*s+2*x+luma)
		}
		off := 4*x + 1 - luma + 2*(plane-1)
		return (at(0, 2*y*s+off) + at(0, (2*y+1)*s+off)) / 2
	}
	switch l.Pixel {
	case hal.YUYV:
		return packed(0)
	case hal.UYVY:
		return packed(1)
	case hal.NV12, hal.NM12:
		if plane > 0 {
			return at(1, y*l.Planes[1].Stride+2*x+plane-1)
		}
	case hal.NV21:
		if plane > 0 {
			return at(1, y*l.Planes[1].Stride+2*x+2-plane)
		}
	case hal.I420, hal.YM12, hal.PixelUnknown:
	}
	return at(plane, y*l.Planes[plane].Stride+x)
}

func formats() []hal.PixelFormat {
	return []hal.PixelFormat{hal.I420, hal.YUYV, hal.UYVY, hal.NV12, hal.NV21, hal.NM12, hal.YM12}
}

func each(p pixel.Picture, do func(plane, x, y int, s byte)) {
	for plane := range 3 {
		w, h := p.Width, p.Height
		if plane > 0 {
			w, h = w/2, h/2
		}
		for y := range h {
			for x := range w {
				if p.Format == hal.NV12 && plane > 0 {
					do(plane, x, y, p.Plane[1][y*p.Stride[1]+2*x+plane-1])
				} else {
					do(plane, x, y, p.Plane[plane][y*p.Stride[plane]+x])
				}
			}
		}
	}
}

// P9: any format becomes I420 or NV12, at any even size, whatever lies between the lines.
func TestConvertEqualsTheReference(t *testing.T) {
	for _, f := range formats() {
		for _, to := range []hal.PixelFormat{hal.I420, hal.NV12} {
			for _, size := range [][3]int{{2, 2, 0}, {6, 4, 5}, {16, 2, 0}, {18, 6, 1}, {30, 4, 7}, {34, 2, 0}, {64, 8, 64}, {126, 10, 2}} {
				w, h := size[0], size[1]
				t.Run(fmt.Sprintf("%s to %s %dx%d", f, to, w, h), func(t *testing.T) {
					tr, b := noise(t, f, w, h, size[2])
					src, err := pixel.View(&tr, b)
					require.NoError(t, err)
					dst, err := pixel.New(to, w, h)
					require.NoError(t, err)
					var c pixel.Converter
					require.NoError(t, c.Convert(dst, src))
					each(dst, func(plane, x, y int, s byte) {
						require.InDelta(t, sample(tr, b, plane, x, y), float64(s), 0.5, "plane %d at %d,%d", plane, x, y)
					})
				})
			}
		}
	}
}

func TestExpandStretchesVideoRangeToFullRange(t *testing.T) {
	src, err := pixel.New(hal.I420, 512, 2)
	require.NoError(t, err)
	for i := range 256 {
		src.Plane[0][i], src.Plane[1][i], src.Plane[2][i] = byte(i), byte(i), byte(i)
	}
	dst, err := pixel.New(hal.I420, 512, 2)
	require.NoError(t, err)
	c := pixel.Converter{Expand: true}
	require.NoError(t, c.Convert(dst, src))
	for i := range 256 {
		luma := min(255, max(0, float64(i-16)*255/219))
		require.InDelta(t, luma, float64(dst.Plane[0][i]), 1, "luma %d", i)
		chroma := min(255, max(0, float64(i-128)*255/224+128))
		require.InDelta(t, chroma, float64(dst.Plane[1][i]), 2, "chroma %d", i)
	}
	require.EqualValues(t, 0, dst.Plane[0][16], "black")
	require.EqualValues(t, 255, dst.Plane[0][235], "white")
	require.EqualValues(t, 128, dst.Plane[1][128], "grey")
}

func TestCropMovesOnlyTheLayout(t *testing.T) {
	for _, f := range formats() {
		t.Run(f.String(), func(t *testing.T) {
			tr, b := noise(t, f, 32, 16, 6)
			part, err := pixel.Crop(tr, 4, 6, 18, 8)
			require.NoError(t, err)
			src, err := pixel.View(&part, b)
			require.NoError(t, err)
			dst, err := pixel.New(hal.I420, 18, 8)
			require.NoError(t, err)
			var c pixel.Converter
			require.NoError(t, c.Convert(dst, src))
			each(dst, func(plane, x, y int, s byte) {
				dx, dy := 4, 6
				if plane > 0 {
					dx, dy = 2, 3
				}
				require.InDelta(t, sample(tr, b, plane, x+dx, y+dy), float64(s), 0.5)
			})
		})
	}
	for _, bad := range [][4]int{{1, 0, 2, 2}, {0, 0, 34, 16}, {16, 0, 18, 2}, {0, -2, 4, 4}, {0, 0, 0, 0}, {2, 2, 3, 4}, {math.MaxInt - 1, 0, 4, 4}} {
		_, err := pixel.Crop(hal.Track{Width: 32, Height: 16, Layout: hal.Layout{Pixel: hal.I420}}, bad[0], bad[1], bad[2], bad[3])
		require.Error(t, err, "%v", bad)
	}
}

func TestScaleIsTheMeanOfTheAreaOrLinear(t *testing.T) {
	for _, tc := range [][4]int{
		{64, 48, 32, 24},
		{96, 64, 32, 16},
		{50, 38, 34, 26},
		{160, 90, 32, 18},
		{32, 24, 64, 48},
		{34, 26, 50, 38},
		{16, 16, 16, 32},
		{2, 2, 64, 64},
		{64, 64, 2, 2},
		{38, 22, 38, 22},
	} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			tr, b := noise(t, hal.I420, tc[0], tc[1], 3)
			src, err := pixel.View(&tr, b)
			require.NoError(t, err)
			dst, err := pixel.New(hal.I420, tc[2], tc[3])
			require.NoError(t, err)
			s, err := pixel.NewScaler(tc[0], tc[1], tc[2], tc[3])
			require.NoError(t, err)
			require.NoError(t, s.Scale(dst, src))
			worst := 0.0
			each(dst, func(plane, x, y int, got byte) {
				w, h, dw, dh := tc[0], tc[1], tc[2], tc[3]
				if plane > 0 {
					w, h, dw, dh = w/2, h/2, dw/2, dh/2
				}
				want := 0.0
				for _, v := range reference(y, h, dh) {
					for _, u := range reference(x, w, dw) {
						want += u.share * v.share * sample(tr, b, plane, u.at, v.at)
					}
				}
				worst = max(worst, math.Abs(want-float64(got)))
			})
			require.LessOrEqual(t, worst, 4.0) // weights are whole 256ths, two passes round
		})
	}
}

type weight struct {
	at    int
	share float64
}

// reference says of which inputs output i is made.
func reference(i, from, to int) []weight {
	ratio := float64(from) / float64(to)
	if to > from {
		at := min(max((float64(i)+0.5)*ratio-0.5, 0), float64(from-1))
		k := int(at)
		return []weight{{k, 1 - (at - float64(k))}, {min(k+1, from-1), at - float64(k)}}
	}
	var all []weight
	for k := range from {
		if s := min(float64(i+1)*ratio, float64(k+1)) - max(float64(i)*ratio, float64(k)); s > 0 {
			all = append(all, weight{k, s / ratio})
		}
	}
	return all
}

// broken are layouts that a driver gone wrong could come with.
func broken() []hal.Track {
	l := func(f hal.PixelFormat, w, h int, p ...hal.Plane) hal.Track {
		t := hal.Track{Width: w, Height: h, Layout: hal.Layout{Pixel: f}}
		copy(t.Layout.Planes[:], p)
		return t
	}
	return []hal.Track{
		l(hal.PixelUnknown, 4, 4, hal.Plane{Stride: 4}),
		l(hal.YUYV, 4, 4, hal.Plane{Stride: 7}),
		l(hal.YUYV, 4, 4, hal.Plane{Stride: -8}),
		l(hal.YUYV, 4, 4, hal.Plane{Stride: 8, Offset: -1}),
		l(hal.YUYV, 4, 4, hal.Plane{Stride: 8, Offset: math.MaxInt}),
		l(hal.YUYV, 4, 4, hal.Plane{Stride: math.MaxInt / 2}),
		l(hal.YUYV, 4, 4, hal.Plane{Stride: 8, Memory: 1}),
		l(hal.YUYV, 4, 4, hal.Plane{Stride: 8, Memory: -1}),
		l(hal.YUYV, 5, 4, hal.Plane{Stride: 10}),
		l(hal.YUYV, 4, 0, hal.Plane{Stride: 8}),
		l(hal.YUYV, 1<<20, 2, hal.Plane{Stride: 1 << 21}),
		l(hal.NV12, 4, 4, hal.Plane{Stride: 4}, hal.Plane{Stride: 4, Offset: 57}),
		l(hal.I420, 4, 4, hal.Plane{Stride: 4}, hal.Plane{Stride: 2, Offset: 16}, hal.Plane{Stride: 1, Offset: 20}),
		l(hal.PixelFormat(200), 4, 4, hal.Plane{Stride: 4}),
	}
}

func TestViewRefusesWhatDoesNotFit(t *testing.T) {
	b := pool.NewSlot(home{}, make([]byte, 64)).Lend()
	for _, tr := range broken() {
		_, err := pixel.View(&tr, b)
		require.Error(t, err, "%+v", tr)
	}
}

func FuzzViewAndConvert(f *testing.F) {
	for _, tr := range broken() {
		p := tr.Layout.Planes
		f.Add(uint8(tr.Layout.Pixel), tr.Width, tr.Height, p[0].Offset, p[0].Stride, p[1].Memory, p[1].Offset, p[1].Stride, p[2].Offset, p[2].Stride)
	}
	f.Add(uint8(hal.I420), 4, 4, 0, 4, 0, 16, 2, 20, 2)
	mem := make([]byte, 4096)
	f.Fuzz(func(t *testing.T, pix uint8, w, h, o0, s0, m1, o1, s1, o2, s2 int) {
		tr := hal.Track{Width: w, Height: h, Layout: hal.Layout{Pixel: hal.PixelFormat(pix), Planes: [3]hal.Plane{
			{Offset: o0, Stride: s0}, {Memory: m1, Offset: o1, Stride: s1}, {Offset: o2, Stride: s2},
		}}}
		src, err := pixel.View(&tr, pool.NewSlot(home{}, mem, mem[:512]).Lend())
		if err != nil {
			return
		}
		dst, err := pixel.New(hal.NV12, w, h)
		require.NoError(t, err)
		var c pixel.Converter
		require.NoError(t, c.Convert(dst, src))
	})
}

func TestAPictureCostsNoAllocation(t *testing.T) {
	tr, b := noise(t, hal.YUYV, 64, 32, 0)
	dst, err := pixel.New(hal.NV12, 64, 32)
	require.NoError(t, err)
	var c pixel.Converter
	require.Zero(t, testing.AllocsPerRun(10, func() {
		src, err := pixel.View(&tr, b)
		if err != nil || c.Convert(dst, src) != nil {
			t.Fail()
		}
	}))
}

func BenchmarkConvert(b *testing.B) {
	for _, f := range []hal.PixelFormat{hal.YUYV, hal.UYVY, hal.NV12, hal.NV21, hal.I420} {
		for _, full := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s-1080p-expand=%t", f, full), func(b *testing.B) {
				tr, buf := noise(b, f, 1920, 1080, 0)
				src, _ := pixel.View(&tr, buf)
				dst, _ := pixel.New(hal.I420, 1920, 1080)
				c := pixel.Converter{Expand: full}
				for b.Loop() {
					if err := c.Convert(dst, src); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkScale(b *testing.B) {
	for _, to := range [][2]int{{1280, 720}, {960, 540}, {640, 360}} {
		b.Run(fmt.Sprintf("1080p-%dp", to[1]), func(b *testing.B) {
			tr, buf := noise(b, hal.I420, 1920, 1080, 0)
			src, _ := pixel.View(&tr, buf)
			dst, _ := pixel.New(hal.I420, to[0], to[1])
			s, _ := pixel.NewScaler(1920, 1080, to[0], to[1])
			for b.Loop() {
				if err := s.Scale(dst, src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
