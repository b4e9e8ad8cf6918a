package upload

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Hours are a part of every day, by this machine's wall clock and its time zone.
type Hours struct {
	From, To       time.Duration // since midnight; where To is not later than From they end on the next day
	BytesPerSecond int64         // 0: no limit
	Hold           []Class       // these wait until the hours are over
}

// UplinkConfig is how much leaves the machine, and when.
type UplinkConfig struct {
	BytesPerSecond int64   // in no hours; 0: no limit
	Hours          []Hours // the first that has the present holds
}

// minRate is a rate at which an object still gets through before its server loses patience.
const minRate = 1000

// Validate says what is wrong with a configuration.
func (c UplinkConfig) Validate() error {
	if c.BytesPerSecond != 0 && c.BytesPerSecond < minRate {
		return fmt.Errorf("an uplink of %d bytes a second: 0 for no limit, else at least %d", c.BytesPerSecond, minRate)
	}
	for _, h := range c.Hours {
		switch {
		case h.From < 0 || h.From >= 24*time.Hour || h.To < 0 || h.To > 24*time.Hour:
			return errors.New("hours are from 00:00 to 24:00")
		case h.From == h.To:
			return errors.New("hours that end when they begin: 00:00 to 24:00 is all day")
		case h.BytesPerSecond != 0 && h.BytesPerSecond < minRate:
			return fmt.Errorf("hours of %d bytes a second: 0 for no limit, else at least %d; hold names who waits", h.BytesPerSecond, minRate)
		case slices.ContainsFunc(h.Hold, func(c Class) bool { return c >= classes }):
			return errors.New("hours hold a class that does not exist")
		}
	}
	return nil
}

// rule is what holds now.
type rule struct {
	rate  int64 // bytes a second; 0: no limit
	hold  [classes]bool
	hours bool      // it comes from hours
	until time.Time // when it may be another
}

// at returns the rule of an instant.
func (c UplinkConfig) at(now time.Time) rule {
	r := rule{rate: c.BytesPerSecond, until: now.Add(24 * time.Hour)}
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	found := false
	for _, h := range c.Hours {
		for day := -1; day <= 1; day++ {
			from, to := h.on(midnight, day)
			for _, edge := range []time.Time{from, to} {
				if edge.After(now) && edge.Before(r.until) {
					r.until = edge
				}
			}
			if found || now.Before(from) || !now.Before(to) {
				continue
			}
			found, r.hours, r.rate = true, true, h.BytesPerSecond
			for _, class := range h.Hold {
				r.hold[class] = true
			}
		}
	}
	return r
}

// on returns when the hours that begin on a day begin and end. Days are of the calendar: where
// the clock is set forward one has 23 hours.
func (h Hours) on(midnight time.Time, day int) (from, to time.Time) {
	at := func(day int, since time.Duration) time.Time {
		return time.Date(midnight.Year(), midnight.Month(), midnight.Day()+day, int(since/time.Hour), int(since/time.Minute)%60, 0, 0, midnight.Location())
	}
	if h.To <= h.From {
		return at(day, h.From), at(day+1, h.To)
	}
	return at(day, h.From), at(day, h.To)
}
