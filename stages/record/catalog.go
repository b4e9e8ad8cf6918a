package record

import "time"

// Catalog keeps the account of what recorders made and what they could not: every second of a
// channel is in a segment or in a gap. Enter neither waits for a disk nor fails: what cannot be
// kept is the catalog's own trouble, never the recording's. The entries of a channel come in
// their order, from one goroutine at a time.
type Catalog interface {
	Enter(e Entry)
}

// Space makes room on the disk of a recorder that found it full, by giving up what is oldest. It
// returns nil where a write is worth another try.
type Space interface {
	Reclaim(dir string, bytes int64) error
}

// Kind is what an entry says.
type Kind string

// The kinds. Opened comes when the file is durable by name, Closed when its length is. What is
// between From and To of Missing is in no file, also where a segment spans it.
const (
	Opened  Kind = "opened"
	Closed  Kind = "closed"
	Missing Kind = "gap"
	Merged  Kind = "merged" // Segment stands for the files numbered Parts
)

// Entry is one line of the account.
type Entry struct {
	Kind    Kind     `json:"kind"`
	Channel string   `json:"channel"`
	Segment *Segment `json:"segment,omitempty"` // of opened, closed and merged
	Gap     *Gap     `json:"gap,omitempty"`     // of a gap
	Parts   []uint64 `json:"parts,omitempty"`   // of merged: the numbers of the files that it was made from
	Kept    bool     `json:"kept,omitempty"`    // of merged: the parts stay beside it
}

// Segment is one file.
type Segment struct {
	Number    uint64        `json:"number"`    // orders a channel's files whatever the wall clock does; it only ever grows
	Recording uint64        `json:"recording"` // the number of the first file of the recording that it belongs to
	File      string        `json:"file"`      // its name in the channel's folder
	Start     Instant       `json:"start"`     // time 0 of the file
	Length    time.Duration `json:"length_ns"` // of its lead track; as far as is known
	Bytes     int64         `json:"bytes"`     // as far as is known
	Tracks    []string      `json:"tracks,omitempty"`
	EndedBy   string        `json:"ended_by,omitempty"` // of closed: why, for a person
}

// End is the instant at which the segment's last frame ends.
func (s Segment) End() Instant { return s.Start.Add(s.Length) }

// Instant is a point in time on both clocks.
type Instant struct {
	Wall   int64  `json:"wall"`   // ns since 1970, UTC: a label
	Mono   int64  `json:"mono"`   // ns, CLOCK_MONOTONIC of the boot: order and distance
	Anchor uint32 `json:"anchor"` // which map between the two held (hal.Anchor); walls of two anchors do not compare
}

// Add returns the instant d later.
func (t Instant) Add(d time.Duration) Instant {
	t.Wall += int64(d)
	t.Mono += int64(d)
	return t
}

// Time returns the label as a time.
func (t Instant) Time() time.Time { return time.Unix(0, t.Wall).UTC() }

// Gap is a time of which nothing was recorded.
type Gap struct {
	After  uint64  `json:"after"` // the number of the segment before it, or that it lies in; 0: there is none
	From   Instant `json:"from"`  // zero: the catalog knows better, from before this program began
	To     Instant `json:"to"`
	Cause  Cause   `json:"cause"`
	Detail string  `json:"detail,omitempty"` // for a person: the error, the queue
}

// Cause is why nothing was recorded.
type Cause string

// The causes.
const (
	SourceLost Cause = "source-lost" // no source delivered
	Dropped    Cause = "dropped"     // a queue was full, or the network lost it; Detail names which
	RingFull   Cause = "ring-full"   // the recorder did not keep up and its ring was at its maximum
	Idle       Cause = "idle"        // the stream fell silent
	Paused     Cause = "paused"      // by command
	Stopped    Cause = "stopped"     // the recording, by command
	NoEvent    Cause = "no-event"    // of a channel whose events alone are recorded
	Disk       Cause = "disk"        // it could not be written
	Failed     Cause = "failed"      // the recorder or a stage before it
	NotRunning Cause = "not-running" // this program, or the channel
	Starting   Cause = "starting"    // from the program's start to the first key frame
	Removed    Cause = "removed"     // recorded, and given up for room or by its age; the catalog alone says so
)
