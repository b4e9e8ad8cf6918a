package cloud

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Class is how important an upload is. The lower goes first.
type Class uint8

// The classes.
const (
	EventClass Class = iota
	FullTimeClass
	BackfillClass // what could not go up in its time
)

func (c Class) String() string {
	switch c {
	case EventClass:
		return "event"
	case FullTimeClass:
		return "full-time"
	case BackfillClass:
		return "backfill"
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// Store keeps objects under keys. It is safe for concurrent use, and gives up promptly when ctx
// is done.
type Store interface {
	// Put stores an object where none lies yet. The same bytes there already count as stored.
	Put(ctx context.Context, c Class, key, contentType string, body *io.SectionReader) error
	// Replace stores an object in place of what lies there. A reader sees the one or the other.
	Replace(ctx context.Context, c Class, key, contentType string, body *io.SectionReader) error
	// List calls each for every object whose key begins with prefix.
	List(ctx context.Context, prefix string, each func(key string, size int64) error) error
}

// Service is what a channel can have of the cloud (C4). Event pictures are not this package's.
type Service uint8

// The services.
const (
	FullTime Service = iota
	Event
)

func (s Service) String() string {
	if s == FullTime {
		return "full-time"
	}
	return "event"
}

// ParseService is the inverse of String.
func ParseService(name string) (Service, error) {
	for _, s := range []Service{FullTime, Event} {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("unknown service %.40q: full-time or event", name)
}

// Notice tells of a service's kind and expiry (C5).
type Notice struct {
	Channel string
	Service Service
	On      bool
	Expires time.Time // zero: nobody said
}

// Callbacks are the application's (C5). Each may be nil. They are called without a lock and must
// not block.
type Callbacks struct {
	// Stream says that the cloud wants a channel's data from now on, or no longer.
	Stream func(channel string, wanted bool)
	// Notice passes on what was said of a service.
	Notice func(n Notice)
	// Lost tells of a package that was given up.
	Lost func(l Lost)
}

// Lost is a package that was given up and will not be in the store.
type Lost struct {
	Channel string    `json:"channel"`
	Number  uint64    `json:"number"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Event   bool      `json:"event"` // it was part of one
	Cause   string    `json:"cause"`
}

// Window is a part of an event's recording, in ns of CLOCK_MONOTONIC: all packages that touch it
// belong to the event. It is told when it opens, when it is prolonged and when it is over.
type Window struct {
	Event    uint64
	Part     int
	From, To int64
	Over     bool // To will not change any more
}

// Left is what an exit left behind.
type Left struct {
	// Packages are the keys of those that are not in the store: in the spool where there is
	// one, else lost.
	Packages []string `json:"packages"`
	Spooled  bool     `json:"spooled"`
	// Letters are the keys of messages and pictures of events that are not in the store, kept
	// or lost as packages are.
	Letters []string `json:"letters"`
	// Playlists are the keys of those that do not name all that is in the store. The next run
	// writes them anew, where there is a folder for what is under way.
	Playlists []string `json:"playlists"`
}

// Any says whether anything was left.
func (l Left) Any() bool { return len(l.Packages)+len(l.Letters)+len(l.Playlists) > 0 }
