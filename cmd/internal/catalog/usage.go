package catalog

import (
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Usage is what recordings and the spool take, what may stay and what would go next.
type Usage struct {
	Alarm    string         `json:"alarm,omitempty"`   // why the budget cannot be held
	Trouble  string         `json:"trouble,omitempty"` // why the catalog cannot be written
	Trusted  bool           `json:"clock_trusted"`     // the clock is; without it nothing goes for its age
	Bytes    int64          `json:"bytes"`             // of recordings and the spool
	MaxBytes int64          `json:"max_bytes,omitempty"`
	Disks    []DiskUsage    `json:"disks"`
	Channels []ChannelUsage `json:"channels"`
	Spool    *SpoolUsage    `json:"spool,omitempty"`
	Beside   []BesideUsage  `json:"beside,omitempty"` // not in Bytes
}

// DiskUsage is a file system with recordings.
type DiskUsage struct {
	Folder  string      `json:"folder"` // one that lies on it
	Total   int64       `json:"total"`
	Free    int64       `json:"free"`
	MinFree int64       `json:"min_free"`
	Next    []Sacrifice `json:"next"` // what goes first for room, in this order
}

// ChannelUsage is one channel.
type ChannelUsage struct {
	Name     string        `json:"name"`
	Folder   string        `json:"folder"`
	Disk     string        `json:"disk"` // DiskUsage.Folder
	Bytes    int64         `json:"bytes"`
	Segments int64         `json:"segments"`
	Pins     int           `json:"pins"`
	Oldest   *time.Time    `json:"oldest,omitempty"`
	Newest   *time.Time    `json:"newest,omitempty"` // the end of what was recorded last
	Keep     time.Duration `json:"keep_ns,omitempty"`
	MaxBytes int64         `json:"max_bytes,omitempty"`
}

// shown is how many of those that go next are told.
const shown = 5

// Usage looks at every channel and disk.
func (c *Catalog) Usage() (Usage, error) {
	c.mu.Lock()
	s, order := c.store, slices.Clone(c.order)
	c.mu.Unlock()
	u := Usage{
		Alarm: c.short.now(), Trouble: c.trouble.now(), Trusted: c.trusted(), MaxBytes: c.cfg.MaxBytes,
		Disks: []DiskUsage{}, Channels: []ChannelUsage{},
	}
	if s == nil {
		return u, ErrUnavailable
	}
	v, err := c.view(s, order, "", 0)
	if err != nil && len(v.Channels) == 0 {
		return u, err
	}
	for i, d := range v.Disks {
		next := Next(v, i, shown)
		if next == nil {
			next = []Sacrifice{}
		}
		u.Disks = append(u.Disks, DiskUsage{Folder: d.Name, Total: d.Total, Free: d.Free, MinFree: d.MinFree, Next: next})
	}
	if v.Spool != nil {
		u.Spool = &SpoolUsage{
			Folder: c.cfg.Spool.Dir, Disk: v.Disks[v.Spool.Disk].Name, Bytes: v.Spool.Rest + v.Spool.Events, Events: v.Spool.Events, MaxBytes: c.cfg.Spool.MaxBytes,
		}
		u.Bytes = u.Spool.Bytes
	}
	for _, b := range c.cfg.Beside {
		u.Beside = append(u.Beside, b.measure())
	}
	err = s.view(func(tx *bolt.Tx) error {
		for _, one := range v.Channels {
			ch := order[slices.IndexFunc(order, func(ch *channel) bool { return ch.Name == one.Name })]
			use := ChannelUsage{
				Name: one.Name, Folder: ch.folder, Disk: v.Disks[one.Disk].Name, Bytes: one.Bytes,
				Keep: ch.Limits.Keep, MaxBytes: ch.Limits.MaxBytes,
			}
			if wrong := use.fill(channelBucket(tx, one.Name)); wrong != nil {
				return wrong
			}
			u.Bytes += one.Bytes
			u.Channels = append(u.Channels, use)
		}
		return nil
	})
	return u, err
}

// fill reads what the view does not have.
func (u *ChannelUsage) fill(b *bolt.Bucket) error {
	if b == nil {
		return nil
	}
	var st state
	if err := getState(b, &st); err != nil {
		return err
	}
	pins, err := readPins(b.Bucket([]byte(bucketPins)))
	if err != nil {
		return err
	}
	u.Segments, u.Pins = st.Segments, len(pins)
	c := b.Bucket([]byte(bucketItems)).Cursor()
	end := func(k, v []byte, step func() ([]byte, []byte), of func(*item) time.Time) (*time.Time, error) {
		for ; k != nil; k, v = step() {
			i, wrong := decodeItem(v)
			if wrong != nil {
				return nil, fmt.Errorf("%w: %w", errDamaged, wrong)
			}
			if i.Kind.isSegment() {
				t := of(&i)
				return &t, nil
			}
		}
		return nil, nil //nolint:nilnil // there is no segment
	}
	k, v := c.First()
	if u.Oldest, err = end(k, v, c.Next, func(i *item) time.Time { return i.from().Time() }); err != nil {
		return err
	}
	k, v = c.Last()
	u.Newest, err = end(k, v, c.Prev, func(i *item) time.Time { return i.to().Time() })
	return err
}
