package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/api"
)

// asking is which running millrace is asked, and how its answer is shown.
type asking struct {
	API  string `name:"api" default:"127.0.0.1:8080" placeholder:"ADDR" help:"HOST:PORT where millrace run serves its API. Default: ${default}."`
	JSON bool   `name:"json" help:"Print the API's JSON."`
}

type channelCommand struct {
	asking

	List  channelList  `cmd:"" help:"Show every channel, or one."`
	Init  channelInit  `cmd:"" help:"Take every resource of a channel or none; it then stands parked."`
	Start channelStart `cmd:"" help:"Let a channel's frames flow, or resume it."`
	Pause channelPause `cmd:"" help:"Park a channel between two frames."`
	Exit  channelExit  `cmd:"" help:"End a channel in order and give everything back."`
}

type (
	channelList struct {
		Name string `arg:"" optional:"" help:"The channel. Default: all."`
	}
	channelInit struct {
		Name string `arg:"" help:"The channel."`
	}
	channelStart struct {
		Name string `arg:"" help:"The channel."`
	}
	channelPause struct {
		Name string `arg:"" help:"The channel."`
	}
	channelExit struct {
		Name string `arg:"" help:"The channel."`
	}
)

// Run shows channels.
func (l *channelList) Run(c *console) error {
	client := client{c.all.Channel.asking, c}
	if l.Name != "" {
		return client.show(http.MethodGet, "/"+url.PathEscape(l.Name))
	}
	return client.show(http.MethodGet, "")
}

// Run initialises a channel.
func (i *channelInit) Run(c *console) error {
	return command(c, c.all.Channel.asking, i.Name, "init")
}

// Run starts a channel.
func (s *channelStart) Run(c *console) error {
	return command(c, c.all.Channel.asking, s.Name, "start")
}

// Run pauses a channel.
func (p *channelPause) Run(c *console) error {
	return command(c, c.all.Channel.asking, p.Name, "pause")
}

// Run exits a channel.
func (e *channelExit) Run(c *console) error {
	return command(c, c.all.Channel.asking, e.Name, "exit")
}

func command(c *console, who asking, name, what string) error {
	return client{who, c}.show(http.MethodPost, "/"+url.PathEscape(name)+"/"+what)
}

// client speaks to a running millrace.
type client struct {
	flags   asking
	console *console
}

// channel is what a table needs of a channel's status.
type channel struct {
	Name   string  `json:"name"`
	State  string  `json:"state"`
	Cause  string  `json:"cause"`
	Source string  `json:"source"`
	FPS    float64 `json:"fps"`

	Sources []struct {
		URL   string `json:"url"`
		Cause string `json:"cause"`
	} `json:"sources"`
	Stages []struct {
		Name  string `json:"name"`
		Cause string `json:"cause"`
		State string `json:"state"`
		Stats struct {
			Bytes    uint64 `json:"bytes"`
			Segments uint64 `json:"segments"`
		} `json:"stats"`
	} `json:"stages"`
	Queues []struct {
		Dropped map[string]uint64 `json:"dropped"`
	} `json:"queues"`
}

// maxAnswer bounds what is read: 1,000 channels have 4 MB.
const maxAnswer = 64 << 20

// show asks and prints the channels of the answer.
func (c client) show(method, path string) error {
	text, err := c.ask(method, path)
	if err != nil {
		return err
	}
	if c.flags.JSON {
		_, err = c.console.out.Write(text)
		return err
	}
	var answer struct {
		Channels []channel `json:"channels"`
	}
	if path == "" {
		err = json.Unmarshal(text, &answer)
	} else {
		answer.Channels = make([]channel, 1)
		err = json.Unmarshal(text, &answer.Channels[0])
	}
	if err != nil {
		return fmt.Errorf("what answers at %s is no millrace: %w", c.flags.API, err)
	}
	return table(c.console.out, answer.Channels)
}

func (c client) ask(method, path string) (text []byte, err error) {
	return c.get(method, "/v1/channels"+path)
}

// get asks for any path of the API.
func (c client) get(method, path string) (text []byte, err error) {
	return c.post(method, path, nil)
}

// post is get with a body.
func (c client) post(method, path string, body io.Reader) (text []byte, err error) {
	resp, err := c.send(method, path, body, 5*time.Minute)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	return io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
}

// refusal is the API's error.
type refusal struct {
	apiError api.Error
}

func (r *refusal) Error() string {
	if r.apiError.Hint == "" {
		return r.apiError.Error
	}
	return r.apiError.Error + ": " + r.apiError.Hint
}

// request asks, and returns an answer that is a success. timeout 0: it may take for ever.
func (c client) request(method, path string, timeout time.Duration) (*http.Response, error) {
	return c.send(method, path, nil, timeout)
}

// send is request with a body.
func (c client) send(method, path string, body io.Reader, timeout time.Duration) (*http.Response, error) {
	base := c.flags.API
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	req, err := http.NewRequestWithContext(c.console.ctx, method, strings.TrimSuffix(base, "/")+path, body)
	if err != nil {
		return nil, usageError{fmt.Errorf("--api %s: HOST:PORT, such as 127.0.0.1:8080", c.flags.API)}
	}
	resp, err := (&http.Client{Timeout: timeout}).Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return nil, fmt.Errorf("no millrace answers at %s: %w: start one with millrace run, or say where it is with --api", c.flags.API, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	r := refusal{}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	if json.Unmarshal(text, &r.apiError) != nil || r.apiError.Error == "" {
		return nil, fmt.Errorf("what answers at %s is no millrace: %s", c.flags.API, resp.Status)
	}
	return nil, &r
}

// table prints channels for a person.
func table(w io.Writer, channels []channel) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tSTATE\tFPS\tRECORDED\tDROPPED\tSOURCE\tCAUSE")
	for _, ch := range channels {
		fmt.Fprintf(t, "%s\t%s\t%.1f\t%s\t%d\t%s\t%s\n", ch.Name, ch.State, ch.FPS, ch.recorded(), ch.dropped(), ch.source(), ch.why())
	}
	return t.Flush()
}

func (c *channel) recorded() string {
	for _, s := range c.Stages {
		if s.Stats.Segments > 0 {
			return fmt.Sprintf("%.1f MB", float64(s.Stats.Bytes)/1e6)
		}
	}
	return "-"
}

// dropped is how many frames were lost to full queues.
func (c *channel) dropped() (n uint64) {
	for _, q := range c.Queues {
		n += q.Dropped["full"] + q.Dropped["orphaned"]
	}
	return n
}

// source is the one in use, else the preferred one.
func (c *channel) source() string {
	if c.Source == "" && len(c.Sources) > 0 {
		return c.Sources[0].URL
	}
	return c.Source
}

// why is what keeps the channel from running well.
func (c *channel) why() string {
	switch c.State {
	case "running", "parked", "exited":
		return ""
	}
	cause := c.Cause
	for _, s := range c.Sources {
		if c.State == "waiting" && s.Cause != "" {
			cause = s.Cause
			break
		}
	}
	for _, s := range c.Stages {
		if s.State == "restarting" && s.Cause != "" {
			cause = s.Name + ": " + s.Cause
		}
	}
	cause, _, _ = strings.Cut(cause, "\n")
	if cause == "command" { // of an operator, who knows
		return ""
	}
	return cause
}
