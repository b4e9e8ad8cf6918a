package event

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Config is a channel's settings. The zero value holds the defaults, but for Pre.
type Config struct {
	Interval time.Duration // from an event's first trigger until it closes; at least 4 s, default 180 s
	Minimum  time.Duration // recorded after the last trigger; 4 s to Interval, default 8 s
	Pre      time.Duration // recorded from before a trigger; 0: nothing, at most 60 s; DefaultPre is usual
	Waiting  int           // events that may wait to be done before a trigger opens another; default 0: no limit

	// Priorities of sources for pictures: 0 to 31, lower is more urgent, or Unbound. A source
	// that is not in it has its own number.
	Priorities map[Source]int

	UploadTimeout time.Duration // for one picture's upload; default 60 s
}

// The defaults and bounds of C7 and C8.
const (
	DefaultInterval = 180 * time.Second
	DefaultMinimum  = 8 * time.Second
	DefaultPre      = 5 * time.Second
	Least           = 4 * time.Second // of Interval and Minimum
	MaxInterval     = 24 * time.Hour
	MaxPre          = 60 * time.Second
	Unbound         = -1 // a priority: not bound by priority

	defaultUpload = 60 * time.Second
)

// WithDefaults fills in what is 0 and has a default.
func (c Config) WithDefaults() Config {
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Minimum == 0 {
		c.Minimum = min(DefaultMinimum, c.Interval)
	}
	if c.UploadTimeout == 0 {
		c.UploadTimeout = defaultUpload
	}
	return c
}

// Validate says what is wrong, all of it at once (C7, C8).
func (c Config) Validate() error {
	c = c.WithDefaults()
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(c.Interval < Least || c.Interval > MaxInterval, "event interval %s: %s to %s", c.Interval, Least, MaxInterval)
	wrong(c.Minimum < Least, "minimum recording time %s: at least %s", c.Minimum, Least)
	wrong(c.Minimum > c.Interval, "minimum recording time %s: at most the event interval, %s", c.Minimum, c.Interval)
	wrong(c.Pre < 0 || c.Pre > MaxPre, "footage from before a trigger %s: 0 to %s", c.Pre, MaxPre)
	wrong(c.Waiting < 0, "%d waiting events: 0 for no limit, or how many", c.Waiting)
	wrong(c.UploadTimeout < 0, "%s for a picture's upload: more than 0", c.UploadTimeout)
	set := make([]Source, 0, len(c.Priorities))
	for s := range c.Priorities {
		set = append(set, s)
	}
	slices.Sort(set)
	for _, s := range set {
		wrong(s >= sources, "a priority for source %d: sources are 0 to 31", s)
		p := c.Priorities[s]
		wrong(p < Unbound || p >= sources, "priority %d of %s: 0 (most urgent) to 31, or %d for a source that is not bound by priority", p, s, Unbound)
	}
	return errors.Join(errs...)
}

// priority is a source's, or Unbound.
func (c Config) priority(s Source) int {
	if p, ok := c.Priorities[s]; ok {
		return p
	}
	return int(s)
}
