package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
)

// album is a camera of JPEGs of a wanted size: the test card under as much noise as that takes,
// encoded before the camera runs, so that it costs nothing while it is measured.
type album struct {
	rate  synth.Rate
	track hal.Track
	files [][]byte // shown in turn
}

const (
	albumWidth, albumHeight = 1280, 720
	albumFiles              = 5
	albumQuality            = 85
	mostNoise               = 200
)

var _ pipeline.Candidate = (*album)(nil)

// newAlbum encodes pictures of about size bytes, within what one step of noise makes.
func newAlbum(ctx context.Context, reg *hal.Registry, rate synth.Rate, size int) (r *album, err error) {
	layout, err := hal.PackedLayout(hal.I420, albumWidth, albumHeight)
	if err != nil {
		return nil, err
	}
	raw := hal.Track{Codec: hal.Raw, TimeScale: 90000, Width: albumWidth, Height: albumHeight, Layout: layout, FrameRate: rate.Float(), Colour: hal.Colour{FullRange: true}}
	encoder, _, err := reg.OpenEncoder(ctx, hal.EncoderConfig{Input: raw, Codec: hal.MJPEG, Quality: albumQuality})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, encoder.Close()) }()
	r = &album{rate: rate}
	maker := jpegs{encoder: encoder, stream: &hal.Stream{Tracks: []hal.Track{raw}}, card: synth.Card{Width: albumWidth, Height: albumHeight, Rate: rate, Seed: 1}}
	for noise := 0; len(r.files) < albumFiles && noise < mostNoise; {
		file, failed := maker.make(ctx, len(r.files), noise)
		if failed != nil {
			return nil, failed
		}
		if len(file) < size && noise+1 < mostNoise {
			noise++
			continue
		}
		r.files = append(r.files, file)
	}
	r.track = maker.out
	return r, nil
}

// jpegs makes JPEG files of noisy test cards.
type jpegs struct {
	encoder hal.Encoder
	stream  *hal.Stream
	card    synth.Card
	out     hal.Track
}

func (j *jpegs) make(ctx context.Context, frame, noise int) ([]byte, error) {
	layout := j.stream.Tracks[0].Layout
	buffers, err := pool.NewBuffers(1, layout.Size)
	if err != nil {
		return nil, err
	}
	buf, err := buffers.Take(ctx)
	if err != nil {
		return nil, err
	}
	if err = j.card.Paint(buf.Bytes(), layout, frame); err != nil {
		return nil, err
	}
	picture, err := pixel.Over(hal.I420, albumWidth, albumHeight, buf.Bytes())
	if err != nil {
		return nil, err
	}
	chance := rand.New(rand.NewPCG(uint64(frame), 1)) //nolint:gosec // noise
	for i := range albumWidth * albumHeight {
		picture.Plane[0][i] = byte(min(255, int(picture.Plane[0][i])+chance.IntN(noise+1)))
	}
	if err = j.encoder.Write(ctx, hal.Frame{Buf: buf, Stream: j.stream, Key: true}); err != nil {
		return nil, err
	}
	f, err := j.encoder.Read(ctx)
	if err != nil {
		return nil, err
	}
	defer f.Release()
	j.out = *f.Info()
	return bytes.Clone(f.Buf.Bytes()), nil
}

// String implements pipeline.Candidate.
func (r *album) String() string { return "album" }

// Check implements pipeline.Candidate.
func (r *album) Check() error { return nil }

// Open implements pipeline.Candidate.
func (r *album) Open(_ context.Context, opts hal.Options) (hal.Source, error) {
	opts = opts.WithDefaults()
	return &projector{
		album: r, stream: &hal.Stream{Tracks: []hal.Track{r.track}}, clock: opts.Clock, arena: opts.Arena(),
		closed: make(chan struct{}), began: opts.Clock.Mono(),
	}, nil
}

// projector plays a album in real time, without end.
type projector struct {
	*album
	stream *hal.Stream
	clock  *hal.Clock
	arena  *pool.Arena
	began  int64
	next   int

	closed chan struct{}
	once   sync.Once
}

// Stream implements hal.Source.
func (p *projector) Stream() *hal.Stream { return p.stream }

// Live implements hal.Source.
func (p *projector) Live() bool { return true }

// Close implements hal.Source.
func (p *projector) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Read implements hal.Source.
func (p *projector) Read(ctx context.Context) (hal.Frame, error) {
	at := p.rate.Time(p.next)
	due := p.began + int64(at)
	wait := time.NewTimer(time.Duration(due - p.clock.Mono()))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-p.closed:
		return hal.Frame{}, fmt.Errorf("%w: the album is closed", hal.ErrNoSignal)
	case <-ctx.Done():
		return hal.Frame{}, context.Cause(ctx)
	}
	file := p.files[p.next%len(p.files)]
	p.next++
	buf, err := p.arena.Get(len(file))
	if err != nil {
		return hal.Frame{}, err
	}
	copy(buf.Bytes(), file)
	return hal.Frame{Buf: buf, Stream: p.stream, Key: true, Stamp: hal.Stamp{DTS: at, PTS: at, Mono: due}}, nil
}
