package playback

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ask is what somebody wants to see of a channel.
type Ask struct {
	Channel  string
	From, To time.Time // as the wall clock was then
	// File is the number of a file, where several films lie in the range: the one that begins with
	// this file. 0: there is only one.
	File uint64
}

// ErrAsk says that a question is wrong.
var ErrAsk = errors.New("wrong range")

// ParseAsk reads a question from a query: from, and where given to, which else is now, and file.
func ParseAsk(channel string, query url.Values, now time.Time, more ...string) (Ask, error) {
	a := Ask{Channel: channel, To: now}
	known := append([]string{"from", "to", "file"}, more...)
	for name, values := range query {
		switch {
		case !slices.Contains(known, name):
			return Ask{}, fmt.Errorf("%w: nobody knows %.40q here: there are %s", ErrAsk, name, strings.Join(known, ", "))
		case len(values) > 1:
			return Ask{}, fmt.Errorf("%w: %s is given %d times", ErrAsk, name, len(values))
		}
	}
	if query.Get("from") == "" {
		return Ask{}, fmt.Errorf("%w: from is missing: such as from=-10m", ErrAsk)
	}
	var err error
	if a.From, err = Instant("from", query.Get("from"), now); err != nil {
		return Ask{}, err
	}
	if to := query.Get("to"); to != "" {
		if a.To, err = Instant("to", to, now); err != nil {
			return Ask{}, err
		}
	}
	if file := query.Get("file"); file != "" {
		if a.File, err = strconv.ParseUint(file, 10, 64); err != nil || a.File == 0 {
			return Ask{}, fmt.Errorf("%w: file=%.40s: a number above 0", ErrAsk, file)
		}
	}
	if !a.From.Before(a.To) {
		return Ask{}, fmt.Errorf("%w: it begins at %s and ends at %s, which is not later", ErrAsk, label(a.From), label(a.To))
	}
	return a, nil
}

// Instant reads a point in time: RFC 3339, seconds since 1970, or relative to now, such as -10m;
// now is one too. name is who is to blame where it is none of them.
func Instant(name, text string, now time.Time) (time.Time, error) {
	wrong := func(why string) (time.Time, error) {
		return time.Time{}, fmt.Errorf("%w: %s=%s: %s", ErrAsk, name, text, why)
	}
	const most = 64
	if len(text) > most {
		text = text[:most]
		return wrong("too long")
	}
	if text == "now" {
		return now, nil
	}
	if at, ok := absolute(text); ok {
		if !labelled(at) {
			return wrong("before 1970 or after 2200")
		}
		return at, nil
	}
	d, err := time.ParseDuration(strings.Replace(text, " ", "+", 1))
	switch {
	case err != nil || text[0] >= '0' && text[0] <= '9':
		return wrong("a time such as 2026-01-31T12:00:00Z, seconds since 1970, or -10m, which is ten minutes ago")
	case !labelled(now.Add(d)):
		return wrong("before 1970 or after 2200")
	}
	return now.Add(d), nil
}

// absolute reads RFC 3339 or seconds since 1970.
func absolute(text string) (time.Time, bool) {
	// In a query a + that is not escaped comes as a space.
	if at, err := time.Parse(time.RFC3339Nano, strings.Replace(text, " ", "+", 1)); err == nil {
		return at.UTC(), true
	}
	front, back, _ := strings.Cut(text, ".")
	sec, err := strconv.ParseInt(front, 10, 64)
	if err != nil || sec < 0 || text[0] < '0' || text[0] > '9' || len(back) > 9 {
		return time.Time{}, false
	}
	ns := int64(0)
	if back != "" {
		if ns, err = strconv.ParseInt((back + "000000000")[:9], 10, 64); err != nil || ns < 0 || back[0] == '+' {
			return time.Time{}, false
		}
	}
	return time.Unix(min(sec, math.MaxInt64/4), ns).UTC(), true
}

// labelled says whether a time can be the label of a recording, whose nanoseconds fit into 63 bits.
func labelled(t time.Time) bool { return t.Unix() >= 0 && t.Year() <= 2200 }

// label is a time as it is shown.
func label(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999Z") }
