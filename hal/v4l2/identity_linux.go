package v4l2

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/millrace-video/millrace/hal"
)

// identity is what a camera is known by while its number changes.
type identity struct {
	bus    string // where it is plugged in
	serial string // of the USB device; most webcams have none
	card   string // its name
	index  int    // among the capture nodes of its device
}

// is says whether a camera that is plugged in is the one meant: it is at the same place, or
// has the same serial number.
func (i identity) is(o identity) bool {
	if i.index != o.index {
		return false
	}
	return i.bus != "" && i.bus == o.bus || i.serial != "" && i.serial == o.serial && i.card == o.card
}

// station is a capture node that is present.
type station struct {
	identity
	path       string
	capability capability
}

// machine is where a system keeps its devices.
type machine struct {
	sys, dev string // "/sys" and "/dev"
}

func thisMachine() machine { return machine{sys: "/sys", dev: "/dev"} }

// nodes lists the names of the video nodes, by their number.
func (m machine) nodes() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(m.sys, "class", "video4linux"))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the video devices: %w", err)
	}
	type numbered struct {
		name   string
		number int
	}
	var all []numbered
	for _, e := range entries {
		if n, ok := strings.CutPrefix(e.Name(), "video"); ok {
			if number, err := strconv.Atoi(n); err == nil {
				all = append(all, numbered{e.Name(), number})
			}
		}
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
	names := make([]string, 0, len(all))
	for _, n := range all {
		names = append(names, n.name)
	}
	return names, nil
}

// serial returns the serial number of the device that a node belongs to: the nearest of its
// ancestors in sysfs that has one, none of which is a bus.
func (m machine) serial(name string) string {
	dir, err := filepath.EvalSymlinks(filepath.Join(m.sys, "class", "video4linux", name, "device"))
	if err != nil {
		return ""
	}
	const most = 4 // from a USB interface to its device is one step; above are hubs, which have numbers of their own
	for range most {
		if _, err := os.Stat(filepath.Join(dir, "bDeviceClass")); err == nil { // a USB device
			b, err := os.ReadFile(filepath.Join(dir, "serial"))
			if err != nil {
				return ""
			}
			return strings.TrimSpace(string(b[:min(len(b), 128)]))
		}
		dir = filepath.Dir(dir)
		if !strings.HasPrefix(dir, m.sys) {
			break
		}
	}
	return ""
}

// stations lists the capture nodes that are present. Nodes that cannot be opened are left out,
// and the first reason is returned beside the others.
func (m machine) stations() ([]station, error) {
	names, err := m.nodes()
	if err != nil {
		return nil, err
	}
	var all []station
	var failed error
	count := map[string]int{}
	for _, name := range names {
		s := station{path: filepath.Join(m.dev, name)}
		if s.capability, err = capabilityOf(s.path); err != nil {
			if failed == nil {
				failed = fmt.Errorf("%s: %w", s.path, err)
			}
			continue
		}
		if _, err := captureType(&s.capability); err != nil {
			continue
		}
		s.bus, s.card, s.serial = s.capability.Bus.String(), s.capability.Card.String(), m.serial(name)
		s.index = count[s.bus]
		count[s.bus]++
		all = append(all, s)
	}
	return all, failed
}

// capabilityOf asks a node what it is.
func capabilityOf(path string) (capability, error) {
	k, err := openKernel(path)
	if err != nil {
		return capability{}, openError(err)
	}
	c, err := ask(k)
	_ = k.close() //nolint:errcheck // nothing was written
	return c, err
}

// find returns the node of the camera that a target names.
func (m machine) find(t *Target) (station, error) {
	all, failed := m.stations()
	for _, s := range all {
		if s.index == t.Index && (t.Bus != "" && s.bus == t.Bus || t.Serial != "" && s.serial == t.Serial) {
			return s, nil
		}
	}
	what := "bus " + t.Bus
	if t.Serial != "" {
		what = "serial " + t.Serial
	}
	var present []string
	for _, s := range all {
		present = append(present, s.path+" at bus "+s.bus)
	}
	if present == nil {
		present = []string{"none"}
	}
	err := fmt.Errorf("%w: no camera of %s is plugged in; there are: %s", hal.ErrNoDevice, what, strings.Join(present, ", "))
	if failed != nil {
		err = fmt.Errorf("%w; %w", err, failed)
	}
	return station{}, err
}

// faces keeps which camera a node was, so that it is found again under another number.
type faces struct {
	mu   sync.Mutex
	seen map[string]identity // by path
}

func (f *faces) recall(path string) (identity, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, ok := f.seen[path]
	return id, ok
}

func (f *faces) keep(path string, id identity) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[path] = id
}

// again returns the node where the camera is now that was at path when it was opened first.
func (m machine) again(path string, known identity) (station, error) {
	all, _ := m.stations() //nolint:errcheck // what cannot be opened is not it
	for _, s := range all {
		if s.is(known) {
			return s, nil
		}
	}
	return station{}, fmt.Errorf("%w: %s at bus %s, which was %s, is not plugged in", hal.ErrNoDevice, known.card, known.bus, path)
}
