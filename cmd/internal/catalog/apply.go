package catalog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/millrace-video/millrace/stages/record"
)

// fold takes lines of one channel's journal into the database.
type fold struct {
	tx      *bolt.Tx
	anchors *anchors

	items, walls, pins, pieces, unlink *bolt.Bucket

	channel *bolt.Bucket
	state   state
	piece   uint32
}

func newFold(tx *bolt.Tx, name string, a *anchors) (*fold, error) {
	b, err := makeChannel(tx, name)
	if err != nil {
		return nil, err
	}
	f := &fold{
		tx: tx, anchors: a, channel: b,
		items: b.Bucket([]byte(bucketItems)), walls: b.Bucket([]byte(bucketWalls)), pins: b.Bucket([]byte(bucketPins)),
		pieces: b.Bucket([]byte(bucketPieces)), unlink: b.Bucket([]byte(bucketUnlink)),
	}
	f.items.FillPercent, f.walls.FillPercent = 0.9, 0.9 // they grow at their end
	return f, getState(b, &f.state)
}

// done writes what is known beside the items.
func (f *fold) done(at position) error {
	f.state.At = at
	return putState(f.channel, &f.state)
}

// apply takes in one line, which stands in a piece of the journal. What it does depends on
// nothing but the lines before it.
func (f *fold) apply(l *line, piece uint32) error {
	f.piece = piece
	l.instants(func(t *record.Instant) { f.anchors.relabel(t, f.state.Trusted) })
	f.state.advance(l, f.anchors)
	switch l.Kind {
	case lineOpened, lineClosed:
		kind := itemClosed
		if l.Kind == lineOpened {
			kind = itemOpen
		}
		return f.put(itemKey(l.place(), classFile, 0), &item{Kind: kind, Segment: *l.Segment})
	case lineMerged:
		return f.merge(l)
	case lineGap:
		return f.put(itemKey(l.Gap.After, classGap, l.Seq), &item{Kind: itemGap, Gap: *l.Gap})
	case lineRemoved:
		for _, place := range l.Removed {
			if err := f.remove(place, l.Kept); err != nil {
				return err
			}
		}
	case linePin:
		return f.pin(l.Pin)
	case lineAnchor:
		return f.anchor(l.Anchor)
	case lineStart, lineState:
	}
	return nil
}

// put enters an item, in the place of another where there is one.
func (f *fold) put(key []byte, i *item) error {
	if err := f.drop(key); err != nil {
		return err
	}
	i.Piece = f.piece
	if i.Kind != itemGap {
		f.state.Segments++
		f.state.Bytes += i.Segment.Bytes
	}
	for _, w := range wallKeys(key, i) {
		if err := f.walls.Put(w, nil); err != nil {
			return err
		}
	}
	if err := f.live(i.Piece, 1); err != nil {
		return err
	}
	return f.items.Put(key, i.encode())
}

// drop takes an item out, if it is there.
func (f *fold) drop(key []byte) error {
	i, err := f.get(key)
	if err != nil || i == nil {
		return err
	}
	if i.Kind != itemGap {
		f.state.Segments--
		f.state.Bytes -= i.Segment.Bytes
	}
	for _, w := range wallKeys(key, i) {
		if err := f.walls.Delete(w); err != nil {
			return err
		}
	}
	if err := f.live(i.Piece, -1); err != nil {
		return err
	}
	return f.items.Delete(key)
}

// get returns an item, or nil.
func (f *fold) get(key []byte) (*item, error) {
	value := f.items.Get(key)
	if value == nil {
		return nil, nil //nolint:nilnil // it is not there
	}
	i, err := decodeItem(value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return &i, nil
}

// live counts the lines of a piece that say something still true.
func (f *fold) live(piece uint32, by int64) error {
	key := binary.BigEndian.AppendUint32(nil, piece)
	count := by
	if v := f.pieces.Get(key); len(v) == 8 {
		count += int64(binary.BigEndian.Uint64(v))
	}
	if count <= 0 {
		return f.pieces.Delete(key)
	}
	return f.pieces.Put(key, binary.BigEndian.AppendUint64(nil, uint64(count)))
}

// merge enters a file that was made from others.
func (f *fold) merge(l *line) error {
	if l.Kept {
		return f.put(itemKey(l.Segment.Number, classCopy, 0), &item{Kind: itemCopy, Segment: *l.Segment, Parts: l.Parts})
	}
	for _, p := range l.Parts {
		key := itemKey(p, classFile, 0)
		part, err := f.get(key)
		if err != nil {
			return err
		}
		if part == nil || part.Kind == itemGap {
			continue
		}
		if part.Segment.File != l.Segment.File {
			if err := f.unlinkLater(part.Segment.File); err != nil {
				return err
			}
		}
		if err := f.drop(key); err != nil {
			return err
		}
	}
	return f.put(itemKey(l.place(), classFile, 0), &item{Kind: itemClosed, Segment: *l.Segment, Parts: l.Parts})
}

// unlinkLater puts a file on the list of those that are given up.
func (f *fold) unlinkLater(name string) error { return f.unlink.Put([]byte(name), nil) }

// remove takes a segment, or a merged copy, out. Where a segment was the first, the account begins
// with the next one; otherwise a gap stands in its place.
func (f *fold) remove(place uint64, isCopy bool) error {
	key := itemKey(place, classFile, 0)
	if isCopy {
		key = itemKey(place, classCopy, 0)
	}
	gone, err := f.get(key)
	if err != nil || gone == nil || gone.Kind == itemGap {
		return err
	}
	if err = f.unlinkLater(gone.Segment.File); err != nil {
		return err
	}
	if isCopy {
		return f.drop(key)
	}
	first, err := f.isFirst(key)
	if err != nil {
		return err
	}
	if err = f.drop(key); err != nil {
		return err
	}
	if first {
		return f.truncate(key)
	}
	if err := f.dropWithin(place, gone.to()); err != nil {
		return err
	}
	return f.put(key, &item{Kind: itemGap, Gap: record.Gap{
		After: place, From: gone.from(), To: gone.to(), Cause: record.Removed, Detail: gone.Segment.File,
	}})
}

// isFirst says whether no segment stands before the key.
func (f *fold) isFirst(key []byte) (bool, error) {
	c := f.items.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if string(k) == string(key) {
			return true, nil
		}
		if i, err := decodeItem(v); err != nil {
			return false, fmt.Errorf("%w: %w", errDamaged, err)
		} else if i.Kind.isSegment() {
			return false, nil
		}
	}
	return true, nil
}

// truncate drops the gaps before the first segment, but for one behind the gone that is the last
// item of all.
func (f *fold) truncate(gone []byte) error {
	for {
		c := f.items.Cursor()
		k, v := c.First()
		if k == nil {
			return nil
		}
		i, err := decodeItem(v)
		if err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		k = append([]byte(nil), k...)
		if next, _ := c.Next(); next == nil && string(k) > string(gone) || i.Kind != itemGap {
			return nil
		}
		if err := f.drop(k); err != nil {
			return err
		}
	}
}

// dropWithin drops the gaps that lay in a segment, which has become one.
func (f *fold) dropWithin(place uint64, end record.Instant) error {
	var within [][]byte
	c := f.items.Cursor()
	prefix := itemKey(place, classGap, 0)
	for k, v := c.Seek(prefix); k != nil && keyPlace(k) == place && keyClass(k) == classGap; k, v = c.Next() {
		i, err := decodeItem(v)
		if err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		if f.anchors.sameBoot(i.Gap.From, end) && i.Gap.From.Mono < end.Mono {
			within = append(within, append([]byte(nil), k...))
		}
	}
	for _, k := range within {
		if err := f.drop(k); err != nil {
			return err
		}
	}
	return nil
}

// anchor makes an anchor known; one that is trusted puts right what was labelled before it in
// its boot.
func (f *fold) anchor(n *Anchor) error {
	f.anchors.put(*n)
	known := f.anchors.get(n.ID)
	text, err := json.Marshal(known)
	if err != nil {
		return err
	}
	if err := f.tx.Bucket([]byte(bucketAnchors)).Put(binary.BigEndian.AppendUint32(nil, n.ID), text); err != nil {
		return err
	}
	if !n.Trusted || n.ID <= f.state.Trusted {
		return nil
	}
	f.state.Trusted = n.ID
	f.anchors.relabel(&f.state.End, n.ID)
	f.anchors.relabel(&f.state.Gaps, n.ID)
	if err := f.relabelPins(n.ID); err != nil {
		return err
	}
	return f.relabelItems(n)
}

// relabelItems looks from the last item back as far as the boot goes.
func (f *fold) relabelItems(n *Anchor) error {
	changed := map[string]*item{}
	c := f.items.Cursor()
	for k, v := c.Last(); k != nil; k, v = c.Prev() {
		i, err := decodeItem(v)
		if err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		if !f.anchors.sameBoot(i.to(), record.Instant{Anchor: n.ID}) && !f.anchors.sameBoot(i.from(), record.Instant{Anchor: n.ID}) {
			break
		}
		was := i
		moved := f.anchors.relabel(&i.Segment.Start, n.ID)
		moved = f.anchors.relabel(&i.Gap.From, n.ID) || moved
		if f.anchors.relabel(&i.Gap.To, n.ID) || moved {
			changed[string(k)] = &i
			for _, w := range wallKeys(k, &was) {
				if err := f.walls.Delete(w); err != nil {
					return err
				}
			}
		}
	}
	for k, i := range changed {
		for _, w := range wallKeys([]byte(k), i) {
			if err := f.walls.Put(w, nil); err != nil {
				return err
			}
		}
		if err := f.items.Put([]byte(k), i.encode()); err != nil {
			return err
		}
	}
	return nil
}
