package catalog

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/record"
)

// Config says where a catalog is and whom it asks.
type Config struct {
	Data     string    // folder of the database
	Channels []Channel // others are taken in as they enter something, in Data
	Clock    *hal.Clock
	Logger   *slog.Logger // default: silent

	// Salvage repairs a file that was open when the program ended. Default: its size is taken.
	Salvage func(path string) (Salvaged, error)
	// Cause says why nothing is recorded of a channel now. Default: nobody knows.
	Cause func(channel string) (record.Cause, string)
	// Synchronised says whether the system's clock is right. Default: the kernel is asked.
	Synchronised func() bool
	// BootID names the machine's boot. Default: the kernel's.
	BootID string

	Budget
}

// Channel is one whose recordings the catalog keeps account of.
type Channel struct {
	Name   string
	Dir    string // default: its name, in Data
	Limits Limits
}

// Salvaged is what was found in a file that was open.
type Salvaged struct {
	Gone   bool          // nothing whole was in it; the file is removed
	Length time.Duration // of its lead track; 0: not known
	Bytes  int64
	Cut    int64 // bytes that were cut off
	Tracks []string
	Start  record.Instant // where the file tells; zero: it does not
	Boot   string         // whose Mono Start is
	Detail string         // for a person
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = hal.NewClock()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Salvage == nil {
		c.Salvage = sizeOf
	}
	if c.Cause == nil {
		c.Cause = func(string) (record.Cause, string) { return record.NotRunning, "" }
	}
	if c.Synchronised == nil {
		c.Synchronised = synchronised
	}
	if c.BootID == "" {
		c.BootID = bootID()
	}
	return c
}

// sizeOf stands in for a salvage.
func sizeOf(path string) (Salvaged, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return Salvaged{Gone: true}, nil
	}
	if err != nil {
		return Salvaged{}, err
	}
	return Salvaged{Bytes: info.Size()}, nil
}

// folder is where a channel's files are.
func (c Config) folder(ch Channel) string {
	switch {
	case ch.Dir == "":
		return filepath.Join(c.Data, ch.Name)
	case filepath.IsAbs(ch.Dir):
		return filepath.Clean(ch.Dir)
	}
	return filepath.Join(c.Data, ch.Dir)
}

// bootID returns the kernel's name for this boot; empty where it has none.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// isName says whether a file's name is one, and no path.
func isName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 255 && !strings.ContainsAny(name, "/\x00")
}
