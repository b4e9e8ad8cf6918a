package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/stages/record"
)

// smallDisk mounts an ext4 of 64 MB. The test is skipped where that cannot be done.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	image, dir := filepath.Join(t.TempDir(), "disk"), t.TempDir()
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, 64<<20))
	for _, command := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, dir}} {
		if text, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no loop devices here: %v: %s", err, text)
		}
	}
	t.Cleanup(func() {
		require.NoError(t, syscall.Unmount(dir, 0))
	})
	return dir
}

// camera64 writes segments as a recorder does: where the disk is full it asks for room.
type camera64 struct {
	h    *house
	name string
	made uint64
	full int
}

func (c *camera64) segment(size int) error {
	c.made++
	start := c.h.at(c.h.cfg.Clock.Mono(), 0)
	name := fmt.Sprintf("%08d-%s.mp4", c.made, start.Time().Format("20060102T150405Z"))
	dir := filepath.Join(c.h.cfg.Data, c.name)
	var f *os.File
	err := c.write(dir, func() (err error) {
		if err = os.MkdirAll(dir, 0o755); err == nil {
			f, err = os.Create(filepath.Join(dir, name))
		}
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	s := record.Segment{Number: c.made, Recording: 1, File: name, Start: start}
	opened := s
	c.h.Enter(record.Entry{Kind: record.Opened, Channel: c.name, Segment: &opened})
	part := make([]byte, 32<<10)
	for s.Bytes < int64(size) {
		err := c.write(dir, func() error {
			_, err := f.WriteAt(part, s.Bytes)
			return err
		})
		if err != nil {
			return err
		}
		s.Bytes += int64(len(part))
	}
	s.Length = time.Duration(c.h.cfg.Clock.Mono() - start.Mono)
	c.h.Enter(record.Entry{Kind: record.Closed, Channel: c.name, Segment: &s})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.h.Flush(ctx); !errors.Is(err, syscall.ENOSPC) { // a camera takes longer than a batch for a segment
		return err
	}
	return nil
}

// write tries again while there is room to be had.
func (c *camera64) write(dir string, do func() error) error {
	for {
		err := do()
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		c.full++
		if err := c.h.Reclaim(dir, 32<<10); err != nil {
			return err
		}
	}
}

// Four cameras on a disk of 64 MB that is full: no channel stops, the oldest goes first, what is
// pinned stays.
func TestFullDisk(t *testing.T) { // R7, must-show 3
	for _, tc := range []struct {
		name   string
		budget catalog.Budget
	}{
		{"only a full disk says stop", catalog.Budget{MinFree: -1}},
		{"space stays free", catalog.Budget{}},
		{"a budget", catalog.Budget{MaxBytes: 30_000_000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const size = 512 << 10
			files, until := 60, time.Now()
			if os.Getenv("MILLRACE_TORTURE") != "" {
				until = until.Add(3 * time.Minute)
			}
			dir := smallDisk(t)
			var channels []catalog.Channel
			for n := range 4 {
				channels = append(channels, catalog.Channel{Name: fmt.Sprintf("cam%d", n)})
			}
			tc.budget.Tick = 50 * time.Millisecond
			h := openAs(t, catalog.Config{Data: dir, Channels: channels, Budget: tc.budget})
			cameras := make([]*camera64, len(channels))
			for n, ch := range channels {
				cameras[n] = &camera64{h: h, name: ch.Name}
			}
			require.NoError(t, cameras[0].segment(size))
			h.flush()
			first := h.all("cam0").Segments[0]
			require.NoError(t, h.Pin("cam0", first.Start.Time(), first.End().Time(), time.Time{}, "an event"))

			var all sync.WaitGroup
			errs := make([]error, len(cameras))
			for n, c := range cameras {
				all.Go(func() {
					for i := 0; (i < files || time.Now().Before(until)) && errs[n] == nil; i++ {
						errs[n] = c.segment(size)
					}
				})
			}
			all.Wait()
			for n, c := range cameras {
				require.NoError(t, errs[n], "no channel stops")
				t.Logf("%s: %d files, met a full disk %d times", c.name, c.made, c.full)
				if tc.budget.MinFree < 0 {
					continue
				}
				require.Zero(t, c.full, "it never came to that")
			}
			h.flush()
			h.flush()
			held := int64(0)
			for n, c := range cameras {
				line := h.all(c.name)
				if n == 0 {
					require.True(t, line.Segments[0].Pinned)
					require.Equal(t, uint64(1), line.Segments[0].Number, "the event stays")
					held += line.Segments[0].Bytes
					line.Segments = line.Segments[1:]
				}
				for i, s := range line.Segments {
					require.FileExists(t, s.Path)
					require.Equal(t, c.made-uint64(len(line.Segments)-1-i), s.Number, "the oldest went first")
					held += s.Bytes
				}
			}
			if most := tc.budget.MaxBytes; most > 0 {
				require.InDelta(t, most, held, size, "the budget holds to a segment")
			}
			sum := h.Account(h.all("cam1"))
			total := sum.Recorded
			for _, d := range sum.Missing {
				total += d
			}
			require.Equal(t, sum.Elapsed, total)
			require.Zero(t, sum.Unaccounted)
			h.close()
		})
	}
}
