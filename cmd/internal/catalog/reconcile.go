package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/millrace-video/millrace/stages/record"
)

// folder is what is in a channel's folder, by name alone.
type folder struct {
	pieces []uint32 // of the journal
	files  []uint64 // the numbers of recordings, in no order
	merged []uint64 // of those that were merged from several
}

const (
	listStep  = 1024 // names read at a time: a folder of a year is not held at once
	numberMin = 8    // digits
	numberMax = 15
	timeLabel = "20060102T150405Z"
)

const mergedEnd = ".merged.mp4"

func isMerged(name string) bool { return strings.HasSuffix(name, mergedEnd) }

// fileNumber returns the number in the name of a recording, NUMBER-TIME.mp4 or
// NUMBER-TIME.merged.mp4, and its time.
func fileNumber(name string) (number uint64, label time.Time, ok bool) {
	number, ok = numberOf(name)
	_, back, _ := strings.Cut(name, "-")
	label, err := time.Parse(timeLabel, strings.TrimSuffix(strings.TrimSuffix(back, ".mp4"), ".merged"))
	if err != nil {
		label = time.Time{}
	}
	return number, label, ok
}

// numberOf is fileNumber for who needs no time: a folder has very many names.
func numberOf(name string) (uint64, bool) {
	dash := strings.IndexByte(name, '-')
	if dash < numberMin || dash > numberMax || !strings.HasSuffix(name, ".mp4") {
		return 0, false
	}
	n, err := strconv.ParseUint(name[:dash], 10, 64)
	return n, err == nil && n > 0
}

// list reads a folder. One that is not there is empty.
func list(dir string) (f folder, err error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	for {
		names, err := d.Readdirnames(listStep)
		for _, name := range names {
			f.add(name)
		}
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return f, err
		}
	}
}

func (f *folder) add(name string) {
	if n, ok := pieceNumber(name); ok {
		f.pieces = append(f.pieces, n)
	}
	switch n, ok := numberOf(name); {
	case !ok:
	case isMerged(name):
		f.merged = append(f.merged, n)
	default:
		f.files = append(f.files, n)
	}
}

// reconciler puts the catalog in order with the files: first it looks, in a transaction, then it
// settles what it found.
type reconciler struct {
	catalog *Catalog
	ch      *channel
	there   folder
	state   state
	late    bool // recorders are at work: files that the catalog does not know may be theirs

	open    []item   // segments that were not closed
	missing []item   // segments whose file is gone
	unlink  []string // given up, and perhaps still there

	known map[uint64]bool // every number of the catalog; nil: only what is recent was looked at
	joins map[uint64]bool // of them, those of merged files
}

// look reads what the database knows: only what can have changed, or everything where the
// number of files is not what it should be.
func (r *reconciler) look(b *bolt.Bucket) error {
	err := b.Bucket([]byte(bucketUnlink)).ForEach(func(k, _ []byte) error {
		r.unlink = append(r.unlink, string(k))
		return nil
	})
	if err != nil {
		return err
	}
	known := r.count()
	c := b.Bucket([]byte(bucketItems)).Cursor()
	if known != r.state.Segments {
		r.known, r.joins = make(map[uint64]bool, r.state.Segments), map[uint64]bool{}
		for _, name := range r.unlink {
			r.know(name)
		}
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if err := r.check(v); err != nil {
				return err
			}
		}
		return nil
	}
	for k, v := c.Last(); k != nil && keyPlace(k)+recent >= r.state.Last; k, v = c.Prev() {
		if keyClass(k) == classGap {
			continue
		}
		if err := r.check(v); err != nil {
			return err
		}
	}
	return nil
}

// count returns how many files there are with numbers that the catalog has seen and that are
// not given up. Where that is what it should be, the recent ones are all that is looked at
// further, and the others are forgotten.
func (r *reconciler) count() (known int64) {
	all := [][]uint64{r.there.files, r.there.merged}
	for _, numbers := range all {
		for _, n := range numbers {
			if n <= r.state.Last {
				known++
			}
		}
	}
	if known == r.state.Segments && len(r.unlink) == 0 {
		old := func(n uint64) bool { return n+2*recent < r.state.Last }
		r.there.files = slices.DeleteFunc(r.there.files, old)
		r.there.merged = slices.DeleteFunc(r.there.merged, old)
	}
	slices.Sort(r.there.files)
	slices.Sort(r.there.merged)
	for _, name := range r.unlink {
		if r.has(name) {
			known--
		}
	}
	return known
}

// recent is how many of the latest segments may have been open when the program ended.
const recent = 16

// has says whether a file is there, by its number.
func (r *reconciler) has(name string) bool {
	n, _ := numberOf(name)
	there := r.there.files
	if isMerged(name) {
		there = r.there.merged
	}
	_, ok := slices.BinarySearch(there, n)
	return ok
}

// know takes down that the catalog knows a file.
func (r *reconciler) know(name string) {
	if n, ok := numberOf(name); ok && isMerged(name) {
		r.joins[n] = true
	} else if ok {
		r.known[n] = true
	}
}

func (r *reconciler) check(value []byte) error {
	i, err := decodeItem(value)
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	if r.known != nil && i.Kind != itemGap {
		r.know(i.Segment.File)
	}
	switch i.Kind {
	case itemGap:
	case itemOpen:
		r.open = append(r.open, i)
	case itemClosed, itemCopy:
		if !r.has(i.Segment.File) {
			r.missing = append(r.missing, i)
		}
	}
	return nil
}

// settle repairs, takes in and removes. It returns what is to be entered for it.
func (r *reconciler) settle(s *store) ([]line, error) {
	var notes []line
	slices.SortFunc(r.open, func(x, y item) int { return cmp.Compare(x.Segment.Number, y.Segment.Number) })
	for _, i := range r.open {
		notes = append(notes, r.repair(i.Segment))
	}
	found, err := r.newer()
	if err != nil {
		return nil, err
	}
	notes = append(notes, found...)
	for _, i := range r.missing {
		r.log("a file is gone and leaves the catalog", i.Segment.File)
		notes = append(notes, line{Kind: lineRemoved, Removed: []uint64{i.place()}, Kept: i.Kind == itemCopy, Why: "the file is gone"})
	}
	return notes, unlinkFiles(s, r.ch, r.unlink)
}

func (i *item) place() uint64 {
	place := i.Segment.Number
	if i.Kind != itemCopy {
		for _, p := range i.Parts {
			place = min(place, p)
		}
	}
	return place
}

func (r *reconciler) log(what, file string, more ...any) {
	r.catalog.log.Warn(what, append([]any{"channel", r.ch.Name, "file", filepath.Join(r.ch.folder, file)}, more...)...)
}

// salvage repairs a file. One that is not there has nothing whole in it.
func (r *reconciler) salvage(file string) (record.Salvaged, error) {
	found, err := r.catalog.cfg.Salvage(filepath.Join(r.ch.folder, file))
	if errors.Is(err, fs.ErrNotExist) {
		return record.Salvaged{Path: file, Removed: true}, nil
	}
	return found, err
}

// repair closes a segment that was open when the program ended. What no salvage can be made of
// stays as the catalog knows it.
func (r *reconciler) repair(s record.Segment) line {
	s.EndedBy = "the program ended"
	found, err := r.salvage(s.File)
	switch {
	case err != nil:
		r.log("a file that was open cannot be repaired and stays as it is", s.File, "cause", err.Error())
		return line{Kind: lineClosed, Segment: &s}
	case found.Removed:
		r.log("a file that was open is not kept", s.File, "found", found.String())
		return line{Kind: lineRemoved, Removed: []uint64{s.Number}, Why: "nothing whole was in it"}
	}
	r.log("a file that was open is repaired", s.File, "found", found.String())
	s.Length, s.Bytes = found.Length(), found.Segment.Bytes
	return line{Kind: lineClosed, Segment: &s}
}

// isNew says whether a file is one that the catalog does not know.
func (r *reconciler) isNew(n uint64) bool {
	return n > r.state.Last || r.known != nil && !r.known[n]
}

// newer takes in files that the catalog does not know: those with numbers above all others,
// and, where the number of files was not what it should be, the rest.
func (r *reconciler) newer() ([]line, error) {
	if r.late || r.known == nil && !slices.ContainsFunc(r.there.files, r.isNew) {
		return nil, nil
	}
	entries, err := os.ReadDir(r.ch.folder) // by name, and so by number
	if err != nil {
		return nil, err
	}
	var notes []line
	for _, e := range entries {
		n, label, ok := fileNumber(e.Name())
		switch {
		case !ok || !e.Type().IsRegular():
		case isMerged(e.Name()):
			if l, ok := r.joined(e.Name(), n); ok {
				notes = append(notes, l)
			}
		case r.isNew(n):
			if s, ok := r.takeIn(e.Name(), n); ok {
				if s.Start.Anchor == 0 && !label.IsZero() {
					s.Start = record.Instant{Wall: label.UnixNano()}
				}
				notes = append(notes, line{Kind: lineClosed, Segment: &s})
			}
		}
	}
	return notes, nil
}

// takeIn salvages a file that the catalog does not know.
func (r *reconciler) takeIn(name string, n uint64) (record.Segment, bool) {
	found, err := r.salvage(name)
	if err != nil {
		r.log("a file that is new to the catalog is none that can be played, and is left alone", name, "cause", err.Error())
		return record.Segment{}, false
	}
	r.log("a file that was new to the catalog", name, "found", found.String())
	s := found.Segment
	s.Number, s.File, s.EndedBy = n, name, "found by its name"
	s.Start = r.catalog.foundAt(found)
	if s.Recording == 0 {
		s.Recording = n
	}
	return s, !found.Removed
}

// joined takes in a merged file whose parts were removed before the catalog was told. Where they
// are still there the merge is done again by who began it.
func (r *reconciler) joined(name string, n uint64) (line, bool) {
	if r.joins[n] {
		return line{}, false
	}
	at := slices.IndexFunc(r.missing, func(i item) bool { return i.Segment.Number == n && i.Kind == itemClosed })
	if at < 0 {
		return line{}, false
	}
	first := r.missing[at].Segment
	s, ok := r.takeIn(name, n)
	if !ok {
		return line{}, false
	}
	s.Start, s.Recording, s.EndedBy = first.Start, first.Recording, first.EndedBy
	l := line{Kind: lineMerged, Segment: &s}
	end := s.End().Mono
	r.missing = slices.DeleteFunc(r.missing, func(i item) bool {
		part := i.Kind == itemClosed && i.Segment.Recording == first.Recording && i.Segment.Start.Mono >= first.Start.Mono && i.Segment.Start.Mono < end
		if part {
			l.Parts = append(l.Parts, i.Segment.Number)
		}
		return part
	})
	return l, true
}

// foundAt places a file that nobody entered by its note; without one by nothing that any other
// time compares with.
func (c *Catalog) foundAt(found record.Salvaged) record.Instant {
	t := found.Segment.Start
	if !found.Noted || t == (record.Instant{}) {
		return record.Instant{}
	}
	if t.Anchor = c.anchors.near(t); t.Anchor == 0 {
		boot := fmt.Sprintf("found/%d", (t.Wall-t.Mono)/int64(time.Minute))
		t.Anchor = c.anchors.name(t, boot, boot)
	}
	return t
}

// removeFiles removes files, and makes that durable. What is not there is no error.
func removeFiles(dir string, names []string) error {
	removed := false
	for _, name := range names {
		if !isName(name) {
			continue
		}
		switch err := os.Remove(filepath.Join(dir, name)); {
		case err == nil:
			removed = true
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	if !removed {
		return nil
	}
	return syncDir(dir)
}

// unlinkFiles removes files that are given up, and takes them off the list of those.
func unlinkFiles(s *store, ch *channel, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if err := removeFiles(ch.folder, names); err != nil {
		return err
	}
	return s.update(func(tx *bolt.Tx) error {
		b := channelBucket(tx, ch.Name)
		if b == nil {
			return nil
		}
		for _, name := range names {
			if err := b.Bucket([]byte(bucketUnlink)).Delete([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
}
