package v4l2

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
)

// usualRate is what a camera is set to where the URL does not say: drivers' own defaults go
// down to 5.
const usualRate = 30

// negotiation brings a camera to deliver what a URL asks for.
type negotiation struct {
	node   node
	queue  *queue
	target Target
	follow bool // a signal that changed: its size is what it is
	log    *slog.Logger
}

// captureType returns which API a node's capture queue has.
func captureType(c *capability) (bufType, error) {
	own := c.own()
	switch {
	case own&(capM2M|capM2MMulti) != 0 || own&capCapture != 0 && own&capOutput != 0 || own&capCaptureMulti != 0 && own&capOutputMulti != 0:
		return 0, fmt.Errorf("%w: %s is an encoder or decoder and no camera", hal.ErrUnsupported, &c.Card)
	case own&capStreaming == 0:
		return 0, fmt.Errorf("%w: %s cannot stream", hal.ErrUnsupported, &c.Card)
	case own&capCapture != 0:
		return captureSingle, nil
	case own&capCaptureMulti != 0:
		return captureMulti, nil
	}
	return 0, fmt.Errorf("%w: %s takes no pictures (capabilities %#x)", hal.ErrUnsupported, &c.Card, own)
}

// run sets controls, format and rate, and returns what the camera will deliver.
func (n *negotiation) run() (picture, float64, error) {
	if err := n.followTimings(); err != nil {
		return picture{}, 0, err
	}
	if err := applyControls(n.node, n.target.Controls); err != nil {
		return picture{}, 0, err
	}
	want, err := n.want()
	if err != nil {
		return picture{}, 0, err
	}
	p, err := n.setFormat(want)
	if err != nil {
		return picture{}, 0, err
	}
	return p, n.setRate(), nil
}

// followTimings sets what a video input (HDMI, SDI) receives. A camera that makes its pictures
// itself has none.
func (n *negotiation) followTimings() error {
	var t dvTimings
	err := n.node.ioctl(vidiocQueryTimings, unsafe.Pointer(&t))
	switch {
	case err == nil:
		if err = n.node.ioctl(vidiocSetTimings, unsafe.Pointer(&t)); err != nil {
			return callError(vidiocSetTimings, err)
		}
		return nil
	case isErrno(err, unix.ENOLINK):
		return fmt.Errorf("%w: nothing is connected to the video input: check the cable (%w)", hal.ErrNoSignal, err)
	case isErrno(err, unix.ENOLCK):
		return fmt.Errorf("%w: the video input's signal is unstable (%w)", hal.ErrNoSignal, err)
	case isErrno(err, unix.ERANGE):
		return fmt.Errorf("%w: the video input receives a mode that it cannot take (%w)", hal.ErrNoSignal, err)
	case isErrno(err, unix.ENODEV):
		return callError(vidiocQueryTimings, err)
	}
	return nil
}

// wanted is what is asked of the driver.
type wanted struct {
	pixel         fourCC
	width, height int // 0: as it is
}

// want decides on pixel format and size.
func (n *negotiation) want() (wanted, error) {
	offered := askPixels(n.node, n.queue.typ)
	has := func(c fourCC) bool {
		return slices.ContainsFunc(offered, func(d formatDesc) bool { return d.Pixel == c })
	}
	t := &n.target
	for _, k := range knownFormats() {
		if t.Codec != hal.CodecUnknown && (k.codec != t.Codec || k.layout != t.Pixel) {
			continue
		}
		if !has(k.pixel) {
			continue
		}
		w := wanted{pixel: k.pixel}
		if !n.follow {
			w.width, w.height = t.Width, t.Height
		}
		if w.width == 0 && !n.follow {
			w.width, w.height = n.usualSize(k.pixel)
		}
		return w, nil
	}
	if t.Codec == hal.CodecUnknown {
		return wanted{}, n.unsupported("has no format that is known here")
	}
	name := known{codec: t.Codec, layout: t.Pixel}.name()
	return wanted{}, n.unsupported("does not deliver " + name)
}

// usualSize is the size where the URL names none: the best of those that the camera lists, or,
// where any size goes, the one that is set.
func (n *negotiation) usualSize(pixel fourCC) (w, h int) {
	sizes := askSizes(n.node, pixel)
	if len(sizes) == 0 || sizes[0].minW != sizes[0].maxW {
		return 0, 0
	}
	for i := range sizes {
		sizes[i].rates, sizes[i].ranged = askRates(n.node, pixel, sizes[i].maxW, sizes[i].maxH)
	}
	s, _ := best(sizes)
	return s.maxW, s.maxH
}

// unsupported is an error that says what the camera can do.
func (n *negotiation) unsupported(what string) error {
	return fmt.Errorf("%w: the camera %s: it can do %s", hal.ErrUnsupported, what, describeOffers(askOffers(n.node, n.queue.typ)))
}

// setFormat sets the format and checks that the driver took it as it is.
func (n *negotiation) setFormat(w wanted) (picture, error) {
	f, err := n.queue.getFormat()
	if err != nil {
		return picture{}, err
	}
	if w.width == 0 {
		w.width, w.height = sizeOf(&f)
	}
	f = formatOf(n.queue.typ, w)
	if err = n.queue.setFormat(&f); err != nil {
		if isErrno(err, unix.EINVAL) {
			return picture{}, n.unsupported(fmt.Sprintf("refuses %s in %dx%d (%v)", w.pixel, w.width, w.height, err))
		}
		return picture{}, err
	}
	p, err := describe(&f)
	if err != nil {
		return p, err
	}
	if p.pixel != w.pixel || p.width != w.width || p.height != w.height {
		return p, n.unsupported(fmt.Sprintf("makes %s %dx%d of %s %dx%d", p.pixel, p.width, p.height, w.pixel, w.width, w.height))
	}
	return p, nil
}

func sizeOf(f *format) (w, h int) {
	if f.Type.multiplanar() {
		return int(f.multi().Width), int(f.multi().Height)
	}
	return int(f.single().Width), int(f.single().Height)
}

// formatOf is a format to be set; what it does not name is the driver's choice.
func formatOf(typ bufType, w wanted) format {
	f := format{Type: typ}
	if typ.multiplanar() {
		m := f.multi()
		m.Width, m.Height, m.Pixel, m.Field = uint32(w.width), uint32(w.height), w.pixel, fieldNone
	} else {
		s := f.single()
		s.Width, s.Height, s.Pixel, s.Field, s.Priv = uint32(w.width), uint32(w.height), w.pixel, fieldNone, privMagic
	}
	return f
}

// setRate sets the rate and returns the one that the camera then has; 0 where it does not say.
func (n *negotiation) setRate() float64 {
	p := streamParm{Type: n.queue.typ}
	if n.node.ioctl(vidiocGetParm, unsafe.Pointer(&p)) != nil {
		return 0
	}
	want := n.target.Rate
	if want.Frames == 0 {
		want = Rate{usualRate, 1}
	}
	if p.Capability&timePerFrame != 0 {
		set := streamParm{Type: n.queue.typ, TimePerFrame: fraction{want.Seconds, want.Frames}}
		if err := n.node.ioctl(vidiocSetParm, unsafe.Pointer(&set)); err == nil {
			p = set
		} else {
			n.log.Warn("camera: rate not set", "rate", want.Float(), "error", err.Error())
		}
	}
	got := Rate{p.TimePerFrame.Den, p.TimePerFrame.Num}.Float()
	if n.target.Rate.Frames != 0 && math.Abs(got-want.Float()) > 0.1*want.Float() {
		n.log.Warn("camera: another rate than asked for", "asked", want.Float(), "rate", got)
	}
	return got
}

// subscribe asks for the events that a source follows. Most cameras have none.
func subscribe(n node) error {
	s := eventSubscription{Type: eventSourceChange}
	err := n.ioctl(vidiocSubscribeEvent, unsafe.Pointer(&s))
	if errors.Is(err, unix.ENODEV) {
		return callError(vidiocSubscribeEvent, err)
	}
	return nil
}
