package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrNoRoom says that nothing is left that could be given up.
var ErrNoRoom = errors.New("no recording is left to give up")

// reclaimWait is how long a recorder waits for room.
const reclaimWait = 10 * time.Second

// ask is somebody's need of room.
type ask struct {
	dir   string
	bytes int64
	err   error
	done  chan error
}

func (a *ask) answer() { a.done <- a.err }

// Reclaim implements record.Space: the oldest recordings on the disk of a folder are given up
// until that many bytes, and what is to stay free, are.
func (c *Catalog) Reclaim(dir string, bytes int64) error {
	a := &ask{dir: dir, bytes: bytes, done: make(chan error, 1)}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrUnavailable
	}
	c.asks = append(c.asks, a)
	c.mu.Unlock()
	c.rouse()
	patience := time.NewTimer(reclaimWait)
	defer patience.Stop()
	select {
	case err := <-a.done:
		return err
	case <-patience.C:
		return fmt.Errorf("%w: making room on the disk of %s takes longer than %s", ErrUnavailable, dir, reclaimWait)
	}
}

// mostRounds bounds how often a plan is made in one go; the next tick goes on.
const mostRounds = 64

// makeRoom holds the budget, and makes room for who asks.
func (c *Catalog) makeRoom(order []*channel, asks []*ask) {
	for _, a := range asks {
		freed, short, err := c.hold(order, a.dir, a.bytes)
		c.alarm(short, err)
		switch {
		case err != nil && !freed:
			a.err = err
		case !freed && len(short) > 0:
			a.err = fmt.Errorf("%w on the disk of %s", ErrNoRoom, a.dir)
		}
	}
	if c.due && len(asks) == 0 {
		c.due = false
		_, short, err := c.hold(order, "", 0)
		c.alarm(short, err)
	}
}

// hold plans and gives up, until every limit holds.
func (c *Catalog) hold(order []*channel, dir string, want int64) (freed bool, short []Shortage, err error) {
	for range mostRounds {
		if c.store == nil {
			return freed, nil, ErrUnavailable
		}
		v, seen := c.view(c.store, order, dir, want)
		if len(v.Channels) == 0 && seen != nil {
			return freed, nil, c.unusable(seen)
		}
		gone, short, more := Plan(v)
		files := slices.DeleteFunc(slices.Clone(gone), func(s Sacrifice) bool { return s.Spool })
		for part := range slices.Chunk(files, listed) {
			if err := c.giveUp(order, part); err != nil {
				return freed, short, err
			}
			freed = true
		}
		spool, full := c.giveUpSpool(gone)
		freed, more, short = freed || spool, more || spool, append(short, full...)
		if !more || len(full) > 0 {
			return freed, short, seen
		}
	}
	c.due = true
	return freed, nil, nil
}

// giveUp removes files: first from the catalog, so that it never names what is not there. Where
// the catalog cannot be written because the disk is full the files go first, and are hidden
// until it can.
func (c *Catalog) giveUp(order []*channel, gone []Sacrifice) error {
	files := map[*channel][]string{}
	for _, ch := range order {
		lines := map[bool]*line{}
		for _, s := range gone {
			if s.Channel != ch.Name {
				continue
			}
			if lines[s.kept] == nil {
				lines[s.kept] = &line{Kind: lineRemoved, Kept: s.kept, Why: string(s.Why)}
			}
			lines[s.kept].Removed = append(lines[s.kept].Removed, s.place)
			files[ch] = append(files[ch], s.File)
			c.log.Info("recording given up", "channel", s.Channel, "file", s.File, "bytes", s.Bytes, "for", string(s.Why), "pinned", s.Pinned)
		}
		c.mu.Lock()
		for _, l := range lines {
			ch.notes = append(ch.notes, *l)
			for _, place := range l.Removed {
				ch.gone[place] = ch.gone[place] || !l.Kept
			}
		}
		c.mu.Unlock()
	}
	var errs []error
	for ch := range files {
		if err := c.write(ch); err != nil {
			errs = append(errs, err)
		}
	}
	told := errors.Join(append(errs, c.commit(order))...)
	for ch, names := range files {
		if err := c.unlink(ch, names, told == nil); err != nil {
			return errors.Join(told, err)
		}
	}
	c.trouble.say(c.log, told)
	return nil
}

// unlink removes files of a channel, and pieces of its journal of which nothing is left.
func (c *Catalog) unlink(ch *channel, names []string, told bool) error {
	if !told {
		return removeFiles(ch.folder, names)
	}
	if err := unlinkFiles(c.store, ch, names); err != nil {
		return err
	}
	oldest, err := c.store.oldestPiece(ch.Name)
	if err != nil || oldest == 0 {
		return err
	}
	_, err = ch.journal.dropBefore(oldest)
	return err
}

// alarm tells once what limits cannot be held, and once that they are again.
func (c *Catalog) alarm(short []Shortage, err error) {
	what, kinds := make([]string, 0, len(short)), make([]string, 0, len(short))
	for _, s := range short {
		what = append(what, s.String())
		kinds = append(kinds, string(s.Why)+" "+s.Where)
	}
	text, state := strings.Join(what, "; "), strings.Join(kinds, ", ")
	if err != nil {
		text, state = err.Error(), kind(err)
	}
	if !c.short.turn(state, text) {
		return
	}
	if state == "" {
		c.log.Info("the disk budget is held again")
		return
	}
	c.log.Error("the disk budget cannot be held", "cause", text)
}

// String is for a person.
func (s Shortage) String() string {
	return fmt.Sprintf("%s of %s: %d bytes too many, and nothing is left to give up", s.Why, s.Where, s.Bytes)
}

// rounds is what is done from time to time: the clock is looked at, and the budget held.
func (c *Catalog) rounds() {
	c.due = true
	c.trustClock()
}
