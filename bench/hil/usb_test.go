//go:build hil

package hil_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/url"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench/hil"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
)

const usbName = "HIL Camera: HIL Camera"

// synth returns the URL of the synthetic camera that shows what this one does.
func (p picture) synth() string {
	u := fmt.Sprintf("synth://?size=%dx%d&rate=%d&gop=%d&audio=none&pace=fast", p.width, p.height, p.rate, hil.GOP)
	if !p.framed {
		u = fmt.Sprintf("synth://?size=%dx%d&rate=%d&audio=none&pace=fast&codec=raw&pixel=yuyv", p.width, p.height, p.rate)
	}
	return u
}

// usbCameraOf is a USB camera that shows what the synthetic camera does: coded pictures in Annex
// B, the parameter sets before each key frame, as cameras do.
func usbCameraOf(t *testing.T, p picture, serial string) *usbCamera {
	t.Helper()
	u, err := url.Parse(p.synth())
	require.NoError(t, err)
	src, err := synth.Driver{}.Open(t.Context(), u, hal.Options{}.WithDefaults())
	require.NoError(t, err)
	due := time.NewTicker(time.Second / time.Duration(p.rate))
	t.Cleanup(func() { due.Stop(); require.NoError(t, src.Close()) })
	return &usbCamera{picture: p, serial: serial, next: func(ctx context.Context) ([]byte, error) {
		select { // late where nobody takes them, but none is left out
		case <-due.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		f, err := src.Read(ctx)
		if err != nil {
			return nil, err
		}
		defer f.Release()
		if !p.framed {
			return slices.Clone(f.Buf.Bytes()), nil
		}
		return annexB(f), nil
	}}
}

// annexB returns an access unit with start codes.
func annexB(f hal.Frame) []byte {
	start := []byte{0, 0, 0, 1}
	var out []byte
	if f.Key {
		out = slices.Concat(start, f.Info().SPS, start, f.Info().PPS)
	}
	for au := f.Buf.Bytes(); len(au) > 4; {
		n := binary.BigEndian.Uint32(au)
		out = slices.Concat(out, start, au[4:4+n])
		au = au[4+n:]
	}
	return out
}

// The rig itself: the camera comes, goes while somebody has it open, and comes again.
func TestAUSBCameraComesAndGoes(t *testing.T) {
	load(t, "vhci-hcd")
	load(t, "uvcvideo")
	cam := usbCameraOf(t, usbH264(320, 240, 25), "0001")
	var before *os.File
	for range 3 {
		cam.plug(t)
		dev, err := os.Open(node(t, usbName))
		require.NoError(t, err)
		if before != nil {
			require.NotEqual(t, before.Name(), dev.Name(), "the number of a node that is held open is not given again")
			require.NoError(t, before.Close())
		}
		before = dev
		cam.pull(t)
		until(t, dev.Name()+" gone", func() bool { _, err := os.Stat(dev.Name()); return err != nil })
	}
	require.NoError(t, before.Close())
}
