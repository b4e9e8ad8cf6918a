package catalog

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/stages/record"
)

// Catalog keeps the account of every channel. It implements record.Catalog and record.Space.
// Open opens it, Run does its work until it is told to end; what is asked is answered meanwhile.
type Catalog struct {
	cfg     Config
	log     *slog.Logger
	started record.Instant // this program, by its own anchor
	start   string         // a name for it
	anchors *anchors
	store   *store // changed by the worker alone, under mu

	wake chan struct{}

	mu       sync.Mutex
	channels map[string]*channel
	order    []*channel
	waiting  []chan error // for all that was entered to be on disk
	asks     []*ask       // for room
	closed   bool

	trouble trouble // with journals and database
	short   trouble // with the budget
	due     bool    // the worker's: the budget is to be looked at
	opened  bool    // the worker's: recorders may be at work
	fresh   bool    // the worker's: the database was not there
	looked  uint32  // the worker's: the clock's anchor for which it was last asked whether it is right
	suspect int     // the worker's: how often the database failed in a row
}

// channel is the catalog's side of one.
type channel struct {
	Channel

	folder string

	pending []record.Entry  // under Catalog.mu: not in the journal yet
	notes   []line          // under Catalog.mu: as pending, of the catalog's own
	lost    int             // under Catalog.mu: entries that found no room
	state   state           // under Catalog.mu: as the journal has it; At as the database has it
	gone    map[uint64]bool // under Catalog.mu: removed, though neither journal nor database could be told yet

	// The worker's own.
	pinned  uint64      // under Catalog.mu: the number of the latest pin
	ready   atomic.Bool // its journal is open, and the database has taken it in
	settled bool        // it was put in order with its files
	begun   bool        // this program has entered something
	journal *journal
	ahead   []line   // in the journal, not in the database
	from    position // where they begin
}

const (
	database   = "catalog.db"
	maxPending = 4096 // entries of a channel that wait for a disk
	batch      = time.Second
)

// Open opens the catalog and puts it in order: what was open is repaired, what is there and not
// known is taken in, what is known and not there goes. A disk that cannot be used now is no
// error: the catalog says so and tries again. ErrInUse is.
func Open(cfg Config) (*Catalog, error) {
	c := newCatalog(cfg.withDefaults())
	if err := c.ready(); isFinal(err) {
		return nil, err
	}
	c.opened = true
	c.rounds()
	_ = c.step(false) //nolint:errcheck // said, and tried again by Run
	return c, nil
}

func newCatalog(cfg Config) *Catalog {
	c := &Catalog{cfg: cfg, log: cfg.Logger, anchors: newAnchors(), wake: make(chan struct{}, 1), channels: map[string]*channel{}}
	c.started = c.present()
	c.start = fmt.Sprintf("%s/%d", cfg.BootID, c.started.Mono)
	for _, ch := range cfg.Channels {
		c.channel(ch.Name, ch)
	}
	return c
}

// channel returns a channel, made where it is not there. The caller holds mu, or is alone.
func (c *Catalog) channel(name string, settings Channel) *channel {
	ch := c.channels[name]
	if ch == nil {
		settings.Name = name
		ch = &channel{Channel: settings, folder: c.cfg.folder(settings), gone: map[uint64]bool{}}
		c.channels[name] = ch
		c.order = append(c.order, ch)
	}
	return ch
}

// Enter implements record.Catalog. It copies what it is given and waits for nothing.
func (c *Catalog) Enter(e record.Entry) {
	if e.Segment != nil {
		s := *e.Segment
		e.Segment = &s
	}
	if e.Gap != nil {
		g := *e.Gap
		e.Gap = &g
	}
	c.mu.Lock()
	ch := c.channel(e.Channel, Channel{})
	if len(ch.pending) < maxPending {
		ch.pending = append(ch.pending, e)
	} else {
		ch.lost++
	}
	c.mu.Unlock()
	c.rouse()
}

// rouse wakes the worker.
func (c *Catalog) rouse() {
	select {
	case c.wake <- struct{}{}:
	default: // it is awake
	}
}

// Flush returns when all that was entered before is on disk, or with why it is not.
func (c *Catalog) Flush(ctx context.Context) error {
	done := make(chan error, 1)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrUnavailable
	}
	c.waiting = append(c.waiting, done)
	c.mu.Unlock()
	c.rouse()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the catalog is not written yet: %w", context.Cause(ctx))
	}
}

// Run is the catalog's worker. It returns when ctx is done and all that was entered is written,
// as far as the disk takes it; the catalog is closed then.
func (c *Catalog) Run(ctx context.Context) error {
	tick := time.NewTicker(c.cfg.tick())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			err := c.step(true)
			return c.close(err)
		case <-tick.C:
			c.rounds()
		case <-c.wake:
			c.linger(ctx)
		}
		_ = c.step(false) //nolint:errcheck // said, and tried again
	}
}

// linger lets a batch gather, unless somebody waits for it.
func (c *Catalog) linger(ctx context.Context) {
	full := time.NewTimer(batch)
	defer full.Stop()
	for {
		c.mu.Lock()
		urgent := len(c.waiting)+len(c.asks) > 0
		c.mu.Unlock()
		if urgent {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-full.C:
			return
		case <-c.wake:
		}
	}
}

// close ends the catalog.
func (c *Catalog) close(err error) error {
	c.mu.Lock()
	c.closed = true
	waiting, asks, s := c.waiting, c.asks, c.store
	c.waiting, c.asks, c.store = nil, nil, nil
	c.mu.Unlock()
	for _, w := range waiting {
		w <- ErrUnavailable
	}
	for _, a := range asks {
		a.done <- ErrUnavailable
	}
	err = c.closeFiles(err)
	if s != nil {
		err = joinClose(err, s)
	}
	return err
}

func (c *Catalog) path() string { return filepath.Join(c.cfg.Data, database) }
