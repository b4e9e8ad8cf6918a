package catalog_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/record"
)

var (
	_ record.Catalog = (*catalog.Catalog)(nil)
	_ record.Space   = (*catalog.Catalog)(nil)
)

// house is a data folder and the catalog that runs in it.
type house struct {
	*catalog.Catalog

	t    *testing.T
	cfg  catalog.Config
	logs *logs
	stop context.CancelFunc
	done chan error
}

// logs is what was logged so far, while it is being logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// open opens a catalog, on a disk of which nothing has to stay free.
func open(t *testing.T, cfg catalog.Config) *house {
	t.Helper()
	if cfg.MinFree == 0 {
		cfg.MinFree = -1
	}
	return openAs(t, cfg)
}

// openAs opens a catalog and starts its worker.
func openAs(t *testing.T, cfg catalog.Config) *house {
	t.Helper()
	h := &house{t: t, logs: &logs{}, done: make(chan error, 1)}
	if cfg.Data == "" {
		cfg.Data = t.TempDir()
	}
	if cfg.Clock == nil {
		cfg.Clock = hal.NewClock()
	}
	if cfg.Synchronised == nil {
		cfg.Synchronised = func() bool { return true }
	}
	if cfg.Salvage == nil {
		cfg.Salvage = measure
	}
	cfg.Logger = slog.New(slog.NewTextHandler(h.logs, &slog.HandlerOptions{Level: slog.LevelInfo}))
	h.cfg = cfg
	var err error
	h.Catalog, err = catalog.Open(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	go func() { h.done <- h.Run(ctx) }()
	t.Cleanup(func() { h.close() })
	return h
}

// measure stands in for record.Salvage where the files are no real ones.
func measure(path string) (record.Salvaged, error) {
	info, err := os.Stat(path)
	if err != nil {
		return record.Salvaged{}, err
	}
	return record.Salvaged{Path: path, Segment: record.Segment{Bytes: info.Size(), Length: time.Second}}, nil
}

// close ends the catalog in order; the house can be opened again with its cfg.
func (h *house) close() {
	h.t.Helper()
	if h.stop == nil {
		return
	}
	h.stop()
	h.stop = nil
	require.NoError(h.t, <-h.done)
}

// again closes the catalog and opens it anew, as another program.
func (h *house) again() *house {
	h.close()
	return open(h.t, h.cfg)
}

func (h *house) flush() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(h.t, h.Flush(ctx))
}

// at is an instant that much after the program's start.
func (h *house) at(base int64, d time.Duration) record.Instant {
	return record.Instant{Mono: base + int64(d), Wall: h.cfg.Clock.Wall(base + int64(d)).UnixNano(), Anchor: h.cfg.Clock.Anchor().Number}
}

// segment is a file that is really there.
func (h *house) segment(channel string, number uint64, start record.Instant, length time.Duration, size int) record.Segment {
	h.t.Helper()
	name := fmt.Sprintf("%08d-%s.mp4", number, start.Time().Format("20060102T150405Z"))
	dir := filepath.Join(h.cfg.Data, channel)
	require.NoError(h.t, os.MkdirAll(dir, 0o755))
	require.NoError(h.t, os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600))
	return record.Segment{Number: number, Recording: number, File: name, Start: start, Length: length, Bytes: int64(size), Tracks: []string{"h264 1920x1080"}, EndedBy: "it was full"}
}

// record enters a segment from its beginning to its end.
func (h *house) record(channel string, s record.Segment) {
	opened := s
	opened.Length, opened.EndedBy = 0, ""
	h.Enter(record.Entry{Kind: record.Opened, Channel: channel, Segment: &opened})
	h.Enter(record.Entry{Kind: record.Closed, Channel: channel, Segment: &s})
}

// all is the whole time line.
func (h *house) all(channel string) catalog.Timeline {
	h.t.Helper()
	t, err := h.Timeline(channel, time.Unix(-1<<32, 0), time.Unix(1<<33, 0))
	require.NoError(h.t, err)
	return t
}

func (h *house) dump() string {
	h.t.Helper()
	var b bytes.Buffer
	require.NoError(h.t, h.Dump(&b))
	return b.String()
}
