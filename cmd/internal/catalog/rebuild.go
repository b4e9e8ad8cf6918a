package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// Rebuild makes the database of a data folder anew from the journals and files, with the same
// content, and keeps the old one beside it as long as it takes. progress is told what is being
// done; it may be nil. Channels that cfg does not name are found by their folders. ErrInUse says
// that a program works with the catalog.
func Rebuild(cfg Config, progress func(string)) (*Catalog, error) {
	cfg = cfg.withDefaults()
	if progress == nil {
		progress = func(string) {}
	}
	path := filepath.Join(cfg.Data, database)
	if _, err := os.Stat(cfg.Data); err != nil {
		return nil, fmt.Errorf("the data folder: %w", err)
	}
	old, err := openStore(path)
	switch {
	case err == nil:
		err = old.close()
	case isDamage(err):
		err = nil
	}
	if err != nil {
		return nil, err
	}
	found, err := Discover(cfg.Data)
	if err != nil {
		return nil, err
	}
	for _, ch := range found {
		if !slices.ContainsFunc(cfg.Channels, func(known Channel) bool { return cfg.folder(known) == cfg.folder(ch) || known.Name == ch.Name }) {
			cfg.Channels = append(cfg.Channels, ch)
		}
	}
	cfg.progress = progress
	return anew(cfg, path)
}

// anew opens a catalog without its database, which is kept until there is another.
func anew(cfg Config, path string) (*Catalog, error) {
	aside := path + ".old"
	if err := os.Rename(path, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	c, err := Open(cfg)
	if err == nil {
		if text := c.trouble.now(); text != "" {
			err = errors.Join(errors.New(text), c.Close())
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.Rename(aside, path))
	}
	if err = os.Remove(aside); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return c, err
}

// Discover returns the channels that have a folder with recordings or a journal in a data folder.
func Discover(data string) ([]Channel, error) {
	entries, err := os.ReadDir(data)
	if err != nil {
		return nil, err
	}
	var all []Channel
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		there, err := list(filepath.Join(data, e.Name()))
		if err != nil {
			return nil, err
		}
		if len(there.pieces)+len(there.files) == 0 {
			continue
		}
		ch := Channel{Name: e.Name(), Dir: e.Name()}
		if name := namedIn(filepath.Join(data, e.Name()), there.pieces); name != "" {
			ch.Name = name
		}
		all = append(all, ch)
	}
	return all, nil
}

var errFound = errors.New("found")

// namedIn returns the channel that a journal says it is of; empty where it does not.
func namedIn(dir string, pieces []uint32) (name string) {
	slices.Sort(pieces)
	for _, p := range pieces {
		_, err := readPiece(filepath.Join(dir, pieceName(p)), 0, func(l *line) error {
			if l.Kind == lineStart && l.Channel != "" && isName(l.Channel) {
				name = l.Channel
				return errFound
			}
			return nil
		})
		if err != nil {
			return name
		}
	}
	return name
}

// readAnchors makes known what a journal says of anchors: those of all journals have to be there
// before the lines of one are taken in.
func (c *Catalog) readAnchors(ch *channel, there folder) error {
	slices.Sort(there.pieces)
	for _, p := range there.pieces {
		_, err := readPiece(filepath.Join(ch.folder, pieceName(p)), 0, func(l *line) error {
			if l.Kind == lineAnchor {
				c.anchors.put(*l.Anchor)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Close ends a catalog whose Run was never started.
func (c *Catalog) Close() error { return c.close(nil) }

// OpenToRead opens the catalog of a data folder for looking at it alone: nothing is repaired,
// nothing is changed. ErrInUse says that a program works with it; ask that.
func OpenToRead(cfg Config) (*Catalog, error) {
	cfg = cfg.withDefaults()
	c := newCatalog(cfg)
	if _, err := os.Stat(c.path()); err != nil {
		return nil, fmt.Errorf("there is no catalog: %w: millrace run makes one, millrace catalog rebuild makes it from recordings", err)
	}
	s, err := openStore(c.path())
	if err != nil {
		return nil, err
	}
	c.store = s
	err = s.view(func(tx *bolt.Tx) error {
		if known := c.loadAnchors(tx); known != nil {
			return known
		}
		return tx.Bucket([]byte(bucketChannels)).ForEachBucket(func(name []byte) error {
			ch := c.channel(string(name), Channel{})
			ch.ready.Store(true)
			return getState(channelBucket(tx, ch.Name), &ch.state)
		})
	})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.trustClock()
	return c, nil
}
