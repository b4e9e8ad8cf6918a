package config

import (
	"time"

	"github.com/millrace-video/millrace/stages/snapshot"
)

// Snapshots are pictures of the channels: how they are made, and who gets one of each once an
// interval.
type Snapshots struct {
	Interval time.Duration // from one of a channel to the next; default 0: only who asks gets one; 1m where a receiver is named
	Receiver Receiver      // default: the store
	Base64   bool          // in JSON, where the receiver is a URL; default: the picture's bytes as they are
	Quality  int           // of a JPEG that is made here; default 80
	Width    int           // of pictures for which nobody names another; default 0: as they come
}

// Receiver is who gets the snapshots.
type Receiver struct {
	URL   string // complete, with its secrets: never to be shown; "": the store
	Shown string // the same without its secrets
}

// Snapshot is how a channel's pictures are made.
type Snapshot struct {
	Enabled bool   // default true
	URL     string // the camera's own snapshot page, complete with its secrets; default none
}

// toStore is the receiver that is no URL.
const toStore = "store"

func (d *decoder) snapshots(s *Snapshots) setter {
	return func(n *node, path string) {
		if !d.fields(n, path,
			entry{"interval", d.duration(&s.Interval, snapshot.MinInterval, 24*time.Hour)},
			entry{"receiver", d.receiver(&s.Receiver)},
			entry{"base64", d.boolean(&s.Base64)},
			entry{"quality", d.integer(&s.Quality, 1, 100)},
			entry{"width", d.integer(&s.Width, snapshot.MinWidth, snapshot.MaxWidth)},
		) || n.kind != isObject {
			return
		}
		if s.Interval == 0 && n.get("receiver") != nil {
			s.Interval = snapshot.MinInterval
		}
		if f := n.get("base64"); f != nil && s.Base64 && s.Receiver.URL == "" {
			d.problem(f.line, f.col, join(path, "base64"), "goes with a receiver that is a URL: the store keeps the pictures as they are")
		}
	}
}

// receiver reads store, or a URL.
func (d *decoder) receiver(r *Receiver) setter {
	return func(n *node, path string) {
		if n.kind == isText && n.text == toStore {
			*r = Receiver{}
			return
		}
		s := d.page(n, path, "store, or a URL that begins with http:// or https://")
		*r = Receiver{URL: s.URL, Shown: s.Shown}
	}
}

// page reads the URL of something that speaks HTTP, with its secrets.
func (d *decoder) page(n *node, path, want string) Source {
	before := len(d.problems)
	s := d.url(n, path, want)
	if len(d.problems) > before || s.URL == "" {
		return Source{}
	}
	if err := snapshot.CheckURL(s.URL); err != nil {
		d.wrong(n, path, "is %q: %v: %s", d.show(s.Shown), err, want)
		return Source{}
	}
	return s
}

func (d *decoder) snapshot(s *Snapshot) setter {
	return func(n *node, path string) {
		d.fields(n, path,
			entry{"enabled", d.boolean(&s.Enabled)},
			entry{"url", func(n *node, path string) {
				s.URL = d.page(n, path, "the camera's snapshot page, such as http://192.168.1.20/snapshot.jpg").URL
			}},
		)
	}
}
