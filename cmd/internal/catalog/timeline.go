package catalog

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/millrace-video/millrace/stages/record"
)

// ErrNoChannel says that nothing is known of a channel.
var ErrNoChannel = errors.New("no such channel in the catalog")

// Timeline is what is known of a channel in a stretch of time: the segments and gaps that
// overlap it, whole, in the order in which they were recorded, whatever the wall clock did.
type Timeline struct {
	Channel  string
	Folder   string // where the files are
	Segments []Segment
	Gaps     []Gap
}

// Segment is a file that can be played.
type Segment struct {
	record.Segment

	Path   string
	Open   bool     // it grows; Length is up to now, of which the last second or two may not be written yet
	Pinned bool     // an event keeps it
	Parts  []uint64 // the numbers of the files that it was merged from
}

// Gap is a time of which nothing was recorded.
type Gap struct {
	record.Gap

	Length  time.Duration
	Unknown bool // nobody knows how long it was: the clocks at its ends do not compare
	Open    bool // it goes on: To is now
}

// Timeline returns what overlaps the time from and up to to, by the labels of the wall clock.
// What was entered within the last second may not be in it yet.
func (c *Catalog) Timeline(channel string, from, to time.Time) (Timeline, error) {
	c.mu.Lock()
	ch, s := c.channels[channel], c.store
	var now state
	gone := map[uint64]bool{}
	if ch != nil {
		now = ch.state
		for n := range ch.gone {
			gone[n] = true
		}
	}
	c.mu.Unlock()
	switch {
	case ch == nil:
		return Timeline{}, fmt.Errorf("%s: %w", channel, ErrNoChannel)
	case s == nil:
		return Timeline{}, ErrUnavailable
	}
	q := query{from: from.UnixNano(), to: to.UnixNano(), anchors: c.anchors, keys: map[string]bool{}, gone: gone, does: c.cfg.Now(channel)}
	q.now = c.cfg.Clock.Mono()
	q.wall = c.cfg.Clock.Wall(q.now).UnixNano()
	if err := s.view(func(tx *bolt.Tx) error { return q.run(channelBucket(tx, channel)) }); err != nil {
		return Timeline{}, fmt.Errorf("the time line of %s: %w", channel, err)
	}
	t := q.timeline(ch.folder)
	t.Channel = channel
	c.openEnd(&t, now.ledger, q)
	return t, nil
}

// openEnd adds the gap that lasts, where nothing is being recorded.
func (c *Catalog) openEnd(t *Timeline, b ledger, q query) {
	if !b.Born || b.Open != 0 && q.does.Cause == "" {
		return
	}
	present := record.Instant{Mono: q.now, Wall: q.wall, Anchor: c.cfg.Clock.Anchor().Number}
	present.Anchor = c.anchors.find(present.Anchor, c.start)
	g := Gap{Gap: record.Gap{After: b.After, From: b.End, To: present, Cause: q.does.Cause, Detail: q.does.Detail}, Open: true}
	if b.Open != 0 {
		g.After, g.From = b.Open, q.ends
	}
	if g.Cause == "" {
		g.Cause = record.Starting // a file, as soon as its first fragment is whole
	}
	var known bool
	g.Length, known = c.anchors.between(g.From, g.To)
	g.Unknown = !known
	if q.overlapsGap(g) && (g.Length > 0 || g.Unknown) {
		t.Gaps = append(t.Gaps, g)
	}
}

// query finds what overlaps a stretch of labels.
type query struct {
	from, to  int64
	now, wall int64 // the present
	anchors   *anchors
	gone      map[uint64]bool
	does      Now
	ends      record.Instant // where the segment that grows ends, where nothing comes

	pins  []Pin
	keys  map[string]bool
	found []foundItem
	given []item // segments given up of which the database does not know yet
}

type foundItem struct {
	key  []byte
	item item
}

func (q *query) run(b *bolt.Bucket) error {
	if b == nil {
		return nil // nothing was entered yet
	}
	var err error
	if q.pins, err = readPins(b.Bucket([]byte(bucketPins))); err != nil {
		return err
	}
	walls := b.Bucket([]byte(bucketWalls)).Cursor()
	for _, part := range []struct{ from, to []byte }{
		{wallEntry(wallOf, before(q.from, int64(short)), nil), wallEntry(wallOf, q.to, nil)},
		{[]byte{longOf}, wallEntry(longOf, q.to, nil)},
	} {
		for k, _ := walls.Seek(part.from); k != nil && bytes.Compare(k, part.to) < 0; k, _ = walls.Next() {
			if len(k) != wallKey+keySize {
				return errDamaged
			}
			q.keys[string(k[wallKey:])] = true
		}
	}
	items := b.Bucket([]byte(bucketItems))
	if err := q.open(items); err != nil {
		return err
	}
	for k := range q.keys {
		if err := q.take([]byte(k), items.Get([]byte(k))); err != nil {
			return err
		}
	}
	slices.SortFunc(q.found, func(x, y foundItem) int { return bytes.Compare(x.key, y.key) })
	return nil
}

// before returns a-b without running over.
func before(a, b int64) int64 {
	if d := a - b; d < a {
		return d
	}
	return -1 << 63
}

// open looks for the segment that grows, which may be longer than the index says.
func (q *query) open(items *bolt.Bucket) error {
	c := items.Cursor()
	for k, v := c.Last(); k != nil; k, v = c.Prev() {
		if keyClass(k) != classFile {
			continue
		}
		if len(v) > 1 && itemKind(v[1]) == itemOpen {
			q.keys[string(k)] = true
		}
		return nil
	}
	return nil
}

// take keeps an item that overlaps.
func (q *query) take(key, value []byte) error {
	if value == nil {
		return fmt.Errorf("%w: the index names %x, which is not there", errDamaged, key)
	}
	i, err := decodeItem(value)
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	if i.Kind == itemOpen && q.anchors.get(i.Segment.Start.Anchor).Boot != "" {
		long := time.Duration(q.now - i.Segment.Start.Mono)
		if q.does.Cause != "" && q.does.File == i.Segment.File {
			long = min(long, q.does.Written)
		}
		i.Segment.Length = max(i.Segment.Length, long)
		q.ends = i.Segment.End()
	}
	overlaps := i.Kind.isSegment() && overlap(i.from().Wall, i.to().Wall, q.from, q.to)
	if i.Kind == itemGap {
		overlaps = q.overlapsGap(q.gap(i.Gap))
	}
	if i.Kind.isSegment() && q.gone[keyPlace(key)] {
		q.given = append(q.given, i)
		return nil
	}
	if overlaps {
		q.found = append(q.found, foundItem{key, i})
	}
	return nil
}

// hide leaves out what is before a segment that is given up, though the database could not be told
// yet. What stands between segments that stay is a gap.
func (q *query) hide(t *Timeline) {
	for _, i := range q.given {
		number := i.Segment.Number
		if !slices.ContainsFunc(t.Segments, func(s Segment) bool { return s.Number < number }) {
			t.Gaps = slices.DeleteFunc(t.Gaps, func(g Gap) bool { return g.After < number })
			continue
		}
		if g := q.gap(record.Gap{After: number, From: i.from(), To: i.to(), Cause: record.Removed, Detail: i.Segment.File}); q.overlapsGap(g) {
			t.Gaps = append(t.Gaps, g)
		}
	}
	slices.SortStableFunc(t.Gaps, func(a, b Gap) int { return cmp.Compare(a.After, b.After) })
}

func overlap(from, to, start, end int64) bool {
	return from < end && to > start || from == to && from >= start && from < end
}

// overlapsGap says whether a gap is to be shown. One whose length nobody knows is shown where
// either end is.
func (q *query) overlapsGap(g Gap) bool {
	from, to := min(g.From.Wall, g.To.Wall), max(g.From.Wall, g.To.Wall)
	if g.Unknown {
		return from >= q.from && from < q.to || to >= q.from && to < q.to
	}
	return overlap(from, to, q.from, q.to)
}

func (q *query) gap(g record.Gap) Gap {
	length, known := q.anchors.between(g.From, g.To)
	return Gap{Gap: g, Length: length, Unknown: !known}
}

func (q *query) timeline(folder string) Timeline {
	t := Timeline{Folder: folder}
	for _, f := range q.found {
		if f.item.Kind == itemGap {
			t.Gaps = append(t.Gaps, q.gap(f.item.Gap))
			continue
		}
		s := Segment{
			Segment: f.item.Segment, Path: filepath.Join(folder, f.item.Segment.File),
			Open: f.item.Kind == itemOpen, Parts: f.item.Parts,
		}
		s.Pinned = slices.ContainsFunc(q.pins, func(p Pin) bool {
			return (p.Until == 0 || p.Until > q.wall) && p.holds(&s.Segment)
		})
		t.Segments = append(t.Segments, s)
	}
	if len(q.given) > 0 {
		q.hide(&t)
	}
	return t
}

// Channels returns the names of the channels that the catalog knows, sorted.
func (c *Catalog) Channels() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := make([]string, 0, len(c.order))
	for _, ch := range c.order {
		names = append(names, ch.Name)
	}
	slices.SortFunc(names, cmp.Compare[string])
	return names
}
