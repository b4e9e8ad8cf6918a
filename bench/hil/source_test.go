//go:build hil

package hil_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-video/millrace/hal"
)

// read returns the next frame.
func read(t *testing.T, src hal.Source) hal.Frame {
	t.Helper()
	f, err := tryRead(t, src)
	require.NoError(t, err)
	return f
}

func tryRead(t *testing.T, src hal.Source) (hal.Frame, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return src.Read(ctx)
}

// skip reads n frames and returns how many of them come after a gap.
func skip(t *testing.T, src hal.Source, n int) (gaps int) {
	t.Helper()
	for range n {
		f := read(t, src)
		if f.Gap {
			gaps++
		}
		f.Release()
	}
	return gaps
}

// stats returns what a source has counted.
func stats(t *testing.T, src hal.Source) hal.SourceStats {
	t.Helper()
	r, ok := src.(hal.Reporter)
	require.True(t, ok, "%T counts nothing", src)
	return r.SourceStats()
}

// nothingLeft fails the test where at its end the process has more descriptors, mapped memory
// of devices or goroutines than now. It must come before what opens them.
func nothingLeft(t *testing.T) {
	t.Helper()
	goroutines, files, maps := goleak.IgnoreCurrent(), len(descriptors(t)), len(mappings(t))
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		until(t, "the end of all goroutines", func() bool { return goleak.Find(goroutines) == nil })
		require.Len(t, descriptors(t), files, "descriptors are left: %v", descriptors(t))
		require.Len(t, mappings(t), maps, "mapped memory is left: %v", mappings(t))
	})
}

func descriptors(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	var open []string
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(to, "/proc/") {
			open = append(open, to)
		}
	}
	return open
}

// mapping is a range of addresses mapped from a device.
type mapping struct {
	from, to uintptr
	dev      string
}

func mappings(t *testing.T) []mapping {
	t.Helper()
	f, err := os.Open("/proc/self/maps")
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	var all []mapping
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 6 || !strings.HasPrefix(words[5], "/dev/video") {
			continue
		}
		from, to, _ := strings.Cut(words[0], "-")
		all = append(all, mapping{address(t, from), address(t, to), words[5]})
	}
	return all
}

func address(t *testing.T, hex string) uintptr {
	t.Helper()
	n, err := strconv.ParseUint(hex, 16, 64)
	require.NoError(t, err)
	return uintptr(n)
}

// requireUncopied fails where a plane of the frame lies elsewhere than in memory that is mapped
// from the device: then somebody has copied it.
func requireUncopied(t *testing.T, f hal.Frame, dev string) {
	t.Helper()
	all := mappings(t)
	for i := range f.Buf.Planes() {
		require.True(t, isMapped(all, dev, f.Buf.Plane(i)), "plane %d is not mapped from %s: %v", i, dev, all)
	}
}

// isMapped says whether these bytes lie in memory that is mapped from the device.
func isMapped(all []mapping, dev string, p []byte) bool {
	begin := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	return slices.ContainsFunc(all, func(m mapping) bool {
		return m.dev == dev && m.from <= begin && begin+uintptr(len(p)) <= m.to
	})
}

// sample is one pixel.
type sample struct{ y, cb, cr byte }

func (s sample) String() string { return fmt.Sprintf("(%d %d %d)", s.y, s.cb, s.cr) }

// at returns the pixel of a raw picture, as its layout says.
func at(t *testing.T, f hal.Frame, x, y int) sample {
	t.Helper()
	l := f.Info().Layout
	plane := func(i, x, y int) byte {
		p := l.Planes[i]
		return f.Buf.Plane(p.Memory)[p.Offset+y*p.Stride+x]
	}
	pair, half := x&^1, x/2
	switch l.Pixel {
	case hal.YUYV:
		return sample{plane(0, 2*x, y), plane(0, 2*pair+1, y), plane(0, 2*pair+3, y)}
	case hal.UYVY:
		return sample{plane(0, 2*x+1, y), plane(0, 2*pair, y), plane(0, 2*pair+2, y)}
	case hal.NV12, hal.NM12:
		return sample{plane(0, x, y), plane(1, pair, y/2), plane(1, pair+1, y/2)}
	case hal.NV21:
		return sample{plane(0, x, y), plane(1, pair+1, y/2), plane(1, pair, y/2)}
	case hal.I420, hal.YM12:
		return sample{plane(0, x, y), plane(1, half, y/2), plane(2, half, y/2)}
	case hal.PixelUnknown:
	}
	t.Fatalf("layout %v", l)
	return sample{}
}
