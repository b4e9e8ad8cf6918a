package upload

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
)

// FramesConfig says which pictures of a channel go up, and how.
type FramesConfig struct {
	Every     int     // each n-th picture; default 1: all of them
	PerSecond float64 // instead: so many a second at most, evenly spread
	Group     int     // pictures in a group; default 50
	Quality   int     // of a JPEG that is made here; default 80
	Prefix    string  // of the keys; default frames/CHANNEL
	Keep      int     // results that can be asked for; default 500

	// Results is told what became of each picture, in the order of the camera, by one worker at a
	// time. An error of its is logged, and the next results come all the same. Default: nobody.
	Results func([]FrameResult) error

	Decoders Decoders // of H.264 and the like; default: none, such streams are refused
}

func (c FramesConfig) withDefaults() FramesConfig {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.Every, 1)
	def(&c.Group, 50)
	def(&c.Quality, 80)
	def(&c.Keep, 500)
	return c
}

// Validate says what is wrong with a configuration.
func (c FramesConfig) Validate() error {
	d := c.withDefaults()
	switch {
	case d.Every < 1 || d.Group < 1 || d.Group > 10_000 || d.Keep < 1:
		return errors.New("each n-th picture, and groups of 1 to 10000")
	case c.PerSecond < 0 || c.PerSecond > 1000:
		return fmt.Errorf("%g pictures a second: 0 to 1000", c.PerSecond)
	case c.PerSecond > 0 && c.Every > 1:
		return errors.New("each n-th picture, or so many a second: one of them")
	case d.Quality < 1 || d.Quality > 100:
		return fmt.Errorf("quality %d: 1 to 100", d.Quality)
	}
	return nil
}

// Encoders opens the encoder that makes JPEG of raw pictures. *hal.Registry is one.
type Encoders interface {
	OpenEncoder(ctx context.Context, cfg hal.EncoderConfig, except ...string) (hal.Encoder, hal.EncoderInfo, error)
}

// Frames is the branch of a channel whose pictures go up as JPEG: those of an MJPEG stream as they
// are, raw ones through an encoder, those of H.264 and the like through a decoder first. Where it falls
// behind, its queue drops to the next key frame. Each goes up as soon as it comes; a group holds so many of
// them, in their order (U1). The uploader is shared by all channels and outlives the branch.
type Frames struct {
	up       *Uploader
	encoders Encoders
	cfg      FramesConfig
	session  string // keeps keys apart when the program starts again or the clock is set back
	results  results

	clock   *hal.Clock
	log     *slog.Logger
	channel string
	jpeg    jpegMaker
	moving  moving
	group   *Group
	seq     uint64
	seen    int
	next    int64 // Mono from which a picture is taken again

	taken, skipped, undecoded, bytes atomic.Uint64
}

var (
	_ pipeline.Stage    = (*Frames)(nil)
	_ pipeline.Counting = (*Frames)(nil)
)

// NewFrames returns the stage. Without encoders it takes MJPEG alone.
func NewFrames(up *Uploader, encoders Encoders, cfg FramesConfig) *Frames {
	cfg = cfg.withDefaults()
	return &Frames{up: up, encoders: encoders, cfg: cfg, session: strings.ToLower(rand.Text()[:8]), results: newResults(cfg)}
}

// FramesLimit is the queue of the branch: full, it drops to the next key frame, which every raw
// picture and JPEG is.
func FramesLimit() pipeline.Limit {
	return pipeline.Limit{Frames: 64, Bytes: 32 << 20, Full: pipeline.DropUntilKey}
}

// Name implements pipeline.Stage.
func (f *Frames) Name() string { return "frames" }

// Open implements pipeline.Stage.
func (f *Frames) Open(ctx context.Context, env pipeline.Env) error {
	if err := f.cfg.Validate(); err != nil {
		return fmt.Errorf("%w: frames: %w", hal.ErrUnsupported, err)
	}
	f.clock, f.log, f.channel = env.Clock, env.Log, env.Channel
	if f.clock == nil {
		f.clock = hal.NewClock()
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.results.open(env.Channel, f.log)
	f.jpeg = jpegMaker{encoders: f.encoders, quality: f.cfg.Quality, clock: f.clock, log: f.log}
	ask := env.RequestKeyFrame
	if ask == nil {
		ask = func() {}
	}
	f.moving = moving{decoders: f.cfg.Decoders, quality: f.cfg.Quality, log: f.log, askKey: ask}
	f.seen, f.next = 0, 0
	f.up.Warm(ctx, f.cfg.Group)
	return nil
}

// Work implements pipeline.Stage.
func (f *Frames) Work(ctx context.Context, in hal.Frame) error {
	defer in.Release()
	switch info := in.Info(); {
	case !info.Codec.IsVideo():
		return nil
	case info.Codec.IsInter():
		if err := f.unit(ctx, in); err != nil {
			return fmt.Errorf("frames: %w", err)
		}
		return nil
	case !f.wanted(in.Stamp):
		f.skipped.Add(1)
		return nil
	}
	picture, err := f.jpeg.picture(ctx, in)
	if err != nil {
		return fmt.Errorf("frames: %w", err)
	}
	f.submit(in.Stamp, picture)
	return nil
}

// wanted says whether a picture is one of those that go up.
func (f *Frames) wanted(s hal.Stamp) bool {
	if f.cfg.PerSecond == 0 {
		f.seen++
		return (f.seen-1)%f.cfg.Every == 0
	}
	apart := int64(float64(time.Second) / f.cfg.PerSecond)
	slack := apart / 20 // cameras do not keep time to the microsecond
	if s.Mono < f.next-slack && f.next-s.Mono <= 2*apart {
		return false
	}
	f.next += apart
	if f.next < s.Mono || f.next > s.Mono+2*apart { // the first, or after a hole
		f.next = s.Mono + apart
	}
	return true
}

// submit hands a picture over.
func (f *Frames) submit(s hal.Stamp, picture []byte) {
	if f.group == nil {
		f.group = f.up.Group()
		f.results.add(f.group, f.seq+1)
	}
	f.seq++
	at := f.clock.Wall(s.Mono)
	f.taken.Add(1)
	f.bytes.Add(uint64(len(picture)))
	f.group.Add(Object{Key: f.key(at), ContentType: "image/jpeg", Body: Bytes(picture), Time: at, Class: Snapshot})
	if f.group.State().Objects >= f.cfg.Group {
		f.seal()
	}
}

// key is a picture's: by the hour, then by time, session and number.
func (f *Frames) key(at time.Time) string {
	prefix := f.cfg.Prefix
	if prefix == "" {
		prefix = "frames/" + f.channel
	}
	at = at.UTC()
	return fmt.Sprintf("%s/%s/%s-%s-%08d.jpg", prefix, at.Format("2006/01/02/15"), at.Format("150405.000"), f.session, f.seq)
}

func (f *Frames) seal() {
	if f.group != nil {
		f.group.Seal()
		f.group = nil
	}
}

// Flush implements pipeline.Stage: the group under way ends.
func (f *Frames) Flush(ctx context.Context) error {
	err := f.rest(ctx)
	f.seal()
	return err
}

// Close implements pipeline.Stage. What was submitted goes on going up.
func (f *Frames) Close() error {
	f.seal()
	return errors.Join(f.moving.close(), f.jpeg.close())
}

// FramesStats is what the branch has done.
type FramesStats struct {
	Taken     uint64 `json:"taken"`     // pictures that were handed to the uploader
	Skipped   uint64 `json:"skipped"`   // pictures that were not to go up
	Undecoded uint64 `json:"undecoded"` // units of which no picture could be made, up to a key frame
	Bytes     uint64 `json:"bytes"`
	Uploaded  uint64 `json:"uploaded"`
	Failed    uint64 `json:"failed"`
	Pending   int    `json:"pending"` // without a result
}

// Stats implements pipeline.Counting.
func (f *Frames) Stats() any {
	s := FramesStats{Taken: f.taken.Load(), Skipped: f.skipped.Load(), Undecoded: f.undecoded.Load(), Bytes: f.bytes.Load()}
	s.Uploaded, s.Failed = f.results.counts()
	s.Pending = int(s.Taken - s.Uploaded - s.Failed) //nolint:gosec // few
	return s
}

// Latest returns the latest pictures with their results, in order.
func (f *Frames) Latest() []FrameResult { return f.results.latest() }
