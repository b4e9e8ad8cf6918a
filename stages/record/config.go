package record

import (
	"fmt"
	"time"
)

// Config says how to record. The zero value works.
type Config struct {
	Name string // of the stage; default "record"

	// A file is cut before the first key frame at which it is that long or that large. Default
	// 10 minutes and 1 GB; a File is cut only where they are set. Below 0: never.
	SegmentDuration time.Duration
	SegmentBytes    int64

	// FragmentDuration is how much is written at a time, and so what a killed program can lose
	// beside what still lies in the queue. Default 1 s, at least 10 ms.
	FragmentDuration time.Duration

	// Duration ends the recording after that much of the stream; 0: it goes on.
	Duration time.Duration
}

const (
	defaultSegmentDuration = 10 * time.Minute
	defaultSegmentBytes    = 1_000_000_000
	shortestFragment       = 10 * time.Millisecond

	// rounding is how far time stamps of one instant may be apart: 90 kHz ticks cut to ns, and
	// ns to ms by those who count in ms.
	rounding = time.Millisecond
)

// Validate says what is wrong.
func (c Config) Validate() error {
	switch {
	case c.FragmentDuration != 0 && c.FragmentDuration < shortestFragment:
		return fmt.Errorf("a fragment of %s: at least %s", c.FragmentDuration, shortestFragment)
	case c.SegmentDuration > 0 && c.SegmentDuration < c.withDefaults().FragmentDuration:
		return fmt.Errorf("files of %s with fragments of %s: a file is at least as long", c.SegmentDuration, c.withDefaults().FragmentDuration)
	case c.Duration < 0:
		return fmt.Errorf("a recording of %s: 0 or more", c.Duration)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "record"
	}
	if c.FragmentDuration == 0 {
		c.FragmentDuration = time.Second
	}
	return c
}

// segmented fills in what is not set for a directory of files.
func (c Config) segmented() Config {
	if c.SegmentDuration == 0 {
		c.SegmentDuration = defaultSegmentDuration
	}
	if c.SegmentBytes == 0 {
		c.SegmentBytes = defaultSegmentBytes
	}
	return c
}

// full says whether a file that long and large is to be cut.
func (c Config) full(d time.Duration, bytes int64) bool {
	return c.SegmentDuration > 0 && d >= c.SegmentDuration-rounding || c.SegmentBytes > 0 && bytes >= c.SegmentBytes
}
