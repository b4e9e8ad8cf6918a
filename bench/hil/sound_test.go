//go:build hil

package hil_test

import (
	"fmt"
	"os"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// pcmParams is struct snd_pcm_hw_params of sound/asound.h, 64-bit.
type pcmParams struct {
	Flags     uint32
	Masks     [8][8]uint32 // access, format, subformat; five are reserved
	Intervals [21]struct{ Min, Max, Flags uint32 }
	_         [6]uint32
	_         uint64
	_         [64]byte
}

// pcmTransfer is struct snd_xferi.
type pcmTransfer struct {
	Result int64
	Buf    *[2]int16
	Frames uint64
}

// Requests, and places in pcmParams.
const (
	pcmHWParams = 0xc2604111
	pcmPrepare  = 0x4140
	pcmWrite    = 0x40184150
	pcmRead     = 0x80184151

	pcmAccess, pcmFormat = 0, 1
	pcmInterleaved       = 1 << 3 // SNDRV_PCM_ACCESS_RW_INTERLEAVED
	pcmS16               = 1 << 2 // SNDRV_PCM_FORMAT_S16_LE
	pcmChannels, pcmRate = 2, 3   // of the intervals
)

// openPCM opens a sound device for 48 kHz stereo.
func openPCM(t *testing.T, name string, flag int) *os.File {
	t.Helper()
	dev := "/dev/snd/" + name
	until(t, dev, func() bool { _, err := os.Stat(dev); return err == nil })
	f, err := os.OpenFile(dev, flag, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	var p pcmParams
	for i := range p.Masks {
		p.Masks[i] = [8]uint32{^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)}
	}
	for i := range p.Intervals {
		p.Intervals[i].Max = ^uint32(0)
	}
	p.Masks[pcmAccess], p.Masks[pcmFormat] = [8]uint32{pcmInterleaved}, [8]uint32{pcmS16}
	p.Intervals[pcmChannels].Min, p.Intervals[pcmChannels].Max = 2, 2
	p.Intervals[pcmRate].Min, p.Intervals[pcmRate].Max = 48000, 48000
	require.NoError(t, pcm(f, pcmHWParams, unsafe.Pointer(&p)), "%s: parameters", dev)
	require.NoError(t, pcm(f, pcmPrepare, nil), "%s: prepare", dev)
	return f
}

func pcm(f *os.File, request uintptr, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(arg))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// The rig itself: what is played at 48 kHz in stereo is captured sample by sample. Nothing in
// Millrace captures sound yet.
func TestSoundGoesFromPlaybackToCapture(t *testing.T) {
	load(t, "snd-aloop")
	in, out := openPCM(t, "pcmC0D1c", os.O_RDONLY), openPCM(t, "pcmC0D0p", os.O_WRONLY)
	played := make([][2]int16, 24000)
	for i := range played {
		played[i] = [2]int16{int16(i + 1), int16(-i - 1)}
	}
	captured := make([][2]int16, len(played)/2)
	done := make(chan error, 1)
	go func() {
		x := pcmTransfer{Buf: &played[0], Frames: uint64(len(played))}
		err := pcm(out, pcmWrite, unsafe.Pointer(&x))
		if err == nil && x.Result != int64(len(played)) {
			err = fmt.Errorf("%d of %d frames were played", x.Result, len(played))
		}
		done <- err
	}()
	x := pcmTransfer{Buf: &captured[0], Frames: uint64(len(captured))}
	require.NoError(t, pcm(in, pcmRead, unsafe.Pointer(&x)))
	require.NoError(t, <-done)
	begin := 0
	for begin < len(captured) && captured[begin][0] == 0 {
		begin++
	}
	require.Less(t, begin, len(captured), "only silence was captured")
	first := int(captured[begin][0]) - 1
	require.Equal(t, played[first:first+len(captured)-begin], captured[begin:])
	figure(t, "%d frames", len(captured)-begin)
}
