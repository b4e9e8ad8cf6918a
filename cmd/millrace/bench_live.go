package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-video/millrace/bench"
	"github.com/millrace-video/millrace/hal"
)

// liveFlags say what the cameras of a measurement of live pictures send, and for how long.
type liveFlags struct {
	Time    time.Duration `placeholder:"TIME" help:"The window that is measured. Default: 15s for fanout, 20s for latency, a few seconds with --short."`
	Size    string        `default:"1920x1080" placeholder:"WxH" help:"Of the cameras. Default: ${default}."`
	Bitrate int           `default:"4100" placeholder:"KBIT/S" help:"Of a camera, sound included. Default: ${default}."`
}

func (f liveFlags) clip() (bench.ClipSpec, error) {
	s := bench.ClipSpec{Codec: hal.H264, Bitrate: f.Bitrate * 1000, GOP: 50}
	if n, err := fmt.Sscanf(f.Size+" ", "%dx%d ", &s.Width, &s.Height); n != 2 || err != nil {
		return s, usageError{errors.New("--size: WIDTHxHEIGHT, such as 1920x1080")}
	}
	if min(s.Width, s.Height) < 64 || max(s.Width, s.Height) > 7680 || s.Width%2+s.Height%2 != 0 || f.Bitrate < 200 || f.Bitrate > 100_000 ||
		f.Time < 0 || f.Time > time.Hour {
		return s, usageError{errors.New("--size from 64x64, both sides even, --bitrate from 200 to 100000, --time up to 1h")}
	}
	return s, nil
}

type benchFanout struct {
	benchFlags
	liveFlags

	Readers []int    `default:"10,50" placeholder:"FEW,MANY" help:"Readers, few and many; the slope between counts. Default: ${default}."`
	Peers   []string `default:"auto" placeholder:"LIST" help:"mediamtx, gortsplib; auto: those that are there; none. Default: ${default}."`
}

// Run measures live readers.
func (f *benchFanout) Run(c *console) error {
	clip, err := f.clip()
	if err != nil {
		return err
	}
	for _, name := range f.Peers {
		if !slices.Contains([]string{"auto", "none", "mediamtx", "gortsplib"}, name) {
			return usageError{errors.New("--peers: mediamtx, gortsplib, auto or none")}
		}
	}
	if len(f.Readers) != 2 || f.Readers[0] < 1 || f.Readers[1] <= f.Readers[0] || f.Readers[1] > 1000 {
		return usageError{errors.New("--readers: two numbers, the first from 1, the second larger, up to 1000")}
	}
	return f.measure(c, &bench.Fanout{Readers: [2]int(f.Readers), Window: f.Time, Clip: clip, Peers: f.Peers})
}

type benchLatency struct {
	benchFlags
	liveFlags

	Channels int `default:"64" placeholder:"N" help:"Cameras, each with a viewer. Default: ${default}."`
}

// Run measures latency.
func (l *benchLatency) Run(c *console) error {
	clip, err := l.clip()
	if err != nil {
		return err
	}
	if l.Channels < 1 || l.Channels > 1000 {
		return usageError{errors.New("--channels from 1 to 1000")}
	}
	return l.measure(c, &bench.Latency{Channels: l.Channels, Window: l.Time, Clip: clip})
}
