package v4l2

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-video/millrace/hal"
)

// Scheme is the scheme of the URLs of this driver.
const Scheme = "v4l2"

// Target is what a URL asks for: a camera, and how it is to deliver.
type Target struct {
	// Path is a device node. Empty: the camera is known by Bus or Serial.
	Path string
	// Bus is where the camera is plugged in, as the driver names it; Serial is the serial number
	// of the USB device.
	Bus, Serial string
	// Index counts the capture nodes of one device from 0.
	Index int

	Codec         hal.Codec       // CodecUnknown is the driver's choice
	Pixel         hal.PixelFormat // of raw pictures
	Width, Height int             // 0 is the driver's choice
	Rate          Rate            // frames a second; 0 is as near to 30 as the camera can
	Buffers       int             // 0 is what the options say
	Controls      []Setting       // set before the stream starts, in this order
}

// Rate is a number of frames in a number of seconds.
type Rate struct {
	Frames, Seconds uint32
}

// Float returns frames a second; 0 where there is no rate.
func (r Rate) Float() float64 {
	if r.Frames == 0 || r.Seconds == 0 {
		return 0
	}
	return float64(r.Frames) / float64(r.Seconds)
}

// Setting is a control's name, as Devices lists it, and the value to set it to.
type Setting struct {
	Name, Value string
}

const (
	maxSize     = 16384
	maxSettings = 64
	maxValue    = 128 // characters of a name or a value
)

// Parse reads a URL. The error says what would be right.
func Parse(u *url.URL) (Target, error) {
	t := Target{}
	if u.User != nil {
		return t, errors.New("a camera has no user or password")
	}
	if u.Fragment != "" {
		return t, fmt.Errorf("nothing follows # (%q)", u.Fragment)
	}
	if err := t.place(u); err != nil {
		return t, err
	}
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err := errors.Join(err1, err2); err != nil {
			return t, fmt.Errorf("parameter %q: not percent-encoded as a URL wants it", part)
		}
		if err := t.set(name, value); err != nil {
			return t, err
		}
	}
	return t, nil
}

// place reads which camera is meant.
func (t *Target) place(u *url.URL) error {
	name := strings.TrimPrefix(u.Path, "/")
	if strings.ContainsRune(u.Path, 0) || len(u.Path) > 4096 {
		return errors.New("a path of at most 4096 characters, none of them zero")
	}
	switch {
	case u.Opaque != "" || u.Path == "":
	case u.Host == "" && strings.HasPrefix(path.Clean(u.Path), "/dev/"):
		t.Path = path.Clean(u.Path)
		return nil
	case u.Host == "bus" && name != "":
		t.Bus = name
		return nil
	case u.Host == "serial" && name != "":
		t.Serial = name
		return nil
	}
	return errors.New("no camera is named: write v4l2:///dev/video0, v4l2://bus/usb-0000:00:14.0-1 or v4l2://serial/NUMBER")
}

func (t *Target) set(name, value string) error {
	var err error
	ctrl, isControl := strings.CutPrefix(name, "ctrl.")
	switch {
	case isControl:
		return t.control(ctrl, value)
	case name == "format":
		t.Codec, t.Pixel, err = parseFormat(value)
		return err
	case name == "size":
		w, h, _ := strings.Cut(value, "x")
		if t.Width, err = number(w, 2, maxSize); err == nil {
			t.Height, err = number(h, 2, maxSize)
		}
		if err != nil {
			return fmt.Errorf("size=%s: WIDTHxHEIGHT, as 1280x720", value)
		}
	case name == "rate":
		if t.Rate, err = parseRate(value); err != nil {
			return err
		}
	case name == "buffers":
		if t.Buffers, err = number(value, 2, 32); err != nil {
			return fmt.Errorf("buffers=%s: 2 to 32", value)
		}
	case name == "index":
		if t.Index, err = number(value, 0, 63); err != nil || t.Path != "" {
			return fmt.Errorf("index=%s: 0 to 63, beside bus or serial", value)
		}
	default:
		return fmt.Errorf("unknown parameter %q: one of format, size, rate, buffers, index, ctrl.NAME", name)
	}
	return nil
}

func (t *Target) control(name, value string) error {
	if name == "" || len(name) > maxValue || len(value) > maxValue {
		return fmt.Errorf("ctrl.%.20s: a control's name and value have 1 to %d characters", name, maxValue)
	}
	if slices.ContainsFunc(t.Controls, func(s Setting) bool { return s.Name == name }) {
		return fmt.Errorf("ctrl.%s is given twice", name)
	}
	if len(t.Controls) == maxSettings {
		return fmt.Errorf("more than %d controls", maxSettings)
	}
	t.Controls = append(t.Controls, Setting{name, value})
	return nil
}

// parseFormat reads yuyv, nv12 …, mjpeg, h264 or h265.
func parseFormat(name string) (hal.Codec, hal.PixelFormat, error) {
	if name == "hevc" {
		name = hal.H265.String()
	}
	if p, err := hal.ParsePixelFormat(name); err == nil {
		return hal.Raw, p, nil
	}
	c, err := hal.ParseCodec(name)
	if err != nil || c != hal.MJPEG && c != hal.H264 && c != hal.H265 {
		return 0, 0, fmt.Errorf("format=%s: one of %s", name, strings.Join(formatNames(), ", "))
	}
	return c, hal.PixelUnknown, nil
}

// formatNames lists what format= can be, the preferred first.
func formatNames() []string {
	var names []string
	for _, k := range knownFormats() {
		if n := k.name(); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// parseRate reads 25, 29.97 or 30000/1001.
func parseRate(value string) (Rate, error) {
	wrong := fmt.Errorf("rate=%s: frames a second, 0.1 to 1000, as 25, 29.97 or 30000/1001", value)
	var r Rate
	if num, den, ok := strings.Cut(value, "/"); ok {
		f, err1 := number(num, 1, 1<<24)
		s, err2 := number(den, 1, 1<<24)
		if err1 != nil || err2 != nil {
			return Rate{}, wrong
		}
		r = Rate{uint32(f), uint32(s)}
	} else {
		f, err := strconv.ParseFloat(value, 64)
		if err != nil || !(f >= 0.1 && f <= 1000) {
			return Rate{}, wrong
		}
		r = rateOf(f)
	}
	if f := r.Float(); f < 0.1 || f > 1000 {
		return Rate{}, wrong
	}
	return r, nil
}

// rateOf makes a fraction of a rate: a whole number, NTSC's, or thousandths.
func rateOf(f float64) Rate {
	for _, seconds := range [...]uint32{1, 1001} {
		thousand := uint32(1)
		if seconds == 1001 {
			thousand = 1000
		}
		frames := uint32(f*float64(seconds)/float64(thousand)+0.5) * thousand
		if d := float64(frames)/float64(seconds) - f; d < 0.005 && d > -0.005 && frames > 0 {
			return Rate{frames, seconds}
		}
	}
	return Rate{uint32(f*1000 + 0.5), 1000}
}

// number reads a decimal number within bounds.
func number(s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q: a number from %d to %d", s, least, most)
	}
	return n, nil
}
