package cloud

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The folders of a channel in the store.
const (
	mediaFolder = "media/"
	initFolder  = "init/"
	fullFolder  = "full/"
	eventFolder = "events/"
)

const (
	stampLayout = "20060102T150405.000Z"
	hourLayout  = "20060102T15Z"
	segmentExt  = ".m4s"
	listExt     = ".m3u8"
	hashDigits  = 16
)

// name is what the name of a package's object says. It orders by number, which only ever grows,
// and holds all that a playlist needs, so that a playlist can be made from names alone.
type name struct {
	folder    string // of the hour
	number    uint64
	start     time.Time // a label
	length    time.Duration
	continues bool // the package numbered one less, without a seam
	full      bool // made while the full-time service was on
	head      string
	hash      string // of the content
}

func (n name) base() string {
	seam, kind := "d", "e"
	if n.continues {
		seam = "c"
	}
	if n.full {
		kind = "f"
	}
	return fmt.Sprintf("%012d-%s-%d-%s%s-%s-%s%s", n.number, n.start.UTC().Format(stampLayout), n.length.Milliseconds(), seam, kind, n.head, n.hash, segmentExt)
}

// parseName is the inverse of base.
func parseName(folder, base string) (name, bool) {
	text, ok := strings.CutSuffix(base, segmentExt)
	parts := strings.Split(text, "-")
	if !ok || len(parts) != 6 || len(parts[3]) != 2 || !isHash(parts[4]) || !isHash(parts[5]) {
		return name{}, false
	}
	number, err1 := strconv.ParseUint(parts[0], 10, 63)
	start, err2 := time.Parse(stampLayout, parts[1])
	ms, err3 := strconv.ParseUint(parts[2], 10, 31)
	if err1 != nil || err2 != nil || err3 != nil {
		return name{}, false
	}
	n := name{
		folder: folder, number: number, start: start, length: time.Duration(ms) * time.Millisecond, //nolint:gosec // 31 bits
		continues: parts[3][0] == 'c', full: parts[3][1] == 'f', head: parts[4], hash: parts[5],
	}
	return n, n.base() == base
}

func isHash(text string) bool {
	return len(text) == hashDigits && strings.Trim(text, "0123456789abcdef") == ""
}

// hour is the folder that a channel's packages go into: one for each hour of the wall clock, and
// another wherever that was set. Its name begins with its first package's number.
type hour struct {
	Folder string `json:"folder"`
	Label  string `json:"hour"`
	anchor uint32
}

func newHour(number uint64, start time.Time, anchor uint32) hour {
	label := start.UTC().Format(hourLayout)
	return hour{Folder: fmt.Sprintf("%012d-%s", number, label), Label: label, anchor: anchor}
}

// holds says whether a package that starts then goes into it.
func (h *hour) holds(start time.Time, anchor uint32) bool {
	return h.Folder != "" && h.anchor == anchor && h.Label == start.UTC().Format(hourLayout)
}

// splitKey returns the folder and the object's own name of a key of media.
func splitKey(key string) (folder, base string, ok bool) {
	at := strings.LastIndexByte(key, '/')
	if at < 0 {
		return "", "", false
	}
	folder = key[:at]
	folder = folder[strings.LastIndexByte(folder, '/')+1:]
	return folder, key[at+1:], true
}
