package config

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Store is where pictures and packages go up.
type Store struct {
	Kind string // directory or s3; default directory
	Dir  string // of a directory, in the data folder where it does not begin with /; default "store"

	Endpoint    string // of S3; default https://s3.amazonaws.com
	Bucket      string
	Region      string // default us-east-1
	Prefix      string // before every key; default none
	Style       string // path, virtual-host, or "": as the endpoint suggests
	CA          string // file of authorities beside the system's
	Credentials Credentials

	Parallel int   // uploads at once at most; default 64
	Retries  int   // of an upload, after its first attempt; default 30
	Memory   int64 // bytes of pictures that wait at most; default 64 MiB
}

// Credentials are who signs in at the store.
type Credentials struct {
	From                               string // keys, file, environment or role; default: by what else is set, else environment
	AccessKey, SecretKey, SessionToken string
	File, Profile                      string
}

// Uplink is how much leaves the machine, and when.
type Uplink struct {
	BytesPerSecond int64 // default 0: no limit
	Hours          []Hours
}

// Hours are a part of every day in which another limit holds.
type Hours struct {
	From, To       time.Duration // since midnight
	BytesPerSecond int64         // default 0: no limit
	Hold           []string      // classes that wait
}

// Frames says which pictures of a channel go up one by one.
type Frames struct {
	Enabled   bool    // default: true where frames is there
	Every     int     // each n-th picture; default 1
	PerSecond float64 // instead: so many a second
	Group     int     // pictures in a group; default 50
	Quality   int     // of a JPEG that is made here; default 80
	Log       string  // file for a JSON line a picture; default frames.jsonl in the folder of the channel
}

// Folder returns where the directory store is, in the data folder.
func (s *Store) Folder(data string) string {
	dir := s.Dir
	if dir == "" {
		dir = "store"
	}
	if filepath.IsAbs(dir) {
		return filepath.Clean(dir)
	}
	return filepath.Join(data, dir)
}

func (d *decoder) store(s *Store) setter {
	return func(n *node, path string) {
		if !d.fields(n, path,
			entry{"kind", d.oneOf(&s.Kind, "directory", "s3")},
			entry{"dir", d.text(&s.Dir, "a folder, in the data folder where it does not begin with /")},
			entry{"endpoint", d.text(&s.Endpoint, "a URL such as https://s3.example.com:9000")},
			entry{"bucket", d.text(&s.Bucket, "the bucket's name")},
			entry{"region", d.text(&s.Region, "the bucket's region, such as eu-west-1")},
			entry{"prefix", d.text(&s.Prefix, "what every key begins with, such as site-7/")},
			entry{"path_style", func(n *node, path string) {
				on := false
				d.boolean(&on)(n, path)
				s.Style = map[bool]string{true: "path", false: "virtual-host"}[on]
			}},
			entry{"ca", d.text(&s.CA, "a file of certificates (PEM)")},
			entry{"credentials", d.credentials(&s.Credentials)},
			entry{"parallel", d.integer(&s.Parallel, 1, 1024)},
			entry{"retries", d.integer(&s.Retries, 0, 1000)},
			entry{"memory", d.size(&s.Memory, 1_000_000, 8_000_000_000)},
		) || n.kind != isObject {
			return
		}
		d.storeRelations(n, path, s)
	}
}

// storeRelations checks what is wrong between the keys of a store.
func (d *decoder) storeRelations(n *node, path string, s *Store) {
	foreign, own := []string{"endpoint", "bucket", "region", "prefix", "path_style", "ca", "credentials"}, "s3"
	if s.Kind == "s3" {
		foreign, own = []string{"dir"}, "directory"
		if n.get("bucket") == nil {
			d.wrong(n, path, "is s3 and has no bucket: bucket: NAME")
		}
	}
	for _, key := range foreign {
		if f := n.get(key); f != nil && f.value.kind != isBroken {
			d.problem(f.line, f.col, join(path, key), fmt.Sprintf("goes with kind %s, this store is %s", own, s.Kind))
		}
	}
}

func (d *decoder) credentials(c *Credentials) setter {
	return func(n *node, path string) {
		var secret, token template
		before := len(d.problems)
		if !d.fields(n, path,
			entry{"from", d.oneOf(&c.From, "keys", "file", "environment", "role")},
			entry{"access_key", d.text(&c.AccessKey, "the access key's id")},
			entry{"secret_key", d.secret(&secret, true)},
			entry{"session_token", d.secret(&token, true)},
			entry{"file", d.text(&c.File, "a credentials file as the AWS tools write it")},
			entry{"profile", d.text(&c.Profile, "a profile in the file")},
		) || n.kind != isObject || len(d.problems) > before {
			return
		}
		c.SecretKey, c.SessionToken = secret.plain(), token.plain()
		d.credentialRelations(n, path, c)
	}
}

// credentialRelations checks what is wrong between the keys of credentials.
func (d *decoder) credentialRelations(n *node, path string, c *Credentials) {
	keys, file := c.AccessKey != "" || c.SecretKey != "", c.File != ""
	switch {
	case keys && file, keys && c.From != "" && c.From != "keys", file && c.From != "" && c.From != "file":
		d.wrong(n, path, "has more than one source of credentials: access_key and secret_key, or file, or from: environment or role")
	case keys && (c.AccessKey == "" || c.SecretKey == ""), c.From == "keys" && !keys:
		d.wrong(n, path, "needs both access_key and secret_key")
	case c.From == "file" && !file:
		d.wrong(n, path, "has no file: file: /path/to/credentials")
	}
}

func (d *decoder) uplink(u *Uplink) setter {
	return func(n *node, path string) {
		d.fields(n, path,
			entry{"bytes_per_second", d.size(&u.BytesPerSecond, 1000, 100_000_000_000)},
			entry{"hours", func(n *node, path string) {
				const most = 48
				if n.kind != isList || len(n.items) > most {
					d.wrong(n, path, "a list of at most %d hours, as in - {from: \"08:00\", to: \"18:00\", bytes_per_second: 500k}", most)
					return
				}
				for i, item := range n.items {
					var h Hours
					d.hours(&h)(item, fmt.Sprintf("%s[%d]", path, i))
					u.Hours = append(u.Hours, h)
				}
			}},
		)
	}
}

func (d *decoder) hours(h *Hours) setter {
	return func(n *node, path string) {
		before := len(d.problems)
		d.fields(n, path,
			entry{"from", d.timeOfDay(&h.From)},
			entry{"to", d.timeOfDay(&h.To)},
			entry{"bytes_per_second", d.size(&h.BytesPerSecond, 1000, 100_000_000_000)},
			entry{"hold", func(n *node, path string) {
				items := []*node{n}
				if n.kind == isList {
					items = n.items
				}
				for i, item := range items {
					class := ""
					d.oneOf(&class, "event", "full-time", "snapshot", "backfill")(item, fmt.Sprintf("%s[%d]", path, i))
					h.Hold = append(h.Hold, class)
				}
			}},
		)
		switch {
		case n.kind != isObject || len(d.problems) > before:
		case n.get("from") == nil || n.get("to") == nil:
			d.wrong(n, path, "needs both from and to: from: \"22:00\", to: \"06:00\"")
		case h.From == h.To:
			d.wrong(n, path, "ends when it begins: \"00:00\" to \"24:00\" is all day")
		}
	}
}

// timeOfDay reads HH:MM from 00:00 to 24:00.
func (d *decoder) timeOfDay(dst *time.Duration) setter {
	return func(n *node, path string) {
		const want = "a time of the day in quotes, from \"00:00\" to \"24:00\""
		raw, ok := d.scalar(n, path, want, isText)
		if !ok {
			return
		}
		h, m, ok := strings.Cut(raw, ":")
		hours, wrongH := strconv.ParseUint(h, 10, 8)
		minutes, wrongM := strconv.ParseUint(m, 10, 8)
		at := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute //nolint:gosec // eight bits
		if !ok || wrongH != nil || wrongM != nil || len(m) != 2 || minutes > 59 || at > 24*time.Hour {
			d.wrong(n, path, "is %q: %s", d.show(raw), want)
			return
		}
		*dst = at
	}
}

func (d *decoder) frames(f *Frames) setter {
	return func(n *node, path string) {
		f.Enabled = true
		if !d.fields(n, path,
			entry{"enabled", d.boolean(&f.Enabled)},
			entry{"every", d.integer(&f.Every, 1, 1_000_000)},
			entry{"per_second", d.perSecond(&f.PerSecond)},
			entry{"group", d.integer(&f.Group, 1, 10_000)},
			entry{"quality", d.integer(&f.Quality, 1, 100)},
			entry{"log", d.text(&f.Log, "a file, in the data folder where it does not begin with /")},
		) {
			return
		}
		if second := n.get("per_second"); second != nil && n.get("every") != nil {
			d.problem(second.line, second.col, join(path, "per_second"), "goes without every: each n-th picture, or so many a second")
		}
	}
}

// perSecond reads a rate, with a fraction or without.
func (d *decoder) perSecond(dst *float64) setter {
	return func(n *node, path string) {
		const want = "a number from 0.001 to 1000, such as 2 or 0.5"
		raw, ok := d.scalar(n, path, want, isInteger, isFloat)
		if !ok {
			return
		}
		v, err := strconv.ParseFloat(raw, 64)
		if err != nil || !(v >= 0.001 && v <= 1000) {
			d.wrong(n, path, "is %s: %s", d.show(raw), want)
			return
		}
		*dst = v
	}
}
