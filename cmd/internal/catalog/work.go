package catalog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/millrace-video/millrace/stages/record"
)

// step does what there is to do: journals, database, room. What fails is tried again by the
// next step.
func (c *Catalog) step(final bool) error {
	c.mu.Lock()
	waiting, asks, order := c.waiting, c.asks, slices.Clone(c.order)
	c.waiting, c.asks = nil, nil
	c.mu.Unlock()
	err := c.ready()
	if err == nil {
		if n := c.cfg.Clock.Anchor().Number; n != c.looked { // a clock that was set may be right now
			c.looked = n
			c.trustClock()
		}
		var errs []error
		for _, ch := range order {
			if failed := c.write(ch); failed != nil {
				errs = append(errs, fmt.Errorf("channel %s: %w", ch.Name, failed))
			}
		}
		err = errors.Join(append(errs, c.commit(order))...)
	}
	c.trouble.say(c.log, err)
	if !final {
		c.makeRoom(order, asks)
	}
	for _, w := range waiting {
		w <- err
	}
	for _, a := range asks {
		a.answer()
	}
	return err
}

// local gives an instant of this program the catalog's number of its anchor.
func (c *Catalog) local(t *record.Instant) {
	if *t != (record.Instant{}) {
		t.Anchor = c.anchors.name(*t, c.cfg.BootID, c.start)
	}
}

// begin returns when the program started.
func (c *Catalog) begin() record.Instant {
	t := c.started
	c.local(&t)
	return t
}

// write takes what waits for a channel into its journal.
func (c *Catalog) write(ch *channel) error {
	if !ch.ready.Load() {
		return nil
	}
	c.mu.Lock()
	entries, notes := ch.pending, ch.notes
	ch.pending, ch.notes = nil, nil
	c.mu.Unlock()
	if len(entries)+len(notes) == 0 {
		return nil
	}
	lines, account := c.account(ch, entries, notes)
	err := ch.journal.reopen()
	from := ch.journal.at
	if err == nil {
		lines, from, err = ch.journal.append(lines)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		ch.notes = append(notes, ch.notes...)
		ch.pending = append(entries, ch.pending...)
		if over := len(ch.pending) - maxPending; over > 0 {
			ch.lost += over
			ch.pending = slices.Clone(ch.pending[over:])
		}
		return err
	}
	ch.state.ledger = account
	c.due = c.due || slices.ContainsFunc(lines, func(l line) bool { return l.Kind == lineClosed || l.Kind == lineMerged })
	ch.begun = ch.begun || account.Begun
	if len(ch.ahead) == 0 {
		ch.from = from
	}
	ch.ahead = append(ch.ahead, lines...)
	return nil
}

// account makes lines of entries and notes, and the ledger after them.
func (c *Catalog) account(ch *channel, entries []record.Entry, notes []line) ([]line, ledger) {
	a := accountant{ledger: ch.state.ledger, clocks: c.anchors, started: c.begin()}
	a.Begun = ch.begun
	if !ch.begun && len(entries) > 0 {
		at := a.started
		a.put(line{Kind: lineStart, Channel: ch.Name, At: &at})
	}
	for _, n := range notes {
		a.put(n)
	}
	for _, e := range entries {
		if e.Segment != nil {
			s := *e.Segment // the entry may have to be entered again
			c.local(&s.Start)
			e.Segment = &s
		}
		if e.Gap != nil {
			g := *e.Gap
			c.local(&g.From)
			c.local(&g.To)
			e.Gap = &g
		}
		a.enter(e)
	}
	return a.lines, a.ledger
}

// maxAhead is how many lines the database may lag behind before they are read from the journal
// rather than kept.
const maxAhead = 4096

// commit takes into the database what the journals have.
func (c *Catalog) commit(order []*channel) error {
	var late []*channel
	for _, ch := range order {
		if ch.ready.Load() && len(ch.ahead) > 0 {
			late = append(late, ch)
		}
	}
	if len(late) == 0 {
		return nil
	}
	states := make([]state, len(late))
	err := c.store.update(func(tx *bolt.Tx) error {
		for i, ch := range late {
			var err error
			if states[i], err = c.fold(tx, ch, ch.from, ch.ahead); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		for _, ch := range late {
			if len(ch.ahead) > maxAhead {
				ch.ahead, ch.from = ch.ahead[len(ch.ahead)-1:], position{}
			}
		}
		return c.unusable(err)
	}
	c.suspect = 0
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, ch := range late {
		ch.ahead, ch.state = nil, states[i]
		clear(ch.gone)
	}
	return nil
}

// fold takes lines, which begin at a position of the journal, into the database; where that
// stands elsewhere, it reads on in the journal.
func (c *Catalog) fold(tx *bolt.Tx, ch *channel, from position, lines []line) (state, error) {
	f, err := newFold(tx, ch.Name, c.anchors)
	if err != nil {
		return state{}, err
	}
	if len(lines) > 0 && f.state.At == from {
		for i := range lines {
			if err = f.apply(&lines[i], ch.journal.at.Piece); err != nil {
				return state{}, err
			}
		}
		return f.state, f.done(ch.journal.at)
	}
	damaged, err := ch.journal.read(f.state.At, f.apply)
	if err != nil {
		return state{}, err
	}
	if damaged > 0 {
		c.log.Error("the journal has damaged lines, which are left out", "channel", ch.Name, "folder", ch.folder, "lines", damaged)
	}
	return f.state, f.done(ch.journal.at)
}

// loadAnchors reads the anchors that the database knows.
func (c *Catalog) loadAnchors(tx *bolt.Tx) error {
	return tx.Bucket([]byte(bucketAnchors)).ForEach(func(k, v []byte) error {
		var n Anchor
		if err := json.Unmarshal(v, &n); err != nil || len(k) != 4 || binary.BigEndian.Uint32(k) != n.ID {
			return fmt.Errorf("%w: anchor %x", errDamaged, k)
		}
		c.anchors.put(n)
		return nil
	})
}
