package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/stages/record"
)

// How many files of a channel a view lists, of those that are not pinned and of those that are.
const (
	listed       = 64
	listedPinned = 16
)

// diskOf finds or adds the file system that a folder lies on; where the folder is not there,
// that of the one above it.
func (v *View) diskOf(dir string, devices *[]uint64, b Budget) (int, error) {
	var st unix.Stat_t
	err := unix.Stat(dir, &st)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
		err = unix.Stat(dir, &st)
	}
	if err != nil {
		return 0, &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	device := uint64(st.Dev) //nolint:unconvert // 32 bits elsewhere
	if i := slices.Index(*devices, device); i >= 0 {
		return i, nil
	}
	var space unix.Statfs_t
	if err := unix.Statfs(dir, &space); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	block := int64(space.Bsize) //nolint:unconvert // 32 bits elsewhere
	d := DiskView{Name: dir, Total: int64(space.Blocks) * block, Free: int64(space.Bavail) * block}
	d.MinFree = b.minFree(d.Total)
	v.Disks, *devices = append(v.Disks, d), append(*devices, device)
	return len(v.Disks) - 1, nil
}

// view looks at every channel that is ready. want is what somebody needs at once on the disk of
// a folder; empty: nobody does. What is wrong with a disk is told beside it.
func (c *Catalog) view(s *store, order []*channel, dir string, want int64) (View, error) {
	now := c.cfg.Clock.Now().UnixNano()
	v := View{Now: now, Trusted: c.trusted(), MaxBytes: c.cfg.MaxBytes}
	var devices []uint64
	var errs []error
	boots := c.anchors.boots()
	err := s.view(func(tx *bolt.Tx) error {
		for _, ch := range order {
			if !ch.ready.Load() {
				continue
			}
			disk, err := v.diskOf(ch.folder, &devices, c.cfg.Budget)
			if err != nil {
				errs = append(errs, fmt.Errorf("channel %s: %w", ch.Name, err))
				continue
			}
			one := ChannelView{Name: ch.Name, Disk: disk, Limits: ch.Limits, More: map[bool]bool{}}
			if b := channelBucket(tx, ch.Name); b != nil {
				if err := c.look(b, ch, now, boots, &one); err != nil {
					return err
				}
			}
			v.Channels = append(v.Channels, one)
		}
		return nil
	})
	if at := c.viewSpool(&v, &devices); at != nil {
		errs = append(errs, fmt.Errorf("the spool: %w", at))
	}
	if dir != "" && err == nil {
		i, at := v.diskOf(dir, &devices, c.cfg.Budget)
		if at != nil {
			return v, errors.Join(append(errs, at)...)
		}
		v.Disks[i].Want = want
	}
	return v, errors.Join(append(errs, err)...)
}

// look lists a channel's oldest files.
func (c *Catalog) look(b *bolt.Bucket, ch *channel, now int64, boots map[uint32]uint32, to *ChannelView) error {
	var st state
	if err := getState(b, &st); err != nil {
		return err
	}
	to.Bytes = st.Bytes
	pins, err := readPins(b.Bucket([]byte(bucketPins)))
	if err != nil {
		return err
	}
	counts := map[bool]int{}
	var last Age
	cursor := b.Bucket([]byte(bucketItems)).Cursor()
	for k, v := cursor.First(); k != nil && (!to.More[false] || !to.More[true]); k, v = cursor.Next() {
		i, err := c.candidate(ch, k, v)
		if err != nil {
			return err
		}
		if i == nil {
			continue
		}
		f := FileView{
			Place: keyPlace(k), Copy: i.Kind == itemCopy, File: i.Segment.File, Bytes: i.Segment.Bytes, Start: i.Segment.Start.Wall,
			End: i.Segment.End().Wall, Labeled: c.anchors.get(i.Segment.Start.Anchor).Trusted,
			Age:    Age{boots[i.Segment.Start.Anchor], i.Segment.Start.Mono},
			Pinned: slices.ContainsFunc(pins, func(p Pin) bool { return p.lasts(now, ch.Limits) && p.holds(&i.Segment) }),
		}
		if f.Age.before(last) || f.Age.Boot == 0 {
			f.Age = last // within a channel the numbers order
		}
		last = f.Age
		most := listed
		if f.Pinned {
			most = listedPinned
		}
		if counts[f.Pinned]++; counts[f.Pinned] > most {
			to.More[f.Pinned] = true
			if len(pins) == 0 {
				break
			}
			continue
		}
		to.Segments = append(to.Segments, f)
	}
	to.Bytes += growth(b, ch.folder, st.Open)
	return nil
}

// candidate returns the file of an item that may be given up; nil where it is none.
func (c *Catalog) candidate(ch *channel, key, value []byte) (*item, error) {
	if keyClass(key) == classGap {
		return nil, nil //nolint:nilnil // it is none
	}
	i, err := decodeItem(value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if i.Kind == itemGap || i.Kind == itemOpen || c.hides(ch, keyPlace(key)) {
		return nil, nil //nolint:nilnil // it is none
	}
	return &i, nil
}

// growth is how many bytes the open file has more than the catalog knows.
func growth(b *bolt.Bucket, dir string, open uint64) int64 {
	i, err := decodeItem(b.Bucket([]byte(bucketItems)).Get(itemKey(open, classFile, 0)))
	if open == 0 || err != nil {
		return 0
	}
	info, err := os.Stat(filepath.Join(dir, i.Segment.File))
	if err != nil {
		return 0
	}
	return max(0, info.Size()-i.Segment.Bytes)
}

// hides says whether a file was given up although the catalog could not be told yet.
func (c *Catalog) hides(ch *channel, place uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ch.gone[place]
}

// lasts says whether a pin's time is not over.
func (p *Pin) lasts(now int64, l Limits) bool {
	until := p.Until
	if until == 0 {
		until = p.To.Wall + int64(l.keptFor())
	}
	return now < until
}

// boots tells for each anchor the first one of its boot, so that boots have an order.
func (a *anchors) boots() map[uint32]uint32 {
	first := map[string]uint32{}
	order := map[uint32]uint32{}
	for _, n := range a.list() {
		if first[n.Boot] == 0 {
			first[n.Boot] = n.ID
		}
		order[n.ID] = first[n.Boot]
	}
	return order
}

// trusted says whether the wall clock may count ages.
func (c *Catalog) trusted() bool {
	return c.anchors.get(c.anchors.find(c.cfg.Clock.Anchor().Number, c.start)).Trusted
}

// present is now, as this program's clock has it.
func (c *Catalog) present() record.Instant {
	mono := c.cfg.Clock.Mono()
	return record.Instant{Wall: c.cfg.Clock.Wall(mono).UnixNano(), Mono: mono, Anchor: c.cfg.Clock.Anchor().Number}
}
