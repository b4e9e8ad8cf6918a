package catalog

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/millrace-video/millrace/stages/record"
)

// item is what the database holds of one segment or gap.
type item struct {
	Kind  itemKind
	Piece uint32 // of the journal, in which its line is

	Segment record.Segment
	Parts   []uint64 // it was merged from
	Gap     record.Gap
}

type itemKind byte

const (
	itemOpen   itemKind = 'o' // a segment that grows
	itemClosed itemKind = 'c'
	itemCopy   itemKind = 'm' // a merged file beside its parts, which tell the time line
	itemGap    itemKind = 'g'
)

func (k itemKind) isSegment() bool { return k == itemOpen || k == itemClosed }

// from and to are the ends of what an item tells of.
func (i *item) from() record.Instant {
	if i.Kind == itemGap {
		return i.Gap.From
	}
	return i.Segment.Start
}

func (i *item) to() record.Instant {
	if i.Kind == itemGap {
		return i.Gap.To
	}
	return i.Segment.End()
}

// A key is place, class, sequence: a segment stands before the gaps after it, which stand in
// the order of their entering.
const (
	keySize   = 13
	classFile = 0 // a segment, or the gap that a removed one left
	classGap  = 1
	classCopy = 2
)

func itemKey(place uint64, class byte, seq uint32) []byte {
	key := make([]byte, 0, keySize)
	key = binary.BigEndian.AppendUint64(key, place)
	key = append(key, class)
	return binary.BigEndian.AppendUint32(key, seq)
}

func keyPlace(key []byte) uint64 { return binary.BigEndian.Uint64(key) }
func keyClass(key []byte) byte   { return key[8] }

// The index by wall: what is short is found by where it begins, so that a query looks back no
// further than shortest; what is long has a list of its own.
const (
	short   = 24 * time.Hour
	wallOf  = 's' // short ones
	longOf  = 'l'
	wallKey = 1 + 8
)

// wallKeys are the entries of an item in the index.
func wallKeys(key []byte, i *item) [][]byte {
	from, to := i.from(), i.to()
	kind := byte(wallOf)
	if to.Wall-from.Wall > int64(short) {
		kind = longOf
	}
	keys := [][]byte{wallEntry(kind, from.Wall, key)}
	if from.Anchor != to.Anchor { // nobody knows what lies between: it is found by both ends
		keys = append(keys, wallEntry(wallOf, to.Wall, key))
		if kind == longOf {
			keys = append(keys, wallEntry(wallOf, from.Wall, key))
		}
	}
	return keys
}

func wallEntry(kind byte, wall int64, key []byte) []byte {
	e := make([]byte, 0, wallKey+keySize)
	e = append(e, kind)
	e = binary.BigEndian.AppendUint64(e, uint64(wall)^1<<63)
	return append(e, key...)
}

const itemVersion = 1

var errItem = errors.New("a damaged entry in the catalog")

// coder reads or writes the fields of an item, one after the other.
type coder struct {
	buf    []byte
	writes bool
	failed bool
}

func (i *item) encode() []byte {
	c := coder{buf: []byte{itemVersion, byte(i.Kind)}, writes: true}
	i.fields(&c)
	return c.buf
}

func decodeItem(value []byte) (item, error) {
	if len(value) < 2 || value[0] != itemVersion {
		return item{}, errItem
	}
	i := item{Kind: itemKind(value[1])}
	c := coder{buf: value[2:]}
	i.fields(&c)
	if c.failed || len(c.buf) != 0 {
		return item{}, errItem
	}
	return i, nil
}

func (i *item) fields(c *coder) {
	piece := uint64(i.Piece)
	c.unsigned(&piece)
	i.Piece = uint32(piece)
	if i.Kind == itemGap {
		g := &i.Gap
		c.unsigned(&g.After)
		c.instant(&g.From)
		c.instant(&g.To)
		c.text((*string)(&g.Cause))
		c.text(&g.Detail)
		return
	}
	s := &i.Segment
	c.unsigned(&s.Number)
	c.unsigned(&s.Recording)
	c.text(&s.File)
	c.instant(&s.Start)
	c.signed((*int64)(&s.Length))
	c.signed(&s.Bytes)
	c.text(&s.EndedBy)
	s.Tracks = listOf(c, s.Tracks, c.text)
	i.Parts = listOf(c, i.Parts, c.unsigned)
}

func (c *coder) unsigned(v *uint64) {
	if c.writes {
		c.buf = binary.AppendUvarint(c.buf, *v)
		return
	}
	got, n := binary.Uvarint(c.buf)
	if n <= 0 {
		c.failed, c.buf = true, nil
		return
	}
	*v, c.buf = got, c.buf[n:]
}

func (c *coder) signed(v *int64) {
	zigzag := uint64(*v)<<1 ^ uint64(*v>>63)
	c.unsigned(&zigzag)
	*v = int64(zigzag>>1) ^ -int64(zigzag&1)
}

func (c *coder) text(v *string) {
	n := uint64(len(*v))
	c.unsigned(&n)
	if c.writes {
		c.buf = append(c.buf, *v...)
		return
	}
	if n > uint64(len(c.buf)) {
		c.failed, c.buf = true, nil
		return
	}
	*v, c.buf = string(c.buf[:n]), c.buf[n:]
}

func (c *coder) instant(v *record.Instant) {
	c.signed(&v.Wall)
	c.signed(&v.Mono)
	anchor := uint64(v.Anchor)
	c.unsigned(&anchor)
	if anchor > math.MaxUint32 {
		c.failed = true
	}
	v.Anchor = uint32(anchor)
}

// listOf reads or writes a list of short things.
func listOf[T any](c *coder, v []T, one func(*T)) []T {
	n := uint64(len(v))
	c.unsigned(&n)
	if !c.writes {
		if n > uint64(len(c.buf)) {
			c.failed, c.buf = true, nil
			return nil
		}
		v = nil
		if n > 0 {
			v = make([]T, n)
		}
	}
	for i := range v {
		one(&v[i])
	}
	return v
}
