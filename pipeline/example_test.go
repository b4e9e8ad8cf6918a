package pipeline_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/rtsp"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/encode"
	"github.com/millrace-video/millrace/stages/record"
	send "github.com/millrace-video/millrace/stages/send/rtsp"
)

// The front door: a camera that is recorded and served live, commanded, and ended in order (P4, H5).
func Example() {
	log := slog.New(slog.DiscardHandler)
	dir, err := os.MkdirTemp("", "millrace")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory

	reg := hal.NewRegistry(rtsp.Driver{}, soft.Driver{}, synth.Driver{}) // in order of preference
	eng := pipeline.NewEngine(pipeline.Config{Logger: log})
	server := send.NewServer(send.Config{Listen: "127.0.0.1:0", Logger: log})
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}

	gate := pipeline.Define("gate",
		acquire.From(reg, "rtsp://127.0.0.1:9/main", "synth://?size=640x360"), // first the camera, then the fallback
		encode.To(reg, hal.H264, encode.Config{Bitrate: 2_000_000}),           // passes encoded frames through untouched
	).
		Branch("disk", record.Ring{Max: 64 << 20}, record.To(dir, record.Config{})).
		Branch("live", pipeline.Limit{Frames: 50, Full: pipeline.DropUntilKey, OnDemand: true}, server.Mount("gate"))

	ch, err := eng.Add(gate) // Init: takes every resource or none
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ch.State())
	fmt.Println(ch.Start())
	fmt.Println(ch.Pause(), ch.State()) // parked between two frames
	fmt.Println(ch.Start())

	ctx := context.Background()
	fmt.Println(ch.Exit(ctx), ch.State()) // in order; says what was left when ctx ends first
	fmt.Println(eng.Exit(ctx), server.Close(ctx))
	// Output:
	// parked
	// <nil>
	// <nil> paused
	// <nil>
	// <nil> exited
	// <nil> <nil>
}
