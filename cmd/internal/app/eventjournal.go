package app

import (
	"encoding/json"
	"slices"
	"sync"

	"github.com/millrace-video/millrace/cmd/internal/api"
)

// eventJournal is a channel's events in a file beside its recordings. The latest lines are kept in
// memory too.
type eventJournal struct {
	file lineLog

	mu     sync.Mutex
	recent []api.EventLine
}

const (
	maxJournal = 16 << 20 // about 100,000 lines
	maxRecent  = 100
)

func newEventJournal(path string) *eventJournal {
	return &eventJournal{file: lineLog{path: path, what: "the journal of events", limit: maxJournal}}
}

// open reads what is there and returns the number of the last event, 0 where there was none.
func (j *eventJournal) open() (last uint64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.recent = nil
	const tail = 1 << 20 // the last event is in it
	err = j.file.read(tail, func(text []byte) {
		var l api.EventLine
		if json.Unmarshal(text, &l) == nil && l.Kind != "" {
			j.remember(l)
			last = max(last, l.Event)
		}
	})
	return last, err
}

func (j *eventJournal) remember(l api.EventLine) {
	if len(j.recent) == maxRecent {
		j.recent = slices.Delete(j.recent, 0, 1)
	}
	j.recent = append(j.recent, l)
}

// write appends a line.
func (j *eventJournal) write(l api.EventLine) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.remember(l)
	return writeLines(&j.file, l)
}

// latest returns the lines of late, the newest first.
func (j *eventJournal) latest() []api.EventLine {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := slices.Clone(j.recent)
	slices.Reverse(all)
	if all == nil {
		all = []api.EventLine{}
	}
	return all
}
