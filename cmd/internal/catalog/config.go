package catalog

import (
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

	// Salvage repairs a file that was open when the program ended. Default: record.Salvage.
	Salvage func(path string) (record.Salvaged, error)
	// Now says what a channel's recorder is doing. Default: nothing runs.
	Now func(channel string) Now
	// Synchronised says whether the system's clock is right. Default: the kernel is asked.
	Synchronised func() bool
	// BootID names the machine's boot. Default: the kernel's.
	BootID string

	Budget

	Spool  SpoolConfig
	Beside []Beside // what else is told of, and not given up

	progress func(string) // of a rebuild
}

// Now is what a recorder is doing.
type Now struct {
	Cause   record.Cause  // why nothing is recorded; "": all is well
	Detail  string        // for a person
	File    string        // the latest, without its folder
	Written time.Duration // how long that is
}

// Channel is one whose recordings the catalog keeps account of.
type Channel struct {
	Name   string
	Dir    string // default: its name, in Data
	Limits Limits
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = hal.NewClock()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Salvage == nil {
		c.Salvage = record.Salvage
	}
	if c.Now == nil {
		c.Now = func(string) Now { return Now{Cause: record.NotRunning} }
	}
	if c.Synchronised == nil {
		c.Synchronised = synchronised
	}
	if c.BootID == "" {
		c.BootID = bootID()
	}
	return c
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
