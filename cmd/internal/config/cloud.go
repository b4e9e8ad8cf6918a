package config

import (
	"path/filepath"
	"time"
)

// Cloud says what of a channel goes to the store as packages of its stream.
type Cloud struct {
	Enabled      bool          // default: true where cloud is there
	FullTime     bool          // the full-time service is on from the start; default true
	Events       bool          // the event service is on from the start; default false
	Package      time.Duration // default 4 s
	PackageBytes int64         // the set size of a package; 0: measured; default 512 KiB
}

// Spool is where packages wait for the store.
type Spool struct {
	Dir      string // in the data folder where it does not begin with /; default none: three a channel wait in memory
	MaxBytes int64  // of all channels; default 10 GB
}

// Folder returns where what is under way is kept, and whether packages are.
func (s *Spool) Folder(data string) (dir string, spool bool) {
	dir = s.Dir
	if dir == "" {
		return filepath.Join(data, ".cloud"), false
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(data, dir)
	}
	return filepath.Clean(dir), true
}

func (d *decoder) cloud(c *Cloud) setter {
	return func(n *node, path string) {
		c.Enabled = true
		d.fields(n, path,
			entry{"enabled", d.boolean(&c.Enabled)},
			entry{"full_time", d.boolean(&c.FullTime)},
			entry{"events", d.boolean(&c.Events)},
			entry{"package", d.duration(&c.Package, time.Second, time.Minute)},
			entry{"package_bytes", d.packageBytes(&c.PackageBytes)},
		)
	}
}

// packageBytes reads a size, or measured.
func (d *decoder) packageBytes(dst *int64) setter {
	const want = "measured, or bytes such as 512Ki or 1M, from 16Ki to 1Gi"
	return func(n *node, path string) {
		if n.text == "measured" || n.text == "0" {
			*dst = 0
			return
		}
		d.quantity(n, path, want, 16<<10, 1<<30, func(v int64) { *dst = v })
	}
}

func (d *decoder) spool(s *Spool) setter {
	return func(n *node, path string) {
		if !d.fields(n, path,
			entry{"dir", d.text(&s.Dir, "a folder, in the data folder where it does not begin with /")},
			entry{"max_bytes", d.size(&s.MaxBytes, 1_000_000, 1_000_000_000_000_000)},
		) {
			return
		}
		if n.kind == isObject && n.get("dir") == nil {
			d.wrong(n, path, "has no dir: dir: spool is a folder beside the recordings")
		}
	}
}
