//go:build hil

package hil_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/v4l2"
	"github.com/millrace-video/millrace/stages/encode"
)

// eager is an encoder that stands above the hardware and never works.
type eager struct{ opened *atomic.Int32 }

func (eager) Name() string { return "eager" }

func (e eager) Encoders(context.Context) ([]hal.EncoderInfo, error) {
	return []hal.EncoderInfo{{Name: e.Name(), Codec: hal.FWHT, Inputs: []hal.PixelFormat{hal.NV12}, Rank: 1000}}, nil
}

func (e eager) OpenEncoder(context.Context, string, hal.EncoderConfig) (hal.Encoder, error) {
	e.opened.Add(1)
	return nil, errors.New("it does not work")
}

// H3: a channel finds the hardware encoder by itself and takes it after those of a higher rank that
// do not work, or, where the configuration prefers it, before them.
func TestTheConfigurationOverridesAnEncodersRank(t *testing.T) {
	for name, tc := range map[string]struct {
		prefer []string
		eager  bool
	}{
		"by rank":               {nil, true},
		"by the hand of a user": {[]string{"v4l2:vicodec@platform:vicodec"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dev, _ := cameras(t)
			loadCodec(t, false)
			nothingLeft(t)
			var opened atomic.Int32
			reg := hal.NewRegistry(v4l2.Driver{}, eager{&opened})
			w := watchCamera(t, reg, "v4l2://"+dev+"?size=640x480&rate=25&format=nv12", encode.To(reg, hal.FWHT, encode.Config{Prefer: tc.prefer}))
			w.start(t)
			w.runs(t, 0)
			until(t, "an encoded picture", func() bool { return w.Status().Stages[1].Frames > 0 })
			require.Equal(t, tc.eager, opened.Load() > 0)
			figure(t, "%+v", w.Status().Stages[1].Stats)
			w.end(t)
		})
	}
}
