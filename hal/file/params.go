package file

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// endless is the number of passes of a file that is looped for ever.
const endless = -1

// params is what a URL asks for.
type params struct {
	path   string
	live   bool    // frames come when they are due; else as fast as they are read
	passes int     // how often the file is played; endless
	rate   float64 // frames a second of Annex B; 0 is what the stream says
}

// parse reads file:///absolute/path or file:relative/path, with the parameters of the
// package's documentation. Everything else is an error that says what would be right.
func parse(u *url.URL) (params, error) {
	p := params{live: true, passes: 1}
	if u.User != nil {
		return p, errors.New("a file has no user or password")
	}
	if u.Host != "" && u.Host != "localhost" {
		return p, fmt.Errorf("a file has no host %q: write file:///absolute/path or file:relative/path", u.Host)
	}
	if u.Fragment != "" {
		return p, fmt.Errorf("nothing follows # (%q): write %%23 where it belongs to the file's name", u.Fragment)
	}
	p.path = u.Path
	if u.Opaque != "" {
		path, err := url.PathUnescape(u.Opaque)
		if err != nil {
			return p, fmt.Errorf("path %q: %w: write %% as %%25", u.Opaque, err)
		}
		p.path = path
	}
	if p.path == "" || strings.HasSuffix(p.path, "/") {
		return p, errors.New("no file is named: write file:///absolute/path or file:relative/path")
	}
	if strings.ContainsRune(p.path, 0) {
		return p, errors.New("a file's name cannot contain a zero byte")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return p, fmt.Errorf("parameters %q: %w", u.RawQuery, err)
	}
	for key, values := range query {
		if len(values) != 1 {
			return p, fmt.Errorf("parameter %s is given %d times: once at most", key, len(values))
		}
		if err := p.set(key, values[0]); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *params) set(key, value string) error {
	switch key {
	case "pace":
		if value != "live" && value != "fast" {
			return fmt.Errorf("pace=%s: live (the default) or fast", value)
		}
		p.live = value == "live"
	case "loop":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > 1_000_000_000 {
			return fmt.Errorf("loop=%s: 0 (play once), 1 (for ever) or how often to play, 2 to 1000000000", value)
		}
		switch n {
		case 0:
			p.passes = 1
		case 1:
			p.passes = endless
		default:
			p.passes = n
		}
	case "rate":
		rate, ok := parseRate(value)
		if !ok {
			return fmt.Errorf("rate=%s: frames a second, 0.1 to 1000, as 25, 29.97 or 30000/1001", value)
		}
		p.rate = rate
	default:
		return fmt.Errorf("unknown parameter %q: one of pace, loop, rate", key)
	}
	return nil
}

func parseRate(value string) (float64, bool) {
	num, den, fraction := strings.Cut(value, "/")
	rate, err := strconv.ParseFloat(num, 64)
	if err != nil {
		return 0, false
	}
	if fraction {
		d, err := strconv.ParseFloat(den, 64)
		if err != nil || d <= 0 {
			return 0, false
		}
		rate /= d
	}
	return rate, rate >= 0.1 && rate <= 1000
}
