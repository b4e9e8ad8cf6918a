package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/record"
)

// Recording is one source into one file.
type Recording struct {
	Source   config.Source
	File     string        // replaced where it exists, once the first frame is there
	Duration time.Duration // of the stream, by its time stamps; 0: until the source ends
	Timeout  time.Duration // without a frame at the beginning; 0: 10 s
	Log      *slog.Logger
	Progress func(Progress) // told once a second; may be nil
}

// Progress is how far a recording is.
type Progress struct {
	Frames  uint64        // pictures and pieces of sound
	Length  time.Duration // of the latest file
	Bytes   uint64
	Lost    uint64 // frames that did not reach the file: lost on the way, or the disk was too slow
	Files   uint64
	Waiting string // why nothing comes; empty while something does
}

func (p Progress) String() string {
	s := fmt.Sprintf("%d frames, %.3f s, %d bytes, %d lost", p.Frames, p.Length.Seconds(), p.Bytes, p.Lost)
	if p.Files > 1 {
		s += fmt.Sprintf(", in %d files", p.Files)
	}
	if p.Waiting != "" {
		s += "; waiting: " + p.Waiting
	}
	return s
}

const branchName = "file"

// Run records until the duration is reached, the source ends, or ctx is done; each of them
// leaves a whole file and is no error. A source that gives no frame in time, or never can, is.
func (r Recording) Run(ctx context.Context, reg *hal.Registry) (Progress, error) {
	events := make(chan pipeline.Event, 64)
	eng := pipeline.NewEngine(pipeline.Config{Logger: r.Log, OnEvent: func(e pipeline.Event) {
		select {
		case events <- e:
		default: // nobody needs the sixty-fifth: the state itself is asked too
		}
	}})
	ch := config.DefaultChannel("record", r.Source)
	recorder := record.File(r.File, record.Config{Duration: r.Duration})
	def := pipeline.Define(ch.Name, origin(reg, ch), trunk(reg, ch.Encode)...).Branch(branchName, record.Ring{}, recorder)
	channel, err := eng.Add(def) //nolint:contextcheck // a channel lives until its Exit
	if err != nil {
		return Progress{}, errors.Join(err, eng.Exit(context.WithoutCancel(ctx)))
	}
	err = channel.Start() //nolint:contextcheck // as above
	if err == nil {
		err = r.wait(ctx, channel, recorder, events)
	}
	lost := r.progress(channel, recorder).Lost
	err = errors.Join(err, eng.Exit(context.WithoutCancel(ctx)))
	p := r.progress(channel, recorder)
	p.Lost, p.Waiting = max(p.Lost, lost), ""
	if err == nil && p.Frames == 0 {
		err = errors.New("nothing was recorded: no frame came that a file could begin with")
	}
	return p, err
}

// wait returns when the recording is done, or with why it cannot be.
func (r Recording) wait(ctx context.Context, ch *pipeline.Channel, recorder *record.Recorder, events <-chan pipeline.Event) error {
	if r.Timeout <= 0 {
		r.Timeout = 10 * time.Second
	}
	first := time.NewTimer(r.Timeout)
	defer first.Stop()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-recorder.Done():
			return nil
		case <-events:
		case <-second.C:
			if r.Progress != nil {
				r.Progress(r.progress(ch, recorder))
			}
		case <-first.C:
			if s := ch.Status(); !delivered(s) {
				return fmt.Errorf("no frame came within %s (--timeout): %s", r.Timeout, whyNot(s))
			}
		}
		switch ch.State() { //nolint:exhaustive // only these end it
		case pipeline.Ended:
			return nil
		case pipeline.Failed:
			return errors.New(whyNot(ch.Status()))
		}
	}
}

func delivered(s pipeline.Status) bool {
	for _, stage := range s.Stages {
		if stage.Frames > 0 {
			return true
		}
	}
	return false
}

// whyNot is the cause in a status.
func whyNot(s pipeline.Status) string {
	for _, src := range s.Sources {
		if src.Cause != "" {
			return src.Cause
		}
	}
	if s.Cause != "" {
		return s.Cause
	}
	return "the source is open but says nothing"
}

func (r Recording) progress(ch *pipeline.Channel, recorder *record.Recorder) Progress {
	var p Progress
	if s, ok := recorder.Stats().(record.Stats); ok {
		p = Progress{Frames: s.Frames, Length: s.Length, Bytes: s.Bytes, Files: s.Segments}
	}
	status := ch.Status()
	for _, q := range status.Queues {
		p.Lost += q.Dropped["full"] + q.Dropped["orphaned"]
	}
	for _, src := range status.Sources {
		if c, ok := src.Stats.(hal.SourceStats); ok {
			p.Lost += c.Lost + c.Dropped
		}
	}
	if status.State == pipeline.Waiting.String() {
		p.Waiting = whyNot(status)
	}
	return p
}
