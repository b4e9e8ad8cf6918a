package catalog

import (
	"encoding/json"
	"io"
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/millrace-video/millrace/stages/record"
)

// Dump is the content of a catalog in one canonical form: two catalogs that say the same are
// the same, byte for byte.
type Dump struct {
	Anchors  []Anchor      `json:"anchors"` // those that something refers to
	Channels []DumpChannel `json:"channels"`
}

// DumpChannel is one channel of a Dump.
type DumpChannel struct {
	Name     string     `json:"name"`
	Segments int64      `json:"segments"`
	Bytes    int64      `json:"bytes"`
	Last     uint64     `json:"last"`
	Items    []DumpItem `json:"items"`
	Pins     []Pin      `json:"pins,omitempty"`
}

// DumpItem is one segment or gap.
type DumpItem struct {
	Place   uint64          `json:"place"`
	Open    bool            `json:"open,omitempty"`
	Copy    bool            `json:"copy,omitempty"` // a merged file beside its parts
	Segment *record.Segment `json:"segment,omitempty"`
	Parts   []uint64        `json:"parts,omitempty"`
	Gap     *record.Gap     `json:"gap,omitempty"`
}

// Dump writes the content as JSON.
func (c *Catalog) Dump(w io.Writer) error {
	c.mu.Lock()
	s := c.store
	c.mu.Unlock()
	if s == nil {
		return ErrUnavailable
	}
	return s.dump(w, c.anchors)
}

func (s *store) dump(w io.Writer, known *anchors) error {
	d := Dump{Anchors: []Anchor{}, Channels: []DumpChannel{}}
	used := map[uint32]bool{}
	err := s.view(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte(bucketChannels)).ForEachBucket(func(name []byte) error {
			ch, err := dumpChannel(channelBucket(tx, string(name)), string(name), used)
			d.Channels = append(d.Channels, ch)
			return err
		})
	})
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(used)) {
		if id != 0 {
			d.Anchors = append(d.Anchors, known.get(id))
		}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(d)
}

func dumpChannel(b *bolt.Bucket, name string, used map[uint32]bool) (DumpChannel, error) {
	ch := DumpChannel{Name: name, Items: []DumpItem{}}
	var st state
	if err := getState(b, &st); err != nil {
		return ch, err
	}
	ch.Segments, ch.Bytes, ch.Last = st.Segments, st.Bytes, st.Last
	var err error
	if ch.Pins, err = readPins(b.Bucket([]byte(bucketPins))); err != nil {
		return ch, err
	}
	for _, p := range ch.Pins {
		used[p.From.Anchor], used[p.To.Anchor] = true, true
	}
	return ch, b.Bucket([]byte(bucketItems)).ForEach(func(k, v []byte) error {
		i, err := decodeItem(v)
		if err != nil {
			return err
		}
		used[i.from().Anchor], used[i.to().Anchor] = true, true
		d := DumpItem{Place: keyPlace(k), Open: i.Kind == itemOpen, Copy: i.Kind == itemCopy, Parts: i.Parts}
		if i.Kind == itemGap {
			d.Gap = &i.Gap
		} else {
			d.Segment = &i.Segment
		}
		ch.Items = append(ch.Items, d)
		return nil
	})
}
