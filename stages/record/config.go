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

	// Sync is how much a power cut can take, from the frame on: what is written is made durable
	// before its oldest frame is that old. Up to 1.5 FragmentDuration it is each fragment;
	// SyncSegment leaves it to the end of the file. Default 5 s.
	Sync time.Duration

	// Duration ends the recording after that much of the stream; 0: it goes on.
	Duration time.Duration

	// OnCommand leaves a directory's recording stopped until StartRecording.
	OnCommand bool

	// Resume is how long after an idle end new data goes on in the same file; only then the files
	// of that recording are merged. Default 60 s; below 0: never.
	Resume time.Duration

	// Merge says what becomes of the files of a recording that has ended (R4).
	Merge MergePolicy

	// Between is the cause of gaps of which nobody knows another. Default: the source, where it
	// started again, else a queue.
	Between Cause

	// What recorders of one program share; each may be nil. Without Disks a recorder makes durable
	// what it wrote when it writes again, and without a Merger nothing is merged.
	Catalog Catalog
	Space   Space
	Disks   *Disks
	Merger  *Merger
}

// MergePolicy says what becomes of the files of a recording that has ended. The zero value
// merges, and removes what was merged.
type MergePolicy struct {
	Off       bool
	KeepParts bool
	// MaxBytes leaves a larger recording in its parts. Default 4 GB; below 0: no limit.
	MaxBytes int64
}

// SyncSegment as Config.Sync makes a file durable when it is closed, not before.
const SyncSegment time.Duration = -1

const (
	defaultSegmentDuration = 10 * time.Minute
	defaultSegmentBytes    = 1_000_000_000
	defaultSync            = 5 * time.Second
	defaultResume          = 60 * time.Second
	defaultMergeBytes      = 4_000_000_000
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
	if c.Sync == 0 {
		c.Sync = defaultSync
	}
	if c.Resume == 0 {
		c.Resume = defaultResume
	}
	if c.Merge.MaxBytes == 0 {
		c.Merge.MaxBytes = defaultMergeBytes
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

// patience is how long a fragment may be written and not durable; below 0: until its file is closed.
func (c Config) patience() time.Duration {
	if c.Sync < 0 {
		return SyncSegment
	}
	return max(0, c.Sync-c.FragmentDuration*3/2) // a fragment's first frame is that old when it is written
}

// full says whether a file that long and large is to be cut.
func (c Config) full(d time.Duration, bytes int64) bool {
	return c.SegmentDuration > 0 && d >= c.SegmentDuration-rounding || c.SegmentBytes > 0 && bytes >= c.SegmentBytes
}
