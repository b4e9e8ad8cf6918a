package v4l2

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unsafe"

	"github.com/millrace-video/millrace/hal"
)

// Controls of encoders (linux/v4l2-controls.h).
const (
	controlMinCapture  = 0x00980900 + 39
	controlMinOutput   = 0x00980900 + 40
	controlBFrames     = codecBase + 202
	controlGOP         = codecBase + 203
	controlBitrate     = codecBase + 207
	controlRateControl = codecBase + 215
	controlIPeriod     = codecBase + 358 // of H.264
	controlLevel264    = codecBase + 359
	controlProfile264  = codecBase + 363
	controlProfile265  = codecBase + 615
	controlLevel265    = codecBase + 616
	controlJPEGQuality = 0x009d0900 + 3

	headerJoined = 1 // parameter sets before the first frame, in its buffer
)

// wish is a control that an encoder should have, and the values that would do, the best first.
type wish struct {
	id     uint32
	what   string
	values []int32
}

// wishes says what to ask of an encoder's driver.
func wishes(cfg hal.EncoderConfig) []wish {
	if cfg.Codec == hal.MJPEG {
		return []wish{{controlJPEGQuality, "quality", []int32{int32(cfg.Quality)}}}
	}
	rate := rateOr25(cfg.Input.FrameRate)
	gop := cfg.GOP
	if gop == 0 {
		gop = max(1, int(math.Round(2*rate)))
	}
	all := []wish{{controlGOP, "GOP", []int32{int32(gop)}}}
	if cfg.Codec == hal.FWHT {
		return all
	}
	bitrate := cfg.Bitrate
	if bitrate == 0 { // a tenth of a bit for each pixel
		bitrate = min(int(float64(cfg.Input.Width*cfg.Input.Height)*rate/10), 1<<30)
	}
	all = append(all,
		wish{controlBFrames, "no B-frames", []int32{0}},
		wish{controlRateControl, "rate control", []int32{1}},
		wish{controlBitrate, "bit rate", []int32{int32(bitrate)}},
		wish{controlHeaderMode, "header mode", []int32{headerJoined}},
	)
	profile, level := uint32(controlProfile264), uint32(controlLevel264)
	if cfg.Codec == hal.H265 {
		profile, level = controlProfile265, controlLevel265
	} else {
		all = append(all, wish{controlIPeriod, "I period", []int32{int32(gop)}})
	}
	if cfg.Profile != "" {
		all = append(all, wish{profile, "profile " + cfg.Profile, profileValues(cfg.Codec, cfg.Profile)})
	}
	if l, ok := levelFor(cfg.Codec, cfg.Input.Width, cfg.Input.Height, rate, bitrate); ok {
		all = append(all, wish{level, "level", []int32{l}})
	}
	return all
}

func rateOr25(rate float64) float64 {
	if !(rate > 0) || rate > 1000 {
		return 25
	}
	return rate
}

// profileValues returns V4L2's numbers of a profile: constrained baseline rather than baseline,
// which nobody decodes.
func profileValues(codec hal.Codec, name string) []int32 {
	if codec == hal.H265 {
		return []int32{0}
	}
	switch name {
	case "baseline":
		return []int32{1, 0}
	case "main":
		return []int32{2}
	}
	return []int32{4, 17}
}

// grant sets a control. What the driver takes at all is brought within its bounds; the error
// says what was not, or not quite, granted.
func (w wish) grant(n node) error {
	q, err := queryOne(n, w.id)
	if err != nil || q.Flags&(controlDisabled|controlReadOnly) != 0 {
		return fmt.Errorf("%s (not there)", w.what)
	}
	for _, v := range w.values {
		is := v
		if q.Type == controlInteger {
			is = int32(max(q.Min, min(q.Max, int64(v))))
		}
		if err = setControl(n, w.id, is); err != nil {
			continue
		}
		if is != v {
			return fmt.Errorf("%s %d (%d is its limit)", w.what, v, is)
		}
		return nil
	}
	return fmt.Errorf("%s %d (refused)", w.what, w.values[0])
}

// applyWishes sets the controls and the rate. What the driver has no control for stays its own
// choice: that is one line in the log.
func (e *encoder) applyWishes() error {
	var missing []string
	if err := e.setRate(); err != nil {
		missing = append(missing, "frame rate (not there)")
	}
	for _, w := range wishes(e.cfg) {
		if err := w.grant(e.node); err != nil {
			missing = append(missing, err.Error())
		}
	}
	_, err := queryOne(e.node, controlForceKey)
	e.forces = err == nil
	if len(missing) > 0 {
		e.cfg.Log.Info("hardware encoder: what it has no control for stays its own choice",
			"encoder", e.name, "without", strings.Join(missing, ", "))
	}
	_, err = e.raw.getFormat()
	if errors.Is(err, hal.ErrNoDevice) { // else all of it would look like missing controls
		return err
	}
	return nil
}

// setRate tells the driver how many pictures a second will come, for its rate control.
func (e *encoder) setRate() error {
	rate := rateOf(rateOr25(e.cfg.Input.FrameRate))
	p := streamParm{Type: e.raw.typ, TimePerFrame: fraction{Num: rate.Seconds, Den: rate.Frames}}
	return e.node.ioctl(vidiocSetParm, unsafe.Pointer(&p))
}

// least returns how many buffers a driver needs at the least in a queue.
func (e *encoder) least(control uint32) int {
	v, err := getControl(e.node, control)
	if err != nil {
		return 1
	}
	return max(1, min(int(v), maxBuffers-2))
}
