package synth

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-video/millrace/hal"
)

// Config is what a URL asks for.
type Config struct {
	Card
	Codec   hal.Codec       // hal.H264 or hal.Raw
	Pixel   hal.PixelFormat // of raw pictures
	GOP     int             // pictures from one key frame to the next
	Bitrate int             // bits a second to fill H.264 up to; 0: no filling
	Audio   hal.Codec       // hal.CodecUnknown: none
	Frames  int             // pictures until io.EOF; 0: endless
	Fast    bool            // as fast as it is read, not live

	FailOpen bool
	Fail     Trial
	Stall    Trial
	Panic    Trial
}

// Trial is a fault that comes after a number of pictures.
type Trial struct {
	On    bool
	After int
}

const (
	minWidth, minHeight = 160, 112
	maxSide             = 4096
	maxGOP              = 1 << 16 // frame_num's range
	maxBitrate          = 200_000_000
	maxCount            = 1 << 30
	maxSeed             = 1 << 20
)

// setter parses one parameter's value into c. Its error says what would be right.
type setter func(c *Config, value string) error

func setters() map[string]setter {
	return map[string]setter{
		"size":    setSize,
		"rate":    func(c *Config, v string) (err error) { c.Rate, err = ParseRate(v); return err },
		"codec":   setCodec,
		"pixel":   setPixel,
		"gop":     func(c *Config, v string) error { return setInt(&c.GOP, v, 1, maxGOP) },
		"bitrate": setBitrate,
		"seed":    func(c *Config, v string) error { return setInt(&c.Seed, v, 0, maxSeed) },
		"still":   setStill,
		"audio":   setAudio,
		"frames":  func(c *Config, v string) error { return setInt(&c.Frames, v, 1, maxCount) },
		"pace":    setPace,
		"fail":    setFail,
		"stall":   func(c *Config, v string) error { return setTrial(&c.Stall, v) },
		"panic":   func(c *Config, v string) error { return setTrial(&c.Panic, v) },
	}
}

// Parse reads a synth URL. Every wrong parameter is named with what would be right.
func Parse(u *url.URL) (Config, error) {
	c := Config{
		Card:  Card{Width: 640, Height: 360, Rate: Rate{25, 1}, Seed: 1},
		Codec: hal.H264, Pixel: hal.I420, GOP: 50, Audio: hal.AAC,
	}
	if u.Host != "" || u.User != nil || u.Opaque != "" || (u.Path != "" && u.Path != "/") || u.Fragment != "" {
		return Config{}, errors.New("a synthetic camera has no host, user or path: synth://?size=640x360")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Config{}, errors.New("the parameters do not parse: NAME=VALUE joined by &, special characters as %XX")
	}
	known := setters()
	var errs []error
	for _, name := range sortedKeys(query) {
		set, ok := known[name]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("unknown parameter %q: one of %s", name, strings.Join(sortedKeys(known), ", ")))
		case len(query[name]) > 1:
			errs = append(errs, fmt.Errorf("parameter %s is given %d times: once", name, len(query[name])))
		default:
			if err := set(&c, query[name][0]); err != nil {
				errs = append(errs, fmt.Errorf("parameter %s=%s: %w", name, query[name][0], err))
			}
		}
	}
	if err := c.relations(query); err != nil {
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

// relations checks what only one codec understands.
func (c Config) relations(query url.Values) error {
	if c.Codec == hal.Raw && (query.Has("gop") || query.Has("bitrate")) {
		return errors.New("parameters gop and bitrate go with codec=h264 only")
	}
	if c.Codec != hal.Raw && query.Has("pixel") {
		return errors.New("parameter pixel goes with codec=raw only")
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func setInt(dst *int, v string, low, high int) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		return fmt.Errorf("a whole number from %d to %d", low, high)
	}
	*dst = n
	return nil
}

func setSize(c *Config, v string) error {
	w, h, _ := strings.Cut(v, "x")
	width, errW := strconv.Atoi(w)
	height, errH := strconv.Atoi(h)
	if errW != nil || errH != nil || width%2 != 0 || height%2 != 0 ||
		width < minWidth || height < minHeight || width > maxSide || height > maxSide {
		return fmt.Errorf("WIDTHxHEIGHT, both even, from %dx%d to %dx%d", minWidth, minHeight, maxSide, maxSide)
	}
	c.Width, c.Height = width, height
	return nil
}

func setCodec(c *Config, v string) error {
	switch v {
	case "h264":
		c.Codec = hal.H264
	case "raw":
		c.Codec = hal.Raw
	default:
		return errors.New("h264 or raw (raw with pixel=i420 and others)")
	}
	return nil
}

func setPixel(c *Config, v string) error {
	p, err := hal.ParsePixelFormat(v)
	if err == nil {
		_, err = hal.PackedLayout(p, minWidth, minHeight)
	}
	if err != nil {
		return errors.New("i420, yuyv, uyvy, nv12 or nv21")
	}
	c.Pixel = p
	return nil
}

func setBitrate(c *Config, v string) error {
	unit := 1
	digits := v
	if n := len(v); n > 0 {
		switch v[n-1] {
		case 'k':
			unit, digits = 1000, v[:n-1]
		case 'M':
			unit, digits = 1_000_000, v[:n-1]
		}
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(n*float64(unit) >= 1000 && n*float64(unit) <= maxBitrate) {
		return errors.New("bits a second from 1k to 200M, such as 800k or 4M")
	}
	c.Bitrate = int(n * float64(unit))
	return nil
}

func setAudio(c *Config, v string) error {
	if v == "none" {
		c.Audio = hal.CodecUnknown
		return nil
	}
	codec, err := hal.ParseCodec(v)
	if err != nil || !slices.Contains([]hal.Codec{hal.AAC, hal.LPCM, hal.G711A, hal.G711U}, codec) {
		return errors.New("none, aac, lpcm, pcma or pcmu")
	}
	c.Audio = codec
	return nil
}

func setStill(c *Config, v string) error {
	if v == "always" {
		c.Still = math.MaxInt
		return nil
	}
	n, ok := strings.CutPrefix(v, "until:")
	if !ok || setInt(&c.Still, n, 1, maxCount) != nil {
		return errors.New("always, or until:N, counted in pictures")
	}
	return nil
}

func setPace(c *Config, v string) error {
	if v != "live" && v != "fast" {
		return errors.New("live or fast")
	}
	c.Fast = v == "fast"
	return nil
}

func setFail(c *Config, v string) error {
	if v == "open" {
		c.FailOpen = true
		return nil
	}
	if setTrial(&c.Fail, v) != nil {
		return errors.New("after:N, counted in pictures, or open")
	}
	return nil
}

func setTrial(t *Trial, v string) error {
	n, ok := strings.CutPrefix(v, "after:")
	if !ok || setInt(&t.After, n, 0, maxCount) != nil {
		return errors.New("after:N, counted in pictures")
	}
	t.On = true
	return nil
}
