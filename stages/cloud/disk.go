package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// disk is a channel's folder on disk: what outlives the process. Each file appears whole and
// durable with its name, or not at all.
//
//	state.json            the numbers that were given out, the hour under way
//	packages/FOLDER~NAME  the spool: packages that the store has not confirmed
//	init/HASH.mp4         what they begin with
//	folders/FOLDER        hours whose playlist is not complete
//	events/NAME.json      events whose playlist is not complete: the keys of their packages
//	letters/NUMBER~NAME   messages and pictures of events that the store has not confirmed
type disk struct{ root *os.Root }

const (
	packagesDir = "packages"
	initDir     = "init"
	foldersDir  = "folders"
	eventsDir   = "events"
	lettersDir  = "letters"
	stateFile   = "state.json"
	tempPrefix  = ".new-"
)

// openDisk makes the folder where it is missing, and removes what was left half-made.
func openDisk(dir string) (*disk, error) {
	for _, sub := range []string{packagesDir, initDir, foldersDir, eventsDir, lettersDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o750); err != nil {
			return nil, fmt.Errorf("cloud: the folder of what is under way: %w", err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cloud: the folder of what is under way: %w", err)
	}
	d := &disk{root}
	for _, sub := range []string{".", packagesDir, initDir, foldersDir, eventsDir, lettersDir} {
		for _, name := range d.list(sub) {
			if strings.HasPrefix(name, tempPrefix) {
				err = errors.Join(err, d.remove(filepath.Join(sub, name)))
			}
		}
		err = errors.Join(err, d.sync(sub))
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return d, nil
}

// list returns the names of the files in a folder, sorted.
func (d *disk) list(sub string) []string {
	f, err := d.root.Open(sub)
	if err != nil {
		return nil
	}
	entries, err := f.ReadDir(-1)
	if errors.Join(err, f.Close()) != nil {
		return nil
	}
	all := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.Type().IsRegular() {
			all = append(all, e.Name())
		}
	}
	slices.Sort(all)
	return all
}

// save makes a file: first its bytes, then its name, both durable.
func (d *disk) save(path string, content []byte) (err error) {
	dir, base := filepath.Split(path)
	temp := dir + tempPrefix + base
	f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.root.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, d.remove(temp))
	}
	return d.sync(filepath.Clean(dir))
}

func (d *disk) sync(sub string) error {
	f, err := d.root.Open(sub)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// remove removes a file; that it is gone already is no error.
func (d *disk) remove(path string) error {
	if err := d.root.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// state is what a channel remembers of the run before.
type state struct {
	Next uint64 `json:"next"` // numbers from here on were never given out
	Hour hour   `json:"hour"`
}

func (d *disk) state() (s state, err error) {
	text, err := d.root.ReadFile(stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	return s, err
}

func (d *disk) close() error { return d.root.Close() }
