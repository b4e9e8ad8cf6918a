package playback

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
)

// Library knows what was recorded. *catalog.Catalog is one, *Folder another.
type Library interface {
	Timeline(channel string, from, to time.Time) (catalog.Timeline, error)
}

// NothingError says that nothing of a channel lies in a range, and what lies next to it.
type NothingError struct {
	Ask

	Before, After time.Time // the end of what was recorded before, the start of what was after; zero: there is nothing
}

func (e *NothingError) Error() string {
	return fmt.Sprintf("nothing was recorded of %s from %s to %s", e.Channel, label(e.From), label(e.To))
}

// Hint says where to look.
func (e *NothingError) Hint() string {
	switch {
	case e.Before.IsZero() && e.After.IsZero():
		return "there is no recording of this channel near that time"
	case e.After.IsZero():
		return "the last recording ends at " + label(e.Before)
	case e.Before.IsZero():
		return "the first recording begins at " + label(e.After)
	}
	return fmt.Sprintf("recordings end before it at %s and go on at %s", label(e.Before), label(e.After))
}

// nothing looks further and further away for what was recorded next to a range.
func nothing(lib Library, a Ask) error {
	e := &NothingError{Ask: a}
	for _, far := range []time.Duration{time.Hour, 24 * time.Hour, 30 * 24 * time.Hour, 100 * 365 * 24 * time.Hour} {
		t, err := lib.Timeline(a.Channel, early(a.From, far), a.To.Add(min(far, 50*365*24*time.Hour)))
		if err != nil {
			return errors.Join(e, err)
		}
		for _, s := range t.Segments {
			begin, end := s.Start.Time(), s.End().Time()
			if !end.After(a.From) && end.After(e.Before) {
				e.Before = end
			}
			if !begin.Before(a.To) && (e.After.IsZero() || begin.Before(e.After)) {
				e.After = begin
			}
		}
		if !e.Before.IsZero() && !e.After.IsZero() {
			break
		}
	}
	return e
}

// early is a time before t, but not before 1970.
func early(t time.Time, d time.Duration) time.Time {
	if first := time.Unix(0, 0); t.Add(-d).Before(first) {
		return first
	}
	return t.Add(-d)
}
