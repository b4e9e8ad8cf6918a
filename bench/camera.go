package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/send/rtsp"
	"github.com/millrace-video/millrace/stages/upload"
)

// groupsWanted is how many seconds of the camera are measured; the first, over cold
// connections, is not.
const groupsWanted = 3

// camera uploads the pictures of an RTSP camera of 50 a second through a channel's branch. The
// camera is our own: JPEGs of the wanted size, served.
func (b *Upload) camera(ctx context.Context, threads *pool.Pool, reg *hal.Registry) (row cameraRow, err error) {
	r, err := newRig(ctx, threads, b.Delay, nil, upload.Config{Parallel: 128, MaxBytes: 256 << 20})
	if err != nil {
		return row, err
	}
	defer func() {
		if gone := r.close(ctx); gone != nil && !errors.Is(gone, upload.ErrLeft) { // what came after the last group measured
			err = errors.Join(err, gone)
		}
	}()
	server := rtsp.NewServer(rtsp.Config{Listen: "127.0.0.1:0"})
	if err = server.Start(); err != nil {
		return row, err
	}
	eng := pipeline.NewEngine(pipeline.Config{})
	defer func() {
		leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, eng.Exit(leave), server.Close(leave))
	}()
	film, err := newAlbum(ctx, reg, synth.Rate{Num: 50, Den: 1}, b.Bytes)
	if err != nil {
		return row, err
	}
	cam := pipeline.Define("camera", pipeline.Origin{Candidates: []pipeline.Candidate{film}}).
		Branch("live", rtsp.Limit(), server.Mount("camera"))
	frames := upload.NewFrames(r.Uploader, reg, upload.FramesConfig{Group: 50, Keep: 50 * (groupsWanted + 4)})
	url := fmt.Sprintf("rtsp://%s/camera", server.Addr())
	gate := pipeline.Define("gate", acquire.From(reg, url)).Branch("frames", upload.FramesLimit(), frames)
	for _, def := range []*pipeline.Definition{cam, gate} {
		ch, failed := eng.Add(def) //nolint:contextcheck // a channel lives until its Exit
		if failed == nil {
			failed = ch.Start() //nolint:contextcheck // as above
		}
		if failed != nil {
			return row, failed
		}
	}
	all, err := awaitFrames(ctx, frames, 50*(groupsWanted+1))
	if err != nil {
		return row, err
	}
	row = cameraRow{source: "an RTSP camera of 50 frames a second (MJPEG, 1280x720; our own, on this machine)", groups: groupsWanted}
	if s, ok := frames.Stats().(upload.FramesStats); ok && s.Taken > 0 {
		row.bytes = int(s.Bytes / s.Taken) //nolint:gosec // a picture's size
	}
	for i := 1; i <= groupsWanted; i++ {
		group := all[50*i : 50*(i+1)]
		row.seconds = max(row.seconds, lateness(group).Seconds())
	}
	return row, nil
}

// lateness is the time from the capture of the last frame until all are up.
func lateness(group []upload.FrameResult) time.Duration {
	var last time.Time
	for _, f := range group {
		if f.Done.After(last) {
			last = f.Done
		}
	}
	return last.Sub(group[len(group)-1].Time)
}

// awaitFrames returns the first n pictures, all of them up.
func awaitFrames(ctx context.Context, frames *upload.Frames, n int) ([]upload.FrameResult, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the camera's frames did not come: %w", context.Cause(ctx))
		case <-tick.C:
		}
		all := frames.Latest()
		if len(all) < n {
			continue
		}
		up := true
		for _, f := range all[:n] {
			if f.State == "failed" {
				return nil, errors.New(f.Error)
			}
			up = up && f.State == "uploaded"
		}
		if up {
			return all[:n], nil
		}
	}
}
