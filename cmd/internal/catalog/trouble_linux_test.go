package catalog_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
)

// A file system that aborts, as ext4 does after an error of its disk, is read-only from then on.
func TestDiskThatTurnsReadOnly(t *testing.T) { // R7: an alarm, and nothing is lost in memory
	dir := smallDisk(t)
	h := open(t, catalog.Config{Data: dir, Channels: []catalog.Channel{{Name: "gate"}}, Budget: catalog.Budget{Tick: 20 * time.Millisecond}})
	base := h.cfg.Clock.Mono()
	h.record("gate", h.segment("gate", 1, h.at(base, 0), minute, 100))
	second := h.segment("gate", 2, h.at(base, minute), minute, 100)
	h.flush()
	require.Equal(t, []uint64{1}, h.numbers("gate"))
	if err := syscall.Mount("none", dir, "", syscall.MS_REMOUNT, "abort"); err != nil {
		t.Skip("this kernel aborts no file system on command:", err)
	}
	h.record("gate", second)
	require.Eventually(t, func() bool {
		u, _ := h.Usage()
		return strings.Contains(u.Trouble, "read-only")
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, []uint64{1}, h.numbers("gate"), "what is there can be read")
	h.stop()
	h.stop = nil
	require.Error(t, <-h.done, "it says that not all is written")
	require.Equal(t, 1, strings.Count(h.logs.String(), "the catalog cannot be written"), "it was said once")
}

// A disk that is pulled out faults where its pages are mapped: that is an error, not the end.
func TestDatabaseThatVanishesUnderItsMapping(t *testing.T) { // R7
	h := open(t, catalog.Config{Channels: []catalog.Channel{{Name: "gate"}}, Budget: catalog.Budget{Tick: 20 * time.Millisecond}})
	base := h.cfg.Clock.Mono()
	for n := range uint64(300) {
		h.record("gate", h.segment("gate", n+1, h.at(base, time.Duration(n)*minute), minute, 10))
	}
	h.flush()
	before := h.dump()
	require.NoError(t, os.Truncate(filepath.Join(h.cfg.Data, "catalog.db"), 0))
	_, err := h.Timeline("gate", time.Unix(0, 0), time.Now().Add(time.Hour))
	require.Error(t, err)
	h.record("gate", h.segment("gate", 301, h.at(base, 300*minute), minute, 10))
	require.Eventually(t, func() bool {
		line, err := h.Timeline("gate", time.Unix(0, 0), time.Now().Add(24*time.Hour))
		return err == nil && len(line.Segments) == 301
	}, time.Minute, 10*time.Millisecond, "it is made anew from the journal")
	require.NotEqual(t, before, h.dump())
	require.NotContains(t, h.logs.String(), "a file that", "files of this program are its recorder's: nobody repairs them")
}
