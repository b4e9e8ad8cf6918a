package main

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/alecthomas/kong"

	"github.com/millrace-video/millrace/cmd/internal/playback"
	"github.com/millrace-video/millrace/hal"
)

// recorded says whose recordings of which time are meant, and who knows them.
type recorded struct {
	Name string   `arg:"" help:"The channel."`
	To   timeText `default:"now" placeholder:"TIME" help:"As --from. Default: now."`
	API  string   `name:"api" default:"127.0.0.1:8080" placeholder:"ADDR" help:"HOST:PORT where millrace run serves its API. Default: ${default}."`
	Data string   `placeholder:"DIR" help:"Look into the files of this folder instead; no millrace has to run. The channel's files are in it or in its folder NAME."`
}

// ask is the question, in times that everybody understands alike.
func (r *recorded) ask(from timeText) (playback.Ask, error) {
	a, err := playback.ParseAsk(r.Name, url.Values{"from": {string(from)}, "to": {string(r.To)}}, hal.NewClock().Now())
	if err != nil {
		return a, usageError{err}
	}
	return a, nil
}

// query is the question for the API.
func query(a playback.Ask) url.Values {
	return url.Values{"from": {a.From.UTC().Format(time.RFC3339Nano)}, "to": {a.To.UTC().Format(time.RFC3339Nano)}}
}

// timeText is a time on the command line, which may begin with a minus.
type timeText string

// Decode implements kong.MapperValue.
func (t *timeText) Decode(ctx *kong.DecodeContext) error {
	token := ctx.Scan.Pop()
	if token.IsEOL() {
		return errors.New("a time is missing, such as -10m")
	}
	*t = timeText(fmt.Sprint(token.Value))
	return nil
}
