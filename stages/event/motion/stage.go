package motion

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/pipeline"
)

// Watch is a channel's detector with its two stages: Trunk sees raw pictures, Branch JPEGs and key
// frames. Where the trunk has seen pictures the branch leaves what was made of them alone.
type Watch struct {
	cfg  Config
	keys *Keys            // nil: key frames are not decoded
	on   func(mono int64) // told of motion

	mu    sync.Mutex
	raw   bool // raw pictures come
	stats Stats
	said  string // why nothing could be seen, as logged last
}

// Stats is what a watch has seen.
type Stats struct {
	Looks   uint64  `json:"looks"` // pictures looked at
	Motions uint64  `json:"motions"`
	Broken  uint64  `json:"broken"` // pictures that could not be read
	Moving  bool    `json:"moving"`
	Area    float64 `json:"area"`              // percent, of the last look
	Every   float64 `json:"every_s"`           // seconds between the last two looks
	Decode  float64 `json:"decode_ms"`         // what decoding the last picture took
	Sees    string  `json:"sees,omitempty"`    // raw, mjpeg, or the codec whose key frames are decoded
	Why     string  `json:"why_not,omitempty"` // nothing can be seen, or the last picture could not be
}

// again is how often motion that goes on is told.
const again = int64(time.Second)

// thrift is how long no key frame is decoded after one, in times of what that one took: a
// channel's decoding takes a tenth of a core at most.
const thrift = 10

// NewWatch returns a watch. keys, which watches share, decodes the key frames of H.264, H.265 and
// AV1; nil is for raw pictures and JPEGs alone. on is called when motion begins and then once a
// second, or with every picture looked at, while it goes on, with the picture's instant
// (Stamp.Mono), by a stage's worker: it must not block.
func NewWatch(cfg Config, keys *Keys, on func(mono int64)) *Watch {
	return &Watch{cfg: cfg.WithDefaults(), keys: keys, on: on}
}

// Trunk returns the stage for the trunk, before the encoder: it passes every frame on.
func (w *Watch) Trunk() *Stage { return &Stage{watch: w, trunk: true} }

// Branch returns the stage for a branch.
func (w *Watch) Branch() *Stage { return &Stage{watch: w} }

// Limit is the bound of its branch: only the latest picture counts.
func Limit() pipeline.Limit {
	return pipeline.Limit{Frames: 64, Bytes: 16 << 20, Full: pipeline.DropOldest, WakeAge: 200 * time.Millisecond}
}

// Stage is one place of a watch in a channel.
type Stage struct {
	watch *Watch
	trunk bool

	env    pipeline.Env
	stream *hal.Stream
	found  *Detector
	next   int64 // Mono of the next look
	last   int64 // Mono of the last one
	told   int64
	blind  bool // nothing decodes this stream
	jpeg   bytes.Reader
}

// Name implements pipeline.Stage.
func (s *Stage) Name() string {
	if s.trunk {
		return "motion-raw"
	}
	return "motion"
}

// Passes implements pipeline.Passer: without raw pictures the trunk has nothing to see.
func (s *Stage) Passes(st *hal.Stream) bool { return rawTrack(st) < 0 }

func rawTrack(st *hal.Stream) int {
	return slices.IndexFunc(st.Tracks, func(t hal.Track) bool { return t.Codec == hal.Raw })
}

// Open implements pipeline.Stage.
func (s *Stage) Open(_ context.Context, env pipeline.Env) error {
	if err := s.watch.cfg.Validate(); err != nil {
		return fmt.Errorf("%w: motion: %w", hal.ErrUnsupported, err)
	}
	if s.trunk && env.Out == nil {
		return fmt.Errorf("stage %s: it passes frames on, so it must stand in the trunk", s.Name())
	}
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	if env.Clock == nil {
		env.Clock = hal.NewClock()
	}
	s.env = env
	s.forget()
	return nil
}

// Work implements pipeline.Stage.
func (s *Stage) Work(ctx context.Context, f hal.Frame) error {
	if f.Stream != s.stream {
		s.stream = f.Stream
		s.learn()
	}
	if s.sees(f) {
		s.look(ctx, f)
	}
	if s.trunk {
		return s.env.Out(f)
	}
	f.Release()
	return nil
}

// Flush implements pipeline.Stage: what comes after another run may look different, and may not
// be raw.
func (s *Stage) Flush(context.Context) error {
	s.forget()
	if s.trunk {
		s.watch.mu.Lock()
		s.watch.raw = false
		s.watch.mu.Unlock()
	}
	return nil
}

func (s *Stage) forget() {
	s.stream, s.found, s.next, s.last = nil, New(s.watch.cfg), 0, 0
}

// Close implements pipeline.Stage.
func (s *Stage) Close() error { return nil }

// Stats implements pipeline.Counting.
func (s *Stage) Stats() any {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	return s.watch.stats
}

// learn notes what the stream has to see.
func (s *Stage) learn() {
	w := s.watch
	w.mu.Lock()
	if s.trunk {
		w.raw = rawTrack(s.stream) >= 0
		w.stats.Sees, w.stats.Why = hal.Raw.String(), ""
		w.mu.Unlock()
		return
	}
	v, raw := s.stream.Video(), w.raw
	s.blind = false
	if !raw && v >= 0 {
		w.stats.Sees, w.stats.Why = s.stream.Tracks[v].Codec.String(), ""
	}
	w.mu.Unlock()
	if !raw && v >= 0 && w.keys == nil && s.stream.Tracks[v].Codec != hal.MJPEG {
		s.giveUp(fmt.Errorf("%s is not decoded here: motion is found in raw pictures and JPEGs", s.stream.Tracks[v].Codec))
	}
}

// giveUp leaves a stream alone that cannot be seen, and says so once.
func (s *Stage) giveUp(cause error) {
	w, why := s.watch, cause.Error()
	s.blind = true
	w.mu.Lock()
	w.stats.Sees, w.stats.Why = "", why
	again := w.said == why
	w.said = why
	w.mu.Unlock()
	if !again {
		s.env.Log.Warn("no motion will be found", "cause", why, "remedy", "let the camera tell of motion itself, and pass it on: POST /v1/channels/NAME/events")
	}
}

// sees says whether a frame is looked at.
func (s *Stage) sees(f hal.Frame) bool {
	codec := f.Info().Codec
	switch {
	case f.Stamp.Mono < s.next || s.trunk != (codec == hal.Raw):
		return false
	case s.trunk:
		return true
	}
	return !s.blind && codec.IsVideo() && (f.Key || !codec.IsInter()) && !s.watch.seesRaw()
}

// look looks at a picture.
func (s *Stage) look(ctx context.Context, f hal.Frame) {
	w := s.watch
	l, picture, took, err := s.brightness(ctx, f)
	defer picture.Release()
	switch {
	case err != nil && ctx.Err() != nil:
		return
	case err != nil && f.Info().Codec.IsInter() && cannot(err):
		s.giveUp(err)
		return
	}
	s.next = f.Stamp.Mono + s.pause(f, took)
	var v Verdict
	if err == nil {
		v = s.found.Look(l, f.Stamp.Mono)
	}
	s.note(f.Stamp.Mono, v, took, err)
	if v.Began || v.Moving && v.Area >= w.cfg.Area && f.Stamp.Mono-s.told >= again {
		s.told = f.Stamp.Mono
		w.on(f.Stamp.Mono)
	}
}

// pause is how long after a picture the next one is looked at. Key frames come at an interval of
// their own: one that is a little early is not missed.
func (s *Stage) pause(f hal.Frame, took time.Duration) int64 {
	pause := time.Duration(float64(time.Second) / s.watch.cfg.Rate)
	if f.Info().Codec.IsInter() {
		pause = max(pause*3/4, thrift*took)
	}
	return int64(pause)
}

// note keeps what a look found. A picture that was to be looked at and could not be found leaves
// the verdict on the one before alone.
func (s *Stage) note(mono int64, v Verdict, took time.Duration, err error) {
	w := s.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	st := &w.stats
	st.Looks++
	if v.Began {
		st.Motions++
	}
	st.Decode = float64(took.Microseconds()) / 1000
	if s.last != 0 {
		st.Every = float64((mono-s.last)/int64(time.Millisecond)) / 1000
	}
	s.last = mono
	if st.Why = ""; err != nil {
		st.Broken++
		st.Why = err.Error()
		return
	}
	st.Moving, st.Area = v.Moving, v.Area
}

// brightness returns what a look needs of a frame, the picture that it lies in where one was
// made, which is the caller's, and what decoding took.
func (s *Stage) brightness(ctx context.Context, f hal.Frame) (l Luma, made hal.Frame, took time.Duration, err error) {
	t := f.Info()
	if t.Codec == hal.Raw {
		l, err = raw(t, f)
		return l, made, took, err
	}
	if t.Codec == hal.MJPEG {
		began := s.env.Clock.Mono()
		l, err = s.decode(f)
		return l, made, time.Duration(s.env.Clock.Mono() - began), err
	}
	if made, took, err = s.watch.keys.decode(ctx, f, s.env.Clock); err == nil {
		l, err = raw(made.Info(), made)
	}
	return l, made, took, err
}

func (w *Watch) seesRaw() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.raw
}

// raw returns the brightness of a raw picture where it lies.
func raw(t *hal.Track, f hal.Frame) (Luma, error) {
	p, err := pixel.View(t, f.Buf)
	if err != nil {
		return Luma{}, err
	}
	l := Luma{Pixels: p.Plane[0], Width: p.Width, Height: p.Height, Stride: p.Stride[0], Step: 1}
	switch p.Format {
	case hal.YUYV:
		l.Step = 2
	case hal.UYVY:
		l.Step, l.Pixels = 2, l.Pixels[1:]
	case hal.I420, hal.NV12, hal.NV21, hal.NM12, hal.YM12, hal.PixelUnknown:
	}
	return l, nil
}

// maxPixels bounds what a JPEG can make us decode: 8K.
const maxPixels = 7680 * 4320

// decode returns the brightness of a JPEG, decoded by Go's own library.
func (s *Stage) decode(f hal.Frame) (Luma, error) {
	s.jpeg.Reset(f.Buf.Bytes())
	head, err := jpeg.DecodeConfig(&s.jpeg)
	if err != nil {
		return Luma{}, err
	}
	if head.Width*head.Height > maxPixels {
		return Luma{}, fmt.Errorf("a JPEG of %dx%d", head.Width, head.Height)
	}
	s.jpeg.Reset(f.Buf.Bytes())
	img, err := jpeg.Decode(&s.jpeg)
	if err != nil {
		return Luma{}, err
	}
	switch p := img.(type) {
	case *image.YCbCr:
		return Luma{Pixels: p.Y, Width: p.Rect.Dx(), Height: p.Rect.Dy(), Stride: p.YStride, Step: 1}, nil
	case *image.Gray:
		return Luma{Pixels: p.Pix, Width: p.Rect.Dx(), Height: p.Rect.Dy(), Stride: p.Stride, Step: 1}, nil
	}
	return Luma{}, fmt.Errorf("a JPEG of %T", img)
}
