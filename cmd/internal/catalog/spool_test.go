package catalog_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
)

// outgoing is a spool that a test fills.
type outgoing struct {
	mu           sync.Mutex
	rest, events int64
	piece        int64 // given up at once at most
	flying       bool  // all is on its way
}

func (o *outgoing) Spooled() (rest, events int64, working bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.rest, o.events, true
}

func (o *outgoing) GiveUp(bytes int64, events bool) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	from := &o.rest
	if events {
		from = &o.events
	}
	if o.flying {
		return 0
	}
	n := min(*from, bytes, o.piece)
	*from -= n
	return n
}

// R7: one budget holds recordings and spool; the oldest recordings go first, then what the spool
// has of no event, however little of it goes at once, then what events keep, then their spool.
func TestTheSpoolIsInTheBudget(t *testing.T) {
	spool := &outgoing{rest: 500, events: 500, piece: 7}
	cfg := catalog.Config{Channels: []catalog.Channel{{Name: "gate"}}, Budget: catalog.Budget{MaxBytes: 2500, Tick: time.Millisecond}}
	cfg.Spool = catalog.SpoolConfig{Dir: t.TempDir(), MaxBytes: 1000, Owner: spool}
	h := open(t, cfg)
	base := h.cfg.Clock.Mono()
	add := func(n uint64) {
		s := h.segment("gate", n, h.at(base, time.Duration(n)*minute), minute, 500)
		h.record("gate", s)
		h.flush()
	}
	fits := func(files int, rest, events int64) {
		t.Helper()
		require.Eventually(t, func() bool {
			r, e, _ := spool.Spooled()
			return h.files("gate") == files && r == rest && e == events
		}, time.Minute, time.Millisecond)
	}
	for n := range uint64(4) {
		add(n + 1)
	}
	fits(3, 500, 500)
	u, err := h.Usage()
	require.NoError(t, err)
	require.EqualValues(t, 2500, u.Bytes)
	require.Equal(t, &catalog.SpoolUsage{Folder: cfg.Spool.Dir, Disk: u.Disks[0].Folder, Bytes: 1000, Events: 500, MaxBytes: 1000}, u.Spool)
	require.NoError(t, h.Pin("gate", h.at(base, 0).Time(), h.at(base, time.Hour).Time(), time.Time{}, "an event"))
	h.flush()
	set := func(rest, events int64) {
		spool.mu.Lock()
		defer spool.mu.Unlock()
		spool.rest, spool.events = rest, events
	}
	set(1100, 500)
	fits(3, 500, 500)
	set(0, 2600)
	fits(0, 0, 2500)
	require.NotContains(t, h.logs.String(), "cannot be held")
	spool.mu.Lock()
	spool.flying = true
	spool.mu.Unlock()
	set(2600, 0)
	require.Eventually(t, func() bool {
		u, err := h.Usage()
		return err == nil && u.Alarm != ""
	}, time.Minute, time.Millisecond, "what is on its way cannot go")
	set(0, 0)
}

// Who looks without the program that is at work there counts files, and is told of what the
// budget leaves out.
func TestUsageWithoutTheSpoolsOwner(t *testing.T) {
	dir := t.TempDir()
	write := func(path string, size int) {
		path = filepath.Join(dir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, make([]byte, size), 0o600))
	}
	write("spool/gate/packages/a", 100)
	write("spool/gate/letters/b", 20)
	write("spool/yard/letters/c", 3)
	write("spool/stray", 1000)
	write("store/x/y/z.mp4", 7)
	write("gate/events.jsonl", 5)
	write("gate/deeper/events.jsonl", 1000)
	cfg := catalog.Config{Data: dir, Channels: []catalog.Channel{{Name: "gate"}}}
	cfg.Spool = catalog.SpoolConfig{Dir: filepath.Join(dir, "spool")}
	cfg.Beside = []catalog.Beside{
		{What: "notes", Folders: []string{filepath.Join(dir, "gate"), filepath.Join(dir, "nowhere")}},
		{What: "store", Folders: []string{filepath.Join(dir, "store")}, Deep: true},
	}
	h := open(t, cfg)
	h.record("gate", h.segment("gate", 1, h.at(h.cfg.Clock.Mono(), 0), minute, 500))
	h.flush()
	h.close()
	c, err := catalog.OpenToRead(cfg)
	require.NoError(t, err)
	u, err := c.Usage()
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.EqualValues(t, 623, u.Bytes)
	require.EqualValues(t, 123, u.Spool.Bytes)
	require.EqualValues(t, 23, u.Spool.Events)
	require.Greater(t, u.Beside[0].Bytes, int64(5), "with the catalog's journal")
	require.Less(t, u.Beside[0].Bytes, int64(10_000))
	require.Equal(t, catalog.BesideUsage{What: "store", Bytes: 7, Files: 1}, u.Beside[1])
}
