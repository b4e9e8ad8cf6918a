package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/millrace-video/millrace/stages/cloud"
)

type cloudCommand struct {
	asking

	Status cloudStatus `cmd:"" help:"Show what waits for the store, and why."`
	Start  cloudStart  `cmd:"" help:"Switch a service of a channel on: full-time or event."`
	Stop   cloudStop   `cmd:"" help:"Switch a service of a channel off; what was accepted goes up."`
}

type (
	cloudStatus struct{}
	cloudStart  struct {
		Name    string    `arg:"" help:"The channel."`
		Service string    `arg:"" enum:"full-time,event" help:"full-time or event."`
		Expires time.Time `name:"expires" placeholder:"TIME" help:"When the service ends, as whoever sold it says; it is shown and passed on."`
	}
	cloudStop struct {
		Name    string `arg:"" help:"The channel."`
		Service string `arg:"" enum:"full-time,event" help:"full-time or event."`
	}
)

// Run shows the status.
func (s *cloudStatus) Run(c *console) error {
	return showCloud(client{c.all.Cloud.asking, c}, http.MethodGet, "/v1/cloud")
}

// Run switches a service on.
func (s *cloudStart) Run(c *console) error {
	path := servicePath(s.Name, s.Service, "start")
	if !s.Expires.IsZero() {
		path += "?expires=" + url.QueryEscape(s.Expires.Format(time.RFC3339))
	}
	return showCloud(client{c.all.Cloud.asking, c}, http.MethodPost, path)
}

// Run switches a service off.
func (s *cloudStop) Run(c *console) error {
	return showCloud(client{c.all.Cloud.asking, c}, http.MethodPost, servicePath(s.Name, s.Service, "stop"))
}

func servicePath(name, service, what string) string {
	return "/v1/channels/" + url.PathEscape(name) + "/cloud/" + url.PathEscape(service) + "/" + what
}

func showCloud(c client, method, path string) error {
	text, err := c.get(method, path)
	if err != nil {
		return err
	}
	if c.flags.JSON {
		_, err = c.console.out.Write(text)
		return err
	}
	var s cloud.Status
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("what answers at %s is no millrace: %w", c.flags.API, err)
	}
	return cloudTable(c.console.out, s)
}

// cloudTable prints a status for a person.
func cloudTable(w io.Writer, s cloud.Status) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CHANNEL\tFULL-TIME\tEVENT\tSTORED\tWAITING\tBACKLOG\tDROPPED\tEVENTS\tOLDEST\tWHY")
	for _, ch := range s.Channels {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.1f MB\t%.1f MB\t%d\t%d\t%d\t%s\t%s\n", ch.Channel, onOff(ch.FullTime.On), onOff(ch.Event.On),
			float64(ch.StoredBytes)/1e6, float64(ch.WaitingBytes)/1e6, ch.Backlog, ch.Dropped, ch.WaitingLetters, label(ch.Oldest), ch.Why)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if s.Spool {
		fmt.Fprintf(w, "\nSpool: %.1f MB of %.1f MB\n", float64(s.Spooled)/1e6, float64(s.SpoolBytes)/1e6)
	}
	return nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
