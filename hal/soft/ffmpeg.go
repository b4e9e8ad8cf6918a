package soft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

const (
	ffmpegPatience = 5 * time.Second // for a unit to be taken, and for the rest at the end
	ffmpegHolds    = 64              // units without a picture at most: more than any codec needs
	ffmpegStart    = 10_000          // ms of the first unit: those shown before it have a time too
)

// ffmpegStream decodes a stream by an ffmpeg process, from a key frame until it is drained.
type ffmpegStream struct {
	program string
	cfg     hal.DecoderConfig
	unit    []byte
	track   hal.Track // of the units
	stream  *hal.Stream
	process *ffmpegProcess // nil: begins with the next key frame
}

var _ hal.Decoder = (*ffmpegStream)(nil)

func (d Driver) openFFmpeg(cfg hal.DecoderConfig) (hal.Decoder, error) {
	name := d.FFmpeg
	if name == "" {
		name = "ffmpeg"
	}
	program, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("%w: ffmpeg: install Debian's ffmpeg", hal.ErrNoDevice)
	}
	return &ffmpegStream{program: program, cfg: cfg}, nil
}

// Decode implements hal.Decoder.
func (s *ffmpegStream) Decode(ctx context.Context, f hal.Frame, each func(hal.Frame) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.process == nil {
		if !f.Key {
			return nil
		}
		if err := s.begin(ctx, f); err != nil {
			return err
		}
	}
	if err := s.send(ctx, f); err != nil {
		return errors.Join(err, s.Close())
	}
	return s.hand(each)
}

func (s *ffmpegStream) begin(ctx context.Context, f hal.Frame) error {
	t := *f.Info()
	if t.Width <= 0 || t.Height <= 0 || t.Width*t.Height > maxDecoded {
		return fmt.Errorf("%w: pictures of %dx%d are not decoded here: at most %d pixels", hal.ErrUnsupported, t.Width, t.Height, maxDecoded)
	}
	if s.stream == nil || !s.track.Equal(t) {
		s.track = t
		colour := t.Colour
		colour.FullRange = true
		s.stream = &hal.Stream{Tracks: []hal.Track{{
			Codec: hal.MJPEG, TimeScale: t.TimeScale, Width: t.Width &^ 1, Height: t.Height &^ 1, FrameRate: t.FrameRate, Colour: colour,
		}}}
	}
	p, err := startFFmpeg(ctx, s.program, s.cfg.Quality, f.Stamp.PTS)
	if err != nil {
		return err
	}
	s.process = p
	return p.write(matroskaHead(&t))
}

// send gives the process a unit, the parameter sets before a key frame.
func (s *ffmpegStream) send(ctx context.Context, f hal.Frame) error {
	p, t := s.process, f.Info()
	at := ffmpegStart + int64(math.Round((f.Stamp.PTS-p.first).Seconds()*1000))
	if at < 0 {
		return fmt.Errorf("%w: a unit %s before the first", errUndecoded, p.first-f.Stamp.PTS)
	}
	s.unit = append(s.unit[:0], make([]byte, clusterHead)...)
	switch {
	case t.Codec == hal.AV1 && f.Key:
		s.unit = append(append(s.unit, t.SPS...), f.Buf.Bytes()...)
	case t.Codec == hal.AV1:
		s.unit = append(s.unit, f.Buf.Bytes()...)
	default:
		sets := [][]byte{t.VPS, t.SPS, t.PPS}
		if !f.Key {
			sets = nil
		}
		s.unit = appendStream(s.unit, sets, f.Buf.Bytes())
	}
	matroskaUnit(s.unit, uint64(at), f.Key)                    //nolint:gosec // not negative
	if err := p.expect(ctx, uint64(at), f.Stamp); err != nil { //nolint:gosec // as above
		return err
	}
	return p.write(s.unit)
}

// appendStream appends units with start codes.
func appendStream(out []byte, sets [][]byte, unit []byte) []byte {
	for _, set := range sets {
		if len(set) > 0 {
			out = append(append(out, 0, 0, 0, 1), set...)
		}
	}
	for walk := nal.Prefixed(unit); ; {
		u, ok := walk.Next()
		if !ok {
			return out
		}
		out = append(append(out, 0, 0, 0, 1), u...)
	}
}

// hand passes on what the process has made.
func (s *ffmpegStream) hand(each func(hal.Frame) error) error {
	for _, one := range s.process.take() {
		buf, err := s.cfg.Arena.Get(len(one.file))
		if err != nil {
			return err
		}
		copy(buf.Bytes(), one.file)
		if err = each(hal.Frame{Buf: buf, Stream: s.stream, Stamp: one.stamp, Key: true}); err != nil {
			return err
		}
	}
	return nil
}

// Drain implements hal.Decoder.
func (s *ffmpegStream) Drain(_ context.Context, each func(hal.Frame) error) error {
	if s.process == nil {
		return nil
	}
	err := s.process.finish()
	err = errors.Join(err, s.hand(each))
	s.process = nil
	return err
}

// Close implements hal.Decoder.
func (s *ffmpegStream) Close() error {
	if s.process != nil {
		s.process.kill()
		s.process = nil
	}
	return nil
}

// ffmpegProcess is one process and what it has made.
type ffmpegProcess struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	cancel context.CancelFunc
	dog    *time.Timer // ends the process when it takes nothing
	first  time.Duration
	moved  chan struct{} // has a token where a picture came

	mu     sync.Mutex
	said   []byte // the beginning of what it complains of
	stamps map[uint64]hal.Stamp
	ready  []decodedFile
}

type decodedFile struct {
	stamp hal.Stamp
	file  []byte
}

// startFFmpeg starts a process, which outlives ctx.
func startFFmpeg(ctx context.Context, program string, quality int, first time.Duration) (*ffmpegProcess, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &ffmpegProcess{cancel: cancel, first: first, moved: make(chan struct{}, 1), stamps: map[uint64]hal.Stamp{}}
	p.cmd = exec.CommandContext(ctx, program, "-v", "error", "-protocol_whitelist", "pipe", "-analyzeduration", "0", "-probesize", "32", "-fpsprobesize", "0",
		"-threads", "1", "-max_pixels", strconv.Itoa(maxDecoded), "-copyts", "-f", "matroska", "-i", "pipe:0", "-an",
		"-vf", "scale=trunc(iw/2)*2:trunc(ih/2)*2:out_range=full,format=yuvj420p", "-fps_mode", "passthrough", "-enc_time_base", "1:1000",
		"-c:v", "mjpeg", "-strict", "-1", "-q:v", strconv.Itoa(quantiser(quality)), "-f", "mp4", "-video_track_timescale", "1000", "-avoid_negative_ts", "disabled",
		"-movflags", "frag_every_frame+empty_moov+default_base_moof+frag_discont", "-flush_packets", "1", "pipe:1") //nolint:gosec // the program of the configuration
	p.cmd.Env = []string{"LC_ALL=C"}
	p.cmd.WaitDelay = time.Second
	p.cmd.Stdout, p.cmd.Stderr = &fragments{each: p.made}, complaints{p}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start ffmpeg: %w", err)
	}
	p.dog = time.AfterFunc(ffmpegPatience, cancel)
	p.dog.Stop()
	return p, nil
}

// quantiser is ffmpeg's step for JPEG, 2 to 31, that is nearest to a quality as libjpeg has it: an
// eighth of a step scales the tables by as much as a hundredth does there.
func quantiser(quality int) int {
	percent := 200 - 2*quality
	if quality < 50 {
		percent = 5000 / max(1, quality)
	}
	return min(31, max(2, int(math.Round(float64(percent)/12.5))))
}

// write hands bytes over, in so much time.
func (p *ffmpegProcess) write(b []byte) error {
	p.dog.Reset(ffmpegPatience)
	defer p.dog.Stop()
	if _, err := p.in.Write(b); err != nil {
		return fmt.Errorf("%w: ffmpeg took no more: %w: %s", errUndecoded, err, p.complaint())
	}
	return nil
}

// expect notes whose picture one of that time is. Where the process is too far behind it waits.
func (p *ffmpegProcess) expect(ctx context.Context, at uint64, stamp hal.Stamp) error {
	var late <-chan time.Time
	for {
		p.mu.Lock()
		room := len(p.stamps) < ffmpegHolds
		if room {
			p.stamps[at] = stamp
		}
		p.mu.Unlock()
		if room {
			return nil
		}
		if late == nil {
			timer := time.NewTimer(ffmpegPatience)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-p.moved:
		case <-late:
			return fmt.Errorf("%w: ffmpeg makes no picture of %d units: %s", errUndecoded, ffmpegHolds, p.complaint())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// made is where pictures arrive, in the order in which they are shown.
func (p *ffmpegProcess) made(at uint64, file []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if stamp, ok := p.stamps[at]; ok {
		p.ready = append(p.ready, decodedFile{stamp, file})
	}
	select {
	case p.moved <- struct{}{}:
	default:
	}
	maps.DeleteFunc(p.stamps, func(of uint64, _ hal.Stamp) bool { return of <= at }) // what was passed over does not come any more
	return nil
}

func (p *ffmpegProcess) take() []decodedFile {
	p.mu.Lock()
	defer p.mu.Unlock()
	ready := p.ready
	p.ready = nil
	return ready
}

// finish lets the process make what it holds back.
func (p *ffmpegProcess) finish() error {
	p.dog.Reset(ffmpegPatience)
	defer p.dog.Stop()
	defer p.cancel()
	err := p.in.Close()
	if err = errors.Join(err, p.cmd.Wait()); err != nil {
		return fmt.Errorf("%w: ffmpeg: %w: %s", errUndecoded, err, p.complaint())
	}
	return nil
}

func (p *ffmpegProcess) kill() {
	p.dog.Stop()
	p.cancel()
	_ = p.in.Close() //nolint:errcheck // it is killed
	_ = p.cmd.Wait() //nolint:errcheck // as above
}

func (p *ffmpegProcess) complaint() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(strings.Fields(string(p.said)), " ")
}

// complaints keeps the beginning of what a process says.
type complaints struct{ p *ffmpegProcess }

const maxSaid = 400

func (c complaints) Write(b []byte) (int, error) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.said = append(c.p.said, b[:min(len(b), maxSaid-len(c.p.said))]...)
	return len(b), nil
}
