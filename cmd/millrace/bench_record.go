package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/millrace-video/millrace/bench"
	"github.com/millrace-video/millrace/hal"
)

type benchRecord struct {
	benchFlags

	Channels []int         `placeholder:"N,…" help:"Cameras of each measurement. Default: 8,64,128; 8 with --short."`
	Time     time.Duration `placeholder:"TIME" help:"The window that is measured. Default: 10s."`
	WarmUp   time.Duration `placeholder:"TIME" help:"From when all cameras play to the window. Default: 6s; 3s with --short."`
	Codec    string        `enum:"h264,h265" default:"h264" help:"Of the cameras: h264 or h265. Default: ${default}."`
	Size     string        `default:"1920x1080" placeholder:"WxH" help:"Of the cameras. Default: ${default}."`
	Bitrate  int           `default:"4100" placeholder:"KBIT/S" help:"Of a camera, sound included. Default: ${default}."`
	Writes   string        `enum:",unit,packet" default:"" help:"What a camera sends with one write: an access unit (unit) or each packet (packet). Default: packet; unit with --capacity, where the cameras are to take as little of the machine as can be."`
	Viewers  bool          `help:"Record once more with a live viewer at each camera."`
	Peers    []string      `default:"auto" placeholder:"LIST" help:"ffmpeg, gstreamer, mediamtx; auto: those that are on PATH; none. Default: ${default}."`
	Capacity bool          `help:"Instead, find how many cameras this machine records: 256, then more."`
	Tries    []int         `placeholder:"N,…" help:"With --capacity: how many cameras to try, in this order."`
	Dir      string        `placeholder:"DIR" help:"For the recordings, about 0.5 MB a camera and second, for as long as one lasts. Default: the system's temporary folder."`
	Binary   string        `placeholder:"FILE" help:"Measure this build of the program, such as one with other optimisations, and not the one that runs."`
	Profile  string        `placeholder:"DIR" help:"Write profiles of this program's CPU and memory there, which costs a little."`
}

// Run measures recording.
func (r *benchRecord) Run(c *console) error {
	codec, err := hal.ParseCodec(r.Codec)
	if err != nil {
		return usageError{err}
	}
	b := &bench.Record{
		Channels: r.Channels, Window: r.Time, WarmUp: r.WarmUp, Viewers: r.Viewers, Peers: r.Peers, Dir: r.Dir, Profile: r.Profile,
		Packets: r.Writes == "packet" || r.Writes == "" && !r.Capacity && len(r.Tries) == 0,
		Clip:    bench.ClipSpec{Codec: codec, Bitrate: r.Bitrate * 1000, GOP: 50},
	}
	if r.Binary != "" {
		b.Self.Run = []string{r.Binary, "run"}
	}
	if n, failed := fmt.Sscanf(r.Size+" ", "%dx%d ", &b.Clip.Width, &b.Clip.Height); n != 2 || failed != nil {
		return usageError{errors.New("--size: WIDTHxHEIGHT, such as 1920x1080")}
	}
	if b.Capacity = r.Tries; r.Capacity && len(b.Capacity) == 0 {
		b.Capacity = bench.CapacitySteps()
	}
	if err := b.Validate(); err != nil {
		return usageError{err}
	}
	return r.measure(c, b)
}

// benchRole is a process that a measurement starts: cameras, viewers, the floor.
type benchRole struct {
	Name string `arg:""`
}

// Run plays the role until standard input ends.
func (r *benchRole) Run(c *console) error { return bench.RunRole(c.ctx, r.Name, os.Stdin, c.out) }
