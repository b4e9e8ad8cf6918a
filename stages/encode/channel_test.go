package encode_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/encode"
)

// camera is a source as a channel wants it.
type camera struct {
	reg *hal.Registry
	url string
}

func (c camera) String() string { return c.url }

func (c camera) Check() error {
	_, _, err := c.reg.Lookup(c.url)
	return err
}

func (c camera) Open(ctx context.Context, o hal.Options) (hal.Source, error) {
	return c.reg.Open(ctx, c.url, o)
}

// sink counts what arrives at a branch.
type sink struct {
	mu      sync.Mutex
	streams []*hal.Stream
	dts     []hal.Stamp
	sounds  int
	full    chan struct{}
	want    int
}

func (s *sink) Name() string                             { return "sink" }
func (s *sink) Open(context.Context, pipeline.Env) error { return nil }
func (s *sink) Flush(context.Context) error              { return nil }
func (s *sink) Close() error                             { return nil }

func (s *sink) Work(_ context.Context, f hal.Frame) error {
	defer f.Release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.streams) == 0 || s.streams[len(s.streams)-1] != f.Stream {
		s.streams = append(s.streams, f.Stream)
	}
	if !f.Info().Codec.IsVideo() {
		s.sounds++
		return nil
	}
	if s.dts = append(s.dts, f.Stamp); len(s.dts) == s.want {
		close(s.full)
	}
	return nil
}

// P1, P9: a raw camera with sound becomes a channel of H.264 and sound; what is encoded already
// goes past the stage.
func TestAChannelEncodesWhatIsRaw(t *testing.T) {
	reg := hal.NewRegistry(synth.Driver{}, soft.Driver{})
	for name, tc := range map[string]struct {
		url    string
		worked bool
	}{
		"raw":     {"synth://?size=320x240&codec=raw&pixel=nv12&pace=fast&frames=60&audio=lpcm", true},
		"encoded": {"synth://?size=320x240&codec=h264&pace=fast&frames=60&audio=lpcm", false},
	} {
		t.Run(name, func(t *testing.T) {
			eng := pipeline.NewEngine(pipeline.Config{})
			s := &sink{full: make(chan struct{}), want: 60}
			stage := encode.To(reg, hal.H264, encode.Config{})
			ch, err := eng.Add(pipeline.Define("gate", pipeline.Origin{Candidates: []pipeline.Candidate{camera{reg, tc.url}}}, stage).
				Branch("sink", pipeline.Limit{Full: pipeline.DropUntilKey}, s))
			require.NoError(t, err)
			require.NoError(t, ch.Start())
			<-s.full
			require.NoError(t, eng.Exit(t.Context()))
			require.NotEmpty(t, s.streams)
			require.Equal(t, hal.H264, s.streams[0].Tracks[s.streams[0].Video()].Codec)
			require.Positive(t, s.sounds)
			for i := 1; i < 60; i++ {
				require.Greater(t, s.dts[i].DTS, s.dts[i-1].DTS)
			}
			require.Equal(t, tc.worked, stats(stage).Pictures > 0)
		})
	}
}
