package catalog

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Spool is what waits on disk for the store. It comes under the budget; its owner gives it up.
type Spool interface {
	// Spooled returns how many bytes there are: of what is in no event, and of the rest; working
	// is false where nobody is at work there, and the files have to be counted.
	Spooled() (rest, events int64, working bool)
	// GiveUp gives up the oldest until about so many bytes are free, where events is false only
	// what is in no event, and returns how many are. What is on its way stays.
	GiveUp(bytes int64, events bool) (freed int64)
}

// SpoolConfig says where a spool is.
type SpoolConfig struct {
	Dir      string // default: there is none
	MaxBytes int64  // its own limit
	Owner    Spool  // nil: nobody is at work there, and the files are counted
}

// SpoolView is the spool in a View.
type SpoolView struct {
	Disk   int // in View.Disks
	Rest   int64
	Events int64 // what belongs to events
}

// SpoolUsage is the spool in Usage.
type SpoolUsage struct {
	Folder   string `json:"folder"`
	Disk     string `json:"disk"` // DiskUsage.Folder
	Bytes    int64  `json:"bytes"`
	Events   int64  `json:"events_bytes"` // of them, what belongs to events
	MaxBytes int64  `json:"max_bytes"`
}

// Beside is what else is written beside recordings: it counts by the free space alone.
type Beside struct {
	What    string
	Folders []string
	Deep    bool // with the folders in them
}

// BesideUsage is that in Usage.
type BesideUsage struct {
	What    string `json:"what"`
	Bytes   int64  `json:"bytes"`
	Files   int64  `json:"files"`
	AtLeast bool   `json:"at_least,omitempty"` // there are more files than were looked at
}

// lookedAt is how many files are looked at of each kind.
const lookedAt = 100_000

// viewSpool puts the spool into a view.
func (c *Catalog) viewSpool(v *View, devices *[]uint64) error {
	s := c.cfg.Spool
	if s.Dir == "" {
		return nil
	}
	disk, err := v.diskOf(s.Dir, devices, c.cfg.Budget)
	if err != nil {
		return err
	}
	v.Spool = &SpoolView{Disk: disk}
	if s.Owner != nil {
		if rest, events, working := s.Owner.Spooled(); working {
			v.Spool.Rest, v.Spool.Events = rest, events
			return nil
		}
	}
	channels, err := os.ReadDir(s.Dir)
	if err != nil {
		return nil //nolint:nilerr // nothing was spooled yet
	}
	for _, ch := range channels {
		v.Spool.Rest += Beside{Folders: []string{filepath.Join(s.Dir, ch.Name(), "packages")}}.measure().Bytes
		v.Spool.Events += Beside{Folders: []string{filepath.Join(s.Dir, ch.Name(), "letters")}}.measure().Bytes
	}
	return nil
}

// giveUpSpool has the spool's owner give up what was planned, and says what it could not.
func (c *Catalog) giveUpSpool(gone []Sacrifice) (freed bool, short []Shortage) {
	for _, s := range gone {
		if !s.Spool {
			continue
		}
		n := int64(0)
		if c.cfg.Spool.Owner != nil {
			n = c.cfg.Spool.Owner.GiveUp(s.Bytes, s.Pinned)
		}
		if n == 0 { // all of it is on its way
			short = append(short, Shortage{s.Why, "the spool", s.Bytes})
			continue
		}
		freed = true
		c.log.Warn("given up in the spool: it will not be in the store", "bytes", n, "for", string(s.Why), "events", s.Pinned)
	}
	return freed, short
}

// measure counts files. What is a recording is counted elsewhere; what cannot be read is nothing.
func (b Beside) measure() BesideUsage {
	u := BesideUsage{What: b.What}
	for _, folder := range b.Folders {
		_ = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error { //nolint:errcheck // see above
			switch {
			case err != nil:
				return nil //nolint:nilerr // see above
			case u.Files >= lookedAt:
				u.AtLeast = true
				return fs.SkipAll
			case e.IsDir() && path != folder && !b.Deep:
				return fs.SkipDir
			case !e.Type().IsRegular() || !b.Deep && strings.HasSuffix(path, ".mp4"):
				return nil
			}
			if info, err := e.Info(); err == nil {
				u.Bytes += info.Size()
				u.Files++
			}
			return nil
		})
	}
	return u
}
