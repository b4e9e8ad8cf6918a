package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/millrace-video/millrace/stages/record"
)

// lineKind is what a line of the journal says.
type lineKind string

const (
	lineOpened  lineKind = "opened"
	lineClosed  lineKind = "closed"
	lineGap     lineKind = "gap"
	lineMerged  lineKind = "merged"
	lineRemoved lineKind = "removed" // files are given up, or gone
	linePin     lineKind = "pin"
	lineAnchor  lineKind = "anchor" // a clock's map; those of one boot share its Mono
	lineStart   lineKind = "start"  // the program began to work on the channel
	lineState   lineKind = "state"  // what became of the channel, for a person
)

// line is one line of a channel's journal. The database is what the lines make, one after the
// other. The anchors of its instants are the catalog's own numbers (Anchor.ID).
type line struct {
	Kind    lineKind        `json:"kind"`
	Segment *record.Segment `json:"segment,omitempty"`
	Parts   []uint64        `json:"parts,omitempty"` // of merged
	Kept    bool            `json:"kept,omitempty"`  // of merged; of removed: it is the merged file beside its parts
	Gap     *record.Gap     `json:"gap,omitempty"`
	Seq     uint32          `json:"seq,omitempty"`     // of a gap: which of those after one segment
	Removed []uint64        `json:"removed,omitempty"` // places of segments
	Why     string          `json:"why,omitempty"`     // of removed and state
	Pin     *Pin            `json:"pin,omitempty"`
	Anchor  *Anchor         `json:"anchor,omitempty"`
	Channel string          `json:"channel,omitempty"` // of start
	At      *record.Instant `json:"at,omitempty"`      // of start and state
}

// Anchor is a map between Mono and the wall clock.
type Anchor struct {
	ID      uint32 `json:"id"`     // what record.Instant.Anchor holds within the catalog; 0 is none
	Boot    string `json:"boot"`   // of the machine; times of one boot compare by Mono
	Start   string `json:"start"`  // of the program, so that Number means something
	Number  uint32 `json:"number"` // hal.Anchor's
	Mono    int64  `json:"mono"`
	Wall    int64  `json:"wall"`
	Trusted bool   `json:"trusted,omitempty"`
}

// label returns what the wall clock of the anchor shows at an instant of its boot.
func (a Anchor) label(mono int64) int64 { return a.Wall + mono - a.Mono }

// maxLine bounds a line: one that is longer is damaged.
const maxLine = 1 << 20

var errLine = errors.New("a damaged line")

// appendLine appends a line with its checksum: eight hexadecimal digits of CRC-32C, a blank, JSON.
func appendLine(to []byte, l line) ([]byte, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return to, err
	}
	to = fmt.Appendf(to, "%08x ", crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)))
	return append(append(to, text...), '\n'), nil
}

// parseLine reads what appendLine wrote, without its end of line.
func parseLine(text []byte) (line, error) {
	sum, rest, ok := bytes.Cut(text, []byte(" "))
	if !ok || len(sum) != 8 {
		return line{}, errLine
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || uint32(want) != crc32.Checksum(rest, crc32.MakeTable(crc32.Castagnoli)) {
		return line{}, errLine
	}
	var l line
	if err := json.Unmarshal(rest, &l); err != nil {
		return line{}, fmt.Errorf("%w: %w", errLine, err)
	}
	return l, l.check()
}

// check says whether a line has what its kind needs.
func (l *line) check() error {
	ok := true
	switch l.Kind {
	case lineOpened, lineClosed:
		ok = l.Segment != nil
	case lineMerged:
		ok = l.Segment != nil && len(l.Parts) > 0
	case lineGap:
		ok = l.Gap != nil
	case linePin:
		ok = l.Pin != nil
	case lineAnchor:
		ok = l.Anchor != nil && l.Anchor.ID > 0
	case lineRemoved, lineStart, lineState:
	default: // of a later version
	}
	if l.Segment != nil && (l.Segment.Length < 0 || l.Segment.Number == 0 || !isName(l.Segment.File)) {
		ok = false
	}
	if !ok {
		return fmt.Errorf("%w: %s without what it speaks of", errLine, l.Kind)
	}
	return nil
}

// instants calls f for each instant of the line.
func (l *line) instants(f func(*record.Instant)) {
	if l.Segment != nil {
		f(&l.Segment.Start)
	}
	if l.Gap != nil {
		f(&l.Gap.From)
		f(&l.Gap.To)
	}
	if l.At != nil {
		f(l.At)
	}
	if l.Pin != nil {
		f(&l.Pin.From)
		f(&l.Pin.To)
	}
}

// place is where a segment stands in the order of the channel: its number, or that of the first
// file that it was merged from.
func (l *line) place() uint64 {
	if l.Kind != lineMerged || l.Kept {
		return l.Segment.Number
	}
	place := l.Segment.Number
	for _, p := range l.Parts {
		place = min(place, p)
	}
	return place
}
