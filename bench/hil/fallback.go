package hil

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/send/rtsp"
)

// What the fallback and the USB camera of the suite both show, so that one follows the other.
const (
	Width  = 320
	Height = 240
	Rate   = 25
	GOP    = 5
)

// gateway is the host as a machine of QEMU's user network sees it.
const gateway = "10.0.2.2"

// Fallback is an RTSP camera on the host, for the machine to fall back to.
type Fallback struct {
	engine *pipeline.Engine
	server *rtsp.Server
}

// NewFallback starts one. It listens on the loopback alone.
func NewFallback() (*Fallback, error) {
	f := &Fallback{engine: pipeline.NewEngine(pipeline.Config{}), server: rtsp.NewServer(rtsp.Config{Listen: "127.0.0.1:0"})}
	if err := f.server.Start(); err != nil {
		return nil, err
	}
	camera := fmt.Sprintf("synth://?size=%dx%d&rate=%d&gop=%d&audio=none&seed=2", Width, Height, Rate, GOP)
	ch, err := f.engine.Add(pipeline.Define("fallback", acquire.From(hal.NewRegistry(synth.Driver{}), camera)).
		Branch("live", rtsp.Limit(), f.server.Mount("fallback")))
	if err == nil {
		err = ch.Start()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(context.Background()))
	}
	return f, nil
}

// URL is the camera's, as the machine sees it.
func (f *Fallback) URL() (string, error) {
	_, port, err := net.SplitHostPort(f.server.Addr().String())
	return "rtsp://" + net.JoinHostPort(gateway, port) + "/fallback", err
}

// Close ends it.
func (f *Fallback) Close(ctx context.Context) error {
	return errors.Join(f.engine.Exit(ctx), f.server.Close(ctx))
}
