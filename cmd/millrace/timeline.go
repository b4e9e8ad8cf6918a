package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/cmd/internal/playback"
	"github.com/millrace-video/millrace/stages/cloud"
	"github.com/millrace-video/millrace/stages/record"
)

type timelineCommand struct {
	recorded

	From string `default:"-24h" placeholder:"TIME" help:"From when: 2026-01-31T12:00:00Z, seconds since 1970, or -10m, which is ten minutes ago. Default: ${default}."`
	JSON bool   `name:"json" help:"Print the API's JSON."`
}

// Run shows a time line.
func (l *timelineCommand) Run(c *console) error {
	a, err := l.ask(l.From)
	if err != nil {
		return err
	}
	text, err := l.answer(c, a)
	if err != nil {
		return err
	}
	if l.JSON {
		_, err := c.out.Write(text)
		return err
	}
	var t api.Timeline
	if err := json.Unmarshal(text, &t); err != nil {
		return fmt.Errorf("what answers at %s is no millrace: %w", l.API, err)
	}
	return lineTable(c.out, &t)
}

// answer is the API's, or what it would be.
func (l *timelineCommand) answer(c *console, a playback.Ask) ([]byte, error) {
	if l.Data == "" {
		return client{asking{API: l.API}, c}.ask(http.MethodGet, "/"+url.PathEscape(l.Name)+"/timeline?"+query(a).Encode())
	}
	folder, err := playback.OpenFolder(l.Data, l.Name)
	if err != nil {
		return nil, err
	}
	t, err := folder.Timeline(l.Name, a.From, a.To)
	if err != nil {
		return nil, err
	}
	sum := catalog.Account{Missing: map[record.Cause]time.Duration{}}
	for _, s := range t.Segments {
		sum.Recorded += s.Length
	}
	for _, g := range t.Gaps {
		sum.Missing[g.Cause] += g.Length
		sum.Elapsed += g.Length
	}
	sum.Elapsed += sum.Recorded
	text, err := json.MarshalIndent(api.TimelineOf(t, a.From, a.To, sum), "", "  ")
	return append(text, '\n'), err
}

// lineTable prints a time line for a person.
func lineTable(w io.Writer, t *api.Timeline) error {
	fmt.Fprintf(w, "%s  [%s]  %s\n", moment(t.From), bar(t), moment(t.To))
	fmt.Fprintf(w, "# recorded, + in part, . not\n\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FROM\tTO\tLENGTH\tMB\tWHAT")
	segments, gaps := t.Segments, t.Gaps
	for len(segments)+len(gaps) > 0 {
		if len(gaps) == 0 || len(segments) > 0 && segments[0].Number <= gaps[0].After {
			s := segments[0]
			segments = segments[1:]
			fmt.Fprintf(table, "%s\t%s\t%s\t%.1f\t%s%s\n", moment(s.Start), moment(s.Start.Add(seconds(s.Length))), seconds(s.Length), float64(s.Bytes)/1e6, s.File, marks(&s))
			continue
		}
		g := gaps[0]
		gaps = gaps[1:]
		fmt.Fprintf(table, "%s\t%s\t%s\t\tgap: %s\n", moment(g.From), moment(g.To), gapLength(&g), why(&g))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return notStored(w, t.NotStored)
}

// mostNotStored is how many packages that were given up are told one by one.
const mostNotStored = 20

// notStored tells of what was given up for the store (C3), recorded here or not.
func notStored(w io.Writer, all []cloud.Lost) error {
	if len(all) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nNot in the store: %d packages\n", len(all))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range all[max(0, len(all)-mostNotStored):] {
		event := ""
		if l.Event {
			event = " (of an event)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s%s\n", moment(l.From), moment(l.To), l.To.Sub(l.From).Round(time.Millisecond), l.Cause, event)
	}
	return table.Flush()
}

// marks says what is special about a file.
func marks(s *api.Segment) string {
	var all []string
	if s.Open {
		all = append(all, "under way")
	}
	if s.Pinned {
		all = append(all, "kept for an event")
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, ", ") + ")"
}

func gapLength(g *api.Gap) string {
	if g.Unknown {
		return "?"
	}
	return seconds(g.Length).String()
}

func why(g *api.Gap) string {
	text := string(g.Cause)
	if g.Detail != "" {
		detail, _, _ := strings.Cut(g.Detail, "\n")
		text += ": " + detail
	}
	if g.Open {
		text += " (lasts)"
	}
	return text
}

// bar shows how much of each sixtieth of the time was recorded.
func bar(t *api.Timeline) string {
	const width = 60
	step := t.To.Sub(t.From) / width
	b := make([]byte, width)
	for i := range b {
		from := t.From.Add(time.Duration(i) * step)
		to := from.Add(step)
		var have time.Duration
		for k := range t.Segments {
			s := &t.Segments[k]
			begin, end := s.Start, s.Start.Add(seconds(s.Length))
			if begin.Before(from) {
				begin = from
			}
			if end.After(to) {
				end = to
			}
			have += max(0, end.Sub(begin))
		}
		switch {
		case have <= 0:
			b[i] = '.'
		case have < step*99/100:
			b[i] = '+'
		default:
			b[i] = '#'
		}
	}
	return string(b)
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
