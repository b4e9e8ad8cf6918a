//go:build linux && cgo && (amd64 || arm64 || arm)

package v4l2

import (
	"math"

	"github.com/vladimirvivien/go4vl/v4l2"

	"github.com/millrace-video/millrace/hal"
)

// builtIn says whether this program can use the kernel's cameras.
func builtIn() bool { return true }

// askByLibrary lists what a single-planar camera can do, and its controls.
func askByLibrary(k *kernel) ([]offer, []hal.Control) {
	fd := uintptr(k.fd)
	var all []offer
	for i := range uint32(maxFormats) {
		d, err := v4l2.GetFormatDescription(fd, i)
		if err != nil {
			break
		}
		o := offer{pixel: fourCC(d.PixelFormat), what: d.Description}
		if _, ok := lookup(o.pixel); ok {
			o.sizes = librarySizes(k, d.PixelFormat)
		}
		all = append(all, o)
	}
	return all, libraryControls(fd)
}

func librarySizes(k *kernel, pixel v4l2.FourCCType) []sizeOffer {
	var all []sizeOffer
	for i := range uint32(maxSizes) {
		e, err := v4l2.GetFormatFrameSize(uintptr(k.fd), i, pixel)
		if err != nil {
			break
		}
		z := e.Size
		s := sizeOffer{
			minW: int(z.MinWidth), maxW: int(z.MaxWidth), stepW: int(z.StepWidth),
			minH: int(z.MinHeight), maxH: int(z.MaxHeight), stepH: int(z.StepHeight),
		}
		s.rates, s.ranged = libraryRates(k, pixel, z.MaxWidth, z.MaxHeight)
		all = append(all, s)
		if e.Type != v4l2.FrameSizeTypeDiscrete {
			break
		}
	}
	return all
}

// libraryRates lists the rates of a size. Ranges are asked for without the library, which (v0.3.0)
// reads their bounds from the wrong place.
func libraryRates(k *kernel, pixel v4l2.FourCCType, w, h uint32) (rates []float64, ranged bool) {
	for i := range uint32(maxRates) {
		e, err := v4l2.GetFormatFrameInterval(uintptr(k.fd), i, pixel, w, h)
		if err != nil {
			break
		}
		if e.Type != v4l2.FrameIntervalTypeDiscrete {
			return askRates(k, fourCC(pixel), int(w), int(h))
		}
		rates = appendRate(rates, fraction{e.Interval.Min.Numerator, e.Interval.Min.Denominator})
	}
	return arrange(rates), false
}

// libraryControls lists the controls that a URL can set.
func libraryControls(fd uintptr) []hal.Control {
	var all []hal.Control
	id := uint32(0)
	for range maxControls {
		c, err := v4l2.QueryControlInfo(fd, id|controlNext)
		if err != nil || c.ID <= id {
			break
		}
		id = c.ID
		kind := controlKind(uint32(c.Type))
		if kind == "" {
			continue
		}
		control := hal.Control{
			Name: controlName(c.Name), Kind: kind,
			Min: int64(c.Minimum), Max: int64(c.Maximum), Step: int64(c.Step), Default: int64(c.Default),
		}
		if c.IsMenu() {
			control.Menu = libraryMenu(&c)
		}
		if v, err := v4l2.GetControlValue(fd, id); err == nil && kind != "button" {
			value := int64(v)
			control.Value = &value
		}
		all = append(all, control)
	}
	return all
}

// libraryMenu lists a menu's items from the lowest index on.
func libraryMenu(c *v4l2.Control) []string {
	if c.Maximum < c.Minimum || int64(c.Maximum)-int64(c.Minimum) > min(maxControls, math.MaxInt32) {
		return nil
	}
	names := make([]string, int64(c.Maximum)-int64(c.Minimum)+1)
	items, err := c.GetMenuItems()
	if err != nil && len(items) == 0 {
		return nil
	}
	for _, item := range items {
		if i := int64(item.Index) - int64(c.Minimum); i >= 0 && i < int64(len(names)) {
			names[i] = item.Name
		}
	}
	return names
}
