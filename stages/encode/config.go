package encode

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-video/millrace/hal"
)

// Rect is a part of a picture in pixels. All four are even.
type Rect struct {
	X, Y, Width, Height int
}

// Size is a picture's size in pixels, both even.
type Size struct {
	Width, Height int
}

// Config says how to encode. The zero value is ready.
type Config struct {
	Name     string   // of the stage; default "encode"
	Bitrate  int      // bits a second; 0 is the encoder's choice
	GOP      int      // pictures from one key frame to the next; 0 is two seconds' worth
	Profile  string   // "baseline", "main", "high"; "" is the encoder's choice
	Quality  int      // JPEG, 1–100; 0 is 80
	Parallel int      // JPEG: pictures encoded at once, each on a worker of the channel; 0 is 1
	Prefer   []string // encoders by name, tried before all others, in this order
	Nice     int      // nice value of the stage's thread (P5), −20 to 19; 0 stands for −5

	Crop  Rect            // the part that is encoded; zero is all of it
	Scale Size            // the size it gets; zero keeps its size
	Pixel hal.PixelFormat // what it is converted to, I420 or NV12; unknown is what the encoder takes

	ArenaMax int // bytes of encoded frames on loan at once; 0 is the arena's default
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "encode"
	}
	if c.Nice == 0 {
		c.Nice = -5
	}
	if c.Parallel == 0 {
		c.Parallel = 1
	}
	return c
}

// Validate says what is wrong, all of it at once.
func (c Config) Validate() error {
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(c.Bitrate < 0, "bit rate %d: 0 or more bits a second", c.Bitrate)
	wrong(c.GOP < 0, "GOP %d: 0 or more pictures", c.GOP)
	wrong(c.Quality < 0 || c.Quality > 100, "quality %d: 1 to 100, or 0 for 80", c.Quality)
	wrong(c.Parallel < 0 || c.Parallel > 64, "parallel %d: 0 to 64 pictures", c.Parallel)
	wrong(c.Nice < -20 || c.Nice > 19, "nice %d: −20 to 19", c.Nice)
	wrong(c.ArenaMax < 0, "arena of %d bytes", c.ArenaMax)
	wrong(!slices.Contains([]string{"", "baseline", "main", "high"}, c.Profile),
		"profile %q: one of baseline, main, high", c.Profile)
	wrong(!slices.Contains([]hal.PixelFormat{hal.PixelUnknown, hal.I420, hal.NV12}, c.Pixel),
		"pixel format %s: i420 or nv12", c.Pixel)
	r := c.Crop
	wrong(!r.valid(), "crop %dx%d at %d,%d: even numbers", r.Width, r.Height, r.X, r.Y)
	wrong(!c.Scale.valid(), "scale to %dx%d: both even, 2 to %d", c.Scale.Width, c.Scale.Height, maxSide)
	return errors.Join(errs...)
}

// maxSide is the longest side of a picture that hal describes.
const maxSide = 16384

// valid says whether r is nothing at all, or a part that a picture can have.
func (r Rect) valid() bool {
	return r == Rect{} || r.X >= 0 && r.Y >= 0 && (r.X|r.Y)%2 == 0 && Size{r.Width, r.Height}.valid() && r.Width != 0
}

// valid says whether s is nothing at all, or a size that a picture can have.
func (s Size) valid() bool {
	return s == Size{} || min(s.Width, s.Height) >= 2 && max(s.Width, s.Height) <= maxSide && (s.Width|s.Height)%2 == 0
}
