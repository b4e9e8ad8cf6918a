package main

import (
	"net/url"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/playback"
	"github.com/millrace-video/millrace/hal"
)

// recorded says whose recordings of which time are meant, and who knows them.
type recorded struct {
	Name string `arg:"" help:"The channel."`
	To   string `default:"now" placeholder:"TIME" help:"As --from. Default: now."`
	API  string `name:"api" default:"127.0.0.1:8080" placeholder:"ADDR" help:"HOST:PORT where millrace run serves its API. Default: ${default}."`
	Data string `placeholder:"DIR" help:"Look into the files of this folder instead; no millrace has to run. The channel's files are in it or in its folder NAME."`
}

// ask is the question, in times that everybody understands alike.
func (r *recorded) ask(from string) (playback.Ask, error) {
	a, err := playback.ParseAsk(r.Name, url.Values{"from": {from}, "to": {r.To}}, hal.NewClock().Now())
	if err != nil {
		return a, usageError{err}
	}
	return a, nil
}

// query is the question for the API.
func query(a playback.Ask) url.Values {
	return url.Values{"from": {a.From.UTC().Format(time.RFC3339Nano)}, "to": {a.To.UTC().Format(time.RFC3339Nano)}}
}
