package event

import (
	"context"
	"time"
)

// Instant is a point in time on both clocks: UTC labels, Mono orders and measures.
type Instant struct {
	UTC  int64 `json:"utc_ms"`  // ms since 1970
	Mono int64 `json:"mono_ns"` // ns, CLOCK_MONOTONIC of the boot
}

// Add returns the instant d later.
func (t Instant) Add(d time.Duration) Instant {
	return Instant{UTC: t.UTC + d.Milliseconds(), Mono: t.Mono + int64(d)}
}

// Message tells of the first trigger of a source within an event (C7).
type Message struct {
	Channel string  `json:"channel"`
	Event   uint64  `json:"event"` // the channel's events count up
	Source  Source  `json:"source"`
	At      int64   `json:"at_ms"` // UTC, as the trigger call named it
	Time    Instant `json:"time"`  // when that was, as far as it is believed
	Opens   bool    `json:"opens"` // it opened the event
}

// Window is a part of an event's recording, from before a trigger until the minimum recording
// time after the last. It is told when it opens, when it was prolonged (at the latest when what
// was told last has come), and when it is over. Within an event windows do not overlap.
type Window struct {
	Channel  string
	Event    uint64
	Part     int // of the event, from 1
	From, To Instant
	Over     bool // To will not change any more
}

// Picture is one that an event asked for (C8).
type Picture struct {
	Channel string
	Event   uint64
	Number  uint64 // of the channel's pictures
	Source  Source
	Path    string
}

// Code is what became of a picture.
type Code int

// The codes of C8, as an application knows them.
const (
	Uploaded Code = 0
	TimedOut Code = 1 // the file did not grow in time, or the upload did not end
	Expired  Code = 2 // a newer one replaced it
	NotThere Code = 3
)

func (c Code) String() string {
	switch c {
	case Uploaded:
		return "uploaded"
	case TimedOut:
		return "timed out"
	case Expired:
		return "expired"
	case NotThere:
		return "not there"
	}
	return "unknown"
}

// Result is a picture's end: its file may be deleted.
type Result struct {
	Picture

	Code Code
}

// Service is what a channel can have of the cloud (C4), as far as events go.
type Service uint8

// The services.
const (
	EventService   Service = iota // messages and recordings
	PictureService                // the pictures of events
)

func (s Service) String() string {
	if s == EventService {
		return "event"
	}
	return "event picture"
}

// Notice tells of a service's kind and expiry (C5).
type Notice struct {
	Service Service
	On      bool
	Expires time.Time // zero: nobody said
}

// Recorder keeps what was filmed.
type Recorder interface {
	// Record neither blocks nor fails. For a window that is over it calls stored once, from any
	// goroutine, with nil when the video is where it belongs; in other calls stored is nil.
	Record(w Window, stored func(error))
}

// Messages brings an event's messages to where they belong.
type Messages interface {
	// Send does not block. It calls sent once, from any goroutine; trying again is its own
	// business, and an error means that the message is lost. It gives up when ctx is done.
	Send(ctx context.Context, m Message, sent func(error))
}

// Uploader brings a picture's file to where it belongs.
type Uploader interface {
	// Upload does not block. It calls done once, from any goroutine, with an error that is
	// fs.ErrNotExist where the file is gone. It gives up when ctx is done, and only reads the file.
	Upload(ctx context.Context, p Picture, done func(error))
}

// Callbacks are the application's (C5, C8). Each may be nil. They are called one at a time for a
// channel, never by a trigger call, and hold up their own channel alone.
type Callbacks struct {
	// Capture takes a picture and returns its file's path at once; the file may come later.
	// Empty: there is none. Path is not set in what it is given.
	Capture func(p Picture) string
	// Result tells what became of a picture, exactly once.
	Result func(r Result)
	// Stream says that data is wanted for events from now on, or no longer.
	Stream func(wanted bool)
	// Notice passes on what was said of a service.
	Notice func(n Notice)
}
