package cloud

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// Config is what all channels share. But for Store and Workers the zero value holds every default.
type Config struct {
	Store   Store
	Workers *pool.Workers // a share of Share(Parallel)

	Prefix string // before every key; default none
	// Dir is where numbers and what is under way are kept, so that names never repeat and
	// playlists are completed after a kill. Default: nothing outlives the process.
	Dir string
	// Spool keeps packages in Dir until the store has them. Without it C3 holds literally.
	Spool      bool
	SpoolBytes int64 // of all channels at most; default 10 GB
	// Space is asked for room when the disk of the spool is full, before anything of the spool
	// goes. Default: nobody is.
	Space    Space
	Parallel int // uploads of backlog at once; default 8

	Callbacks

	Clock *hal.Clock   // default: the real one
	Log   *slog.Logger // default: silent
}

// liveParallel is how many packages of the present go up at once, beside the backlog; fullParallel
// how many of them may be full-time's alone, so that an event's never waits for a free one.
const (
	liveParallel = 32
	fullParallel = 24
)

const (
	defaultParallel   = 8
	defaultSpoolBytes = 10_000_000_000
	minSpoolBytes     = 1_000_000
)

// Share is how many workers a Cloud needs.
func Share(parallel int) int {
	if parallel == 0 {
		parallel = defaultParallel
	}
	return parallel + liveParallel + letterParallel
}

func (c Config) withDefaults() Config {
	if c.SpoolBytes == 0 {
		c.SpoolBytes = defaultSpoolBytes
	}
	if c.Parallel == 0 {
		c.Parallel = defaultParallel
	}
	if c.Clock == nil {
		c.Clock = hal.NewClock()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Prefix != "" {
		c.Prefix = strings.TrimSuffix(c.Prefix, "/") + "/"
	}
	return c
}

// Validate says what is wrong.
func (c Config) Validate() error {
	switch {
	case c.Store == nil || c.Workers == nil:
		return errors.New("cloud: a store and workers")
	case c.Spool && c.Dir == "":
		return errors.New("cloud: a spool needs a folder")
	case c.SpoolBytes != 0 && c.SpoolBytes < minSpoolBytes:
		return fmt.Errorf("cloud: a spool of %d bytes: at least %d", c.SpoolBytes, minSpoolBytes)
	case c.Parallel < 0 || c.Parallel > 256:
		return fmt.Errorf("cloud: %d uploads at once: 1 to 256", c.Parallel)
	}
	return nil
}

// ChannelConfig is one channel's settings.
type ChannelConfig struct {
	Package time.Duration // cut at the first key frame after that long; 1 s to 60 s, default 4 s (C2)
	// Bytes is the set size of a package (C3); 0: measured from the stream. DefaultBytes is usual.
	Bytes int64
	// Pre is how long before a trigger an event begins at least, as far as packages go; at most 60 s.
	Pre time.Duration

	FullTime, Event bool // services that are on from Init on
}

// DefaultBytes is the set size of a package where nobody says another (C3).
const DefaultBytes = 512 << 10

const defaultPackage = 4 * time.Second

// Validate says what is wrong.
func (c ChannelConfig) Validate() error {
	switch {
	case c.Package != 0 && (c.Package < time.Second || c.Package > time.Minute):
		return fmt.Errorf("packages of %s: 1s to 1m", c.Package)
	case c.Bytes < 0 || c.Bytes > 0 && c.Bytes < 16<<10 || c.Bytes > 1<<30:
		return fmt.Errorf("packages of %d bytes: 0 for measured, else 16 KiB to 1 GiB", c.Bytes)
	case c.Pre < 0 || c.Pre > time.Minute:
		return fmt.Errorf("%s from before an event: 0 to 1m", c.Pre)
	}
	return nil
}
