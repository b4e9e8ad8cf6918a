package app

import (
	"encoding/json"
	"time"

	"github.com/millrace-video/millrace/stages/cloud"
)

// lostPackages is the account of a channel's packages that were given up, in a file beside the
// recordings.
type lostPackages struct {
	file lineLog
}

const mostLost = 4 << 20 // bytes; about 20,000 packages

func newLostPackages(path string) *lostPackages {
	return &lostPackages{file: lineLog{path: path, what: "the account of packages", limit: mostLost}}
}

// add appends a line.
func (l *lostPackages) add(one cloud.Lost) error { return writeLines(&l.file, one) }

// between returns what was given up of a stretch of time. A line that is cut off is passed over.
func (l *lostPackages) between(from, to time.Time) ([]cloud.Lost, error) {
	all := []cloud.Lost{}
	err := l.file.read(2*mostLost, func(text []byte) {
		var one cloud.Lost
		if json.Unmarshal(text, &one) == nil && one.From.Before(to) && one.To.After(from) {
			all = append(all, one)
		}
	})
	return all, err
}
