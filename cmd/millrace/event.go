package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/stages/event"
)

type eventCommand struct {
	asking

	Name string    `arg:"" help:"The channel."`
	Type string    `placeholder:"TYPE" help:"What happened: motion, person, sound, linkage, user-16 to user-31, or a number from 0 to 31. Default: nothing; the channel's events are shown."`
	At   time.Time `placeholder:"TIME" help:"When, such as 2026-11-21T13:35:12.345Z. Default: now."`
}

// Run sends a trigger, or shows a channel's events.
func (e *eventCommand) Run(c *console) error {
	method, body := http.MethodGet, io.Reader(nil)
	switch {
	case e.Type != "":
		if _, err := event.ParseSource(e.Type); err != nil {
			return usageError{fmt.Errorf("--type: %w", err)}
		}
		trigger := map[string]any{"type": e.Type}
		if !e.At.IsZero() {
			trigger["at"] = e.At.UnixMilli()
		}
		text, err := json.Marshal(trigger)
		if err != nil {
			return err
		}
		method, body = http.MethodPost, bytes.NewReader(text)
	case !e.At.IsZero():
		return usageError{fmt.Errorf("--at goes with --type")}
	}
	text, err := client{e.asking, c}.post(method, "/v1/channels/"+url.PathEscape(e.Name)+"/events", body)
	if err != nil {
		return err
	}
	if e.JSON {
		_, err = c.out.Write(text)
		return err
	}
	var answer api.ChannelEvents
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("what answers at %s is no millrace: %w", e.API, err)
	}
	return eventTable(c.out, answer)
}

// eventTable prints a channel's events for a person.
func eventTable(w io.Writer, e api.ChannelEvents) error {
	fmt.Fprintf(w, "%s: %s\n", e.Channel, eventState(e.Status))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "EVENT\tWHAT\tFROM\tTO")
	stamp := func(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
	for _, l := range e.Recent {
		switch l.Kind {
		case api.EventMessage:
			fmt.Fprintf(t, "%d\t%s\t%s\t\n", l.Event, l.Source, stamp(l.Time))
		case api.EventPicture:
			fmt.Fprintf(t, "%d\tpicture of %s: %s\t%s\t\n", l.Event, l.Source, l.Result, stamp(l.Time))
		default:
			fmt.Fprintf(t, "%d\trecorded, part %d\t%s\t%s\n", l.Event, l.Part, stamp(l.From), stamp(l.To))
		}
	}
	return t.Flush()
}

// eventState is a channel's event handling in words.
func eventState(s event.Status) string {
	var words []string
	say := func(is bool, what string) {
		if is {
			words = append(words, what)
		}
	}
	say(s.Initialising, "initialising")
	say(!s.Event && !s.Initialising, "takes no triggers")
	say(s.Open, fmt.Sprintf("event %d is open", s.Last))
	say(s.Recording, "recording")
	say(s.Creating, fmt.Sprintf("%d messages and %d pictures under way", s.Messages, s.Pictures))
	say(s.Uploading, fmt.Sprintf("the video of %d events under way", s.Waiting))
	if len(words) == 0 {
		return "no event"
	}
	return strings.Join(words, ", ")
}
