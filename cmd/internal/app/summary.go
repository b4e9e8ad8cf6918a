package app

import (
	"fmt"
	"io"
	"net"
	"strings"
	"text/tabwriter"
)

// Summary is what a person wants to know when the appliance is up.
type Summary struct {
	API      string // URL
	Channels []ChannelSummary
}

// ChannelSummary is a channel's line.
type ChannelSummary struct {
	Name, Source, State string
	Folder              string // of its recordings; empty where it does not record
	Watch               string // URL; empty where it cannot be watched
}

func (a *App) summary(apiAddress string) Summary {
	s := Summary{API: "http://" + apiAddress}
	for _, ch := range a.cfg.Channels {
		line := ChannelSummary{Name: ch.Name, Source: ch.Sources[0].Shown}
		if len(ch.Sources) > 1 {
			line.Source += fmt.Sprintf(" (+%d)", len(ch.Sources)-1)
		}
		if c, err := a.eng.Channel(ch.Name); err == nil {
			line.State = c.State().String()
		}
		if ch.Record.Enabled {
			line.Folder = ch.Folder(a.cfg.Data)
		}
		if ch.Live.Enabled && a.live != nil {
			line.Watch = "rtsp://" + reachable(a.live.Addr()) + "/" + ch.Name
		}
		s.Channels = append(s.Channels, line)
	}
	return s
}

// reachable is an address as somebody on this machine can use it.
func reachable(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// Print writes the summary for a person.
func (s Summary) Print(w io.Writer) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CHANNEL\tSOURCE\tRECORDS TO\tWATCH AT")
	for _, c := range s.Channels {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.Name, c.Source, orNone(c.Folder), orNone(c.Watch))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s\nAPI: %s/v1/channels    what runs: millrace channel list    Ctrl-C ends it in order\n", b.String(), s.API)
	return err
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
