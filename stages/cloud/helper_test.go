package cloud_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/cloud"
	"github.com/millrace-video/millrace/stages/pack/packtest"
)

// bucket is a store behind a link that a test makes slow, breaks and looks into.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
	puts    []string // keys of attempts, as they began
	classes map[string]cloud.Class
	fault   func(key string) error // before anything is sent
	pace    func(n int)            // waits as long as n bytes take
	stop    chan struct{}          // non-nil: attempts hang until it is closed or ctx ends
	missing []string               // segments that a playlist named before they were there
}

func newBucket() *bucket {
	return &bucket{objects: map[string][]byte{}, classes: map[string]cloud.Class{}}
}

func (b *bucket) read(ctx context.Context, c cloud.Class, key string, body *io.SectionReader) ([]byte, error) {
	b.mu.Lock()
	b.puts = append(b.puts, key)
	b.classes[key] = c
	fault, pace, stop := b.fault, b.pace, b.stop
	b.mu.Unlock()
	if stop != nil {
		select {
		case <-stop:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if fault != nil {
		if err := fault(key); err != nil {
			return nil, err
		}
	}
	all := make([]byte, 0, body.Size())
	from := io.NewSectionReader(body, 0, body.Size())
	for piece := make([]byte, 1<<10); ; {
		n, err := from.Read(piece)
		if n > 0 && pace != nil {
			pace(n)
		}
		all = append(all, piece[:n]...)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
	}
}

var errOther = errors.New("other bytes lie there")

func (b *bucket) Put(ctx context.Context, c cloud.Class, key, _ string, body *io.SectionReader) error {
	all, err := b.read(ctx, c, key, body)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if was, ok := b.objects[key]; ok && !bytes.Equal(was, all) {
		return errOther
	}
	b.objects[key] = all
	return nil
}

func (b *bucket) Replace(ctx context.Context, c cloud.Class, key, _ string, body *io.SectionReader) error {
	all, err := b.read(ctx, c, key, body)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[key] = all
	for _, uri := range uris(all) {
		at := filepath.ToSlash(filepath.Join(filepath.Dir(key), uri))
		if _, ok := b.objects[at]; !ok {
			b.missing = append(b.missing, at)
		}
	}
	return nil
}

func (b *bucket) List(ctx context.Context, prefix string, each func(string, int64) error) error {
	b.mu.Lock()
	fault := b.fault
	var found []string
	for key := range b.objects {
		if strings.HasPrefix(key, prefix) {
			found = append(found, key)
		}
	}
	b.mu.Unlock()
	if fault != nil {
		if err := fault(prefix); err != nil {
			return err
		}
	}
	slices.Sort(found)
	for _, key := range found {
		if err := each(key, 0); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// uris returns what a playlist names.
func uris(playlist []byte) (all []string) {
	for line := range strings.Lines(string(playlist)) {
		line = strings.TrimSpace(line)
		if _, rest, ok := strings.Cut(line, `#EXT-X-MAP:URI="`); ok {
			all = append(all, strings.TrimSuffix(rest, `"`))
		} else if line != "" && line[0] != '#' {
			all = append(all, line)
		}
	}
	return all
}

// keys returns what is in the bucket under a part of a key, sorted.
func (b *bucket) keys(part string) (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key := range b.objects {
		if strings.Contains(key, part) {
			all = append(all, key)
		}
	}
	slices.Sort(all)
	return all
}

func (b *bucket) object(key string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.objects[key])
}

func (b *bucket) set(change func(b *bucket)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

// folder writes the bucket's objects as files.
func (b *bucket) folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, body := range b.objects {
		path := filepath.Join(dir, filepath.FromSlash(key))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, body, 0o600))
	}
	return dir
}

// site is a Cloud with one channel whose branch a test feeds.
type site struct {
	t      *testing.T
	bucket *bucket
	clock  *hal.Clock
	cloud  *cloud.Cloud
	ch     *cloud.Channel
	branch *cloud.Branch
	arena  *pool.Arena
	log    *lines
	wanted []bool
	lost   []cloud.Lost
	marks  int
	offset time.Duration
	run    uint32
	next   int // of invented frames
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// build makes a site that is not initialised.
func build(t *testing.T, b *bucket, cfg cloud.Config, channel cloud.ChannelConfig) *site {
	t.Helper()
	p, err := pool.NewPool(64)
	require.NoError(t, err)
	w, err := p.Reserve(cloud.Share(cfg.Parallel))
	require.NoError(t, err)
	s := &site{t: t, bucket: b, clock: hal.NewClock(), arena: pool.NewArena(pool.ArenaConfig{}), log: &lines{}}
	cfg.Store, cfg.Workers, cfg.Clock = b, w, s.clock
	cfg.Log = slog.New(slog.NewTextHandler(s.log, nil))
	cfg.Stream = func(_ string, wanted bool) { s.wanted = append(s.wanted, wanted) }
	cfg.Lost = func(l cloud.Lost) { s.lost = append(s.lost, l) }
	s.cloud, err = cloud.New(cfg)
	require.NoError(t, err)
	s.ch, err = s.cloud.Channel("gate", channel)
	require.NoError(t, err)
	s.branch = s.ch.Branch()
	t.Cleanup(func() {
		w.Wait()
		w.Close()
		require.NoError(t, p.Close(5*time.Second))
		require.Zero(t, s.arena.Stats().Held, "frames never released")
	})
	return s
}

// beside adds a channel, before Init.
func (s *site) beside(name string, cfg cloud.ChannelConfig) *site {
	s.t.Helper()
	other := *s
	var err error
	other.ch, err = s.cloud.Channel(name, cfg)
	require.NoError(s.t, err)
	other.branch = other.ch.Branch()
	return &other
}

// start makes a site whose branch is open.
func start(t *testing.T, b *bucket, cfg cloud.Config, channel cloud.ChannelConfig) *site {
	t.Helper()
	s := build(t, b, cfg, channel)
	s.open()
	return s
}

func (s *site) open() {
	s.t.Helper()
	require.NoError(s.t, s.cloud.Init(s.t.Context()))
	require.NoError(s.t, s.branch.Open(s.t.Context(), s.env()))
}

func (s *site) env() pipeline.Env {
	return pipeline.Env{Channel: "gate", Clock: s.clock, Log: slog.New(slog.NewTextHandler(s.log, nil)), Mark: func() { s.marks++ }}
}

// feed gives the branch a clip whose first frame is of now.
func (s *site) feed(c *packtest.Clip) {
	s.t.Helper()
	base := s.clock.Mono()
	for i := range c.Units {
		f := c.Frame(s.t, s.arena, i)
		f.Stamp.Mono = base + int64(f.Stamp.DTS)
		f.Stamp.DTS += s.offset
		f.Stamp.PTS += s.offset
		f.Stamp.Run = s.run
		require.NoError(s.t, s.branch.Work(s.t.Context(), f))
	}
}

// stop flushes and closes the branch.
func (s *site) stop() {
	s.t.Helper()
	require.NoError(s.t, s.branch.Flush(s.t.Context()))
	require.NoError(s.t, s.branch.Close())
}

// exit ends all in order.
func (s *site) exit() {
	s.t.Helper()
	s.stop()
	left, err := s.cloud.Exit(s.t.Context(), false)
	require.NoError(s.t, err)
	require.False(s.t, left.Any(), "%+v", left)
}

// camera is 12 s of H.264 with a key frame each second, and AAC.
func camera(t *testing.T) *packtest.Clip {
	t.Helper()
	return packtest.Encode(t, "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=12", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=12",
		"-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-keyint_min", "25", "-sc_threshold", "0", "-bf", "2", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k")
}

// second feeds a second of invented video: a key frame and three more pictures of size bytes
// altogether, that begins at the clock's now where mono is 0.
func (s *site) second(size int) {
	s.t.Helper()
	at := time.Duration(s.next) * time.Second
	now := s.clock.Mono()
	for i := range 4 {
		n := size / 4
		b, err := s.arena.Get(n)
		require.NoError(s.t, err)
		copy(b.Bytes(), fmt.Sprintf("\x00\x00\x00\x05\x65picture %d/%d", s.next, i))
		dts := at + time.Duration(i)*250*time.Millisecond + s.offset
		require.NoError(s.t, s.branch.Work(s.t.Context(), hal.Frame{
			Buf: b, Stream: invented(), Key: i == 0, Stamp: hal.Stamp{DTS: dts, PTS: dts, Run: s.run, Mono: now + int64(i)*int64(250*time.Millisecond)},
		}))
	}
	s.next++
}

var theStream = &hal.Stream{Tracks: []hal.Track{{
	Codec: hal.H264, TimeScale: 90000, Width: 320, Height: 240, FrameRate: 4,
	SPS: []byte{0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xe8, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0c, 0xa3, 0xc5, 0x0a, 0xa8},
	PPS: []byte{0x68, 0xce, 0x3c, 0x80},
}}}

func invented() *hal.Stream { return theStream }
