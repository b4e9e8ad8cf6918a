package synth_test

import (
	"testing"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/haltest"
	"github.com/millrace-video/millrace/hal/synth"
)

func TestConformance(t *testing.T) { // H7
	faults := []haltest.Fault{
		{URL: "synth://?fail=after:3&pace=fast", Want: hal.ErrNoSignal},
		{URL: "synth://?fail=open", Want: hal.ErrNoDevice},
	}
	wrong := []string{"synth://?sise=1x1", "synth://u:secret@host/", "synth://?size=641x360", "synth://?codec=raw&gop=5"}
	short := 50 * time.Millisecond
	for name, cfg := range map[string]haltest.Config{
		"h264 live": {URL: "synth://?rate=60", Live: true, Codec: hal.H264, WrongURLs: wrong, Faults: faults, NoAllocs: true},
		"h264 fast": {URL: "synth://?frames=120&pace=fast&audio=lpcm", Codec: hal.H264, Frames: 120, NoAllocs: true},
		// Small frames: until every chunk has a slot for each, they are allocated.
		"h264 endless": {URL: "synth://?pace=fast", Codec: hal.H264, WarmUp: 12000, AllocReads: 5000, Pause: short},
		"raw live":     {URL: "synth://?size=320x240&rate=120&codec=raw&audio=pcma", Live: true, Codec: hal.Raw},
		"raw fast":     {URL: "synth://?size=320x240&codec=raw&pixel=yuyv&pace=fast&audio=pcmu", Codec: hal.Raw, Pause: short},
		"filled live":  {URL: "synth://?rate=200&audio=none&bitrate=20M&frames=75", Live: true, Codec: hal.H264, Frames: 75},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Driver = synth.Driver{}
			haltest.Source(t, cfg)
		})
	}
}
