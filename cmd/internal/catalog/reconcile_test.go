package catalog_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/stages/record"
)

func TestWhatWasOpenIsRepaired(t *testing.T) { // R3
	h := open(t, catalog.Config{Channels: []catalog.Channel{{Name: "gate"}}})
	s := h.segment("gate", 1, h.at(h.cfg.Clock.Mono(), 0), 0, 500)
	h.Enter(record.Entry{Kind: record.Opened, Channel: "gate", Segment: &s})
	h.flush()
	require.True(t, h.all("gate").Segments[0].Open)
	h = h.again()
	line := h.all("gate")
	require.False(t, line.Segments[0].Open)
	require.Equal(t, time.Second, line.Segments[0].Length)
	require.Equal(t, int64(500), line.Segments[0].Bytes)
	require.Contains(t, h.logs.String(), "a file that was open is repaired")
}

func TestFilesThatCameAndWent(t *testing.T) { // R6
	h := open(t, catalog.Config{Channels: []catalog.Channel{{Name: "gate"}}})
	base := h.cfg.Clock.Mono()
	var paths []string
	for n := range uint64(6) {
		s := h.segment("gate", n+1, h.at(base, time.Duration(n)*minute), minute, 100)
		h.record("gate", s)
		paths = append(paths, filepath.Join(h.cfg.Data, "gate", s.File))
	}
	h.flush()
	h.close()
	require.NoError(t, os.Remove(paths[0]))
	require.NoError(t, os.Remove(paths[3]))
	h.segment("gate", 7, h.at(base, 6*minute), minute, 100) // nobody entered it
	h = open(t, h.cfg)
	require.Equal(t, []uint64{2, 3, 5, 6, 7}, h.numbers("gate"))
	require.Equal(t, uint64(7), h.LastNumber("gate"))
	before := h.dump()
	h = h.again()
	require.Equal(t, before, h.dump(), "there is nothing more to do")
	h.rebuilt(before)
}

func TestMergedBeforeTheCatalogWasTold(t *testing.T) { // R4
	h := open(t, catalog.Config{Channels: []catalog.Channel{{Name: "gate"}}})
	base := h.cfg.Clock.Mono()
	var parts []string
	for n := range uint64(3) {
		s := h.segment("gate", n+1, h.at(base, time.Duration(n)*minute), minute, 100)
		s.Recording = 1
		h.record("gate", s)
		parts = append(parts, filepath.Join(h.cfg.Data, "gate", s.File))
	}
	h.flush()
	h.close()
	merged := parts[0][:len(parts[0])-4] + ".merged.mp4"
	require.NoError(t, os.WriteFile(merged, make([]byte, 300), 0o600))
	for _, p := range parts {
		require.NoError(t, os.Remove(p))
	}
	h.cfg.Salvage = func(path string) (record.Salvaged, error) {
		s, err := measure(path)
		s.Segment.Length = 3 * minute
		return s, err
	}
	h = open(t, h.cfg)
	line := h.all("gate")
	require.Len(t, line.Segments, 1)
	require.Equal(t, []uint64{1, 2, 3}, line.Segments[0].Parts)
	require.Equal(t, merged, line.Segments[0].Path)
	require.Equal(t, 3*minute, line.Segments[0].Length)
}
