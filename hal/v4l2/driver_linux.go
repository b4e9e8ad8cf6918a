package v4l2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/millrace-video/millrace/hal"
)

// Driver opens the kernel's cameras. The zero value works; New's also remembers which camera
// a device node was.
type Driver struct {
	// Record is asked for a place to write a trace to whenever a camera is opened, which is
	// closed with it; nil, or a nil writer: nothing is recorded. Recording costs time with every
	// frame.
	Record func(node string) (io.WriteCloser, error)
	// Payload is how many bytes of each plane of a picture a trace keeps: 0 keeps none, and such
	// a trace shows nobody anything.
	Payload int
	// Replay is opened by every URL instead of a camera of this machine; one without parameters stands
	// for those it was recorded with. At its end the camera is gone; where Loop is set its pictures
	// begin anew.
	Replay *Trace
	Loop   bool

	faces *faces
}

var (
	_ hal.SourceDriver = Driver{}
	_ hal.Lister       = Driver{}
)

// New returns a driver that knows a camera again: one that was opened as /dev/video0, was
// unplugged and comes back as /dev/video1 is what v4l2:///dev/video0 still opens.
func New() Driver { return Driver{faces: &faces{seen: map[string]identity{}}} }

// Name implements hal.Driver.
func (Driver) Name() string { return Scheme }

// Schemes implements hal.SourceDriver.
func (Driver) Schemes() []string { return []string{Scheme} }

// Check implements hal.SourceDriver.
func (Driver) Check(u *url.URL) error {
	_, err := Parse(u)
	return err
}

// Open implements hal.SourceDriver. The camera streams when it returns.
func (d Driver) Open(ctx context.Context, u *url.URL, opts hal.Options) (hal.Source, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if d.Replay != nil && u.RawQuery == "" {
		asked := *u
		asked.RawQuery = d.Replay.asked
		u = &asked
	}
	t, err := Parse(u)
	if err != nil {
		return nil, errors.Join(hal.ErrUnsupported, err)
	}
	opts = opts.WithDefaults()
	var n node
	var name string
	switch {
	case d.Replay != nil:
		p := newPlayer(d.Replay, d.Loop, opts.Clock)
		n, name = p, p.String()
	case !builtIn():
		return nil, fmt.Errorf("%w: %w", hal.ErrUnsupported, errNotBuiltIn())
	default:
		var k *kernel
		if k, name, err = d.openCamera(&t); err != nil {
			return nil, err
		}
		n = k
	}
	if d.Record != nil {
		if n, err = d.recorded(n, name, parameters(u), opts.Clock); err != nil {
			return nil, err
		}
	}
	s, err := openSource(ctx, n, name, t, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, signalError(err))
	}
	return s, nil
}

func (d Driver) recorded(n node, name, asked string, clock *hal.Clock) (node, error) { //nolint:ireturn // it is the seam
	out, err := d.Record(name)
	if err != nil {
		_ = n.close() //nolint:errcheck // the first error counts
		return nil, fmt.Errorf("record a trace of %s: %w", name, err)
	}
	if out == nil {
		return n, nil
	}
	return newRecorder(n, name, asked, out, d.Payload, clock), nil
}

// parameters are those of a URL but for the one that says which of a device's nodes it is.
func parameters(u *url.URL) string {
	return strings.Join(slices.DeleteFunc(strings.Split(u.RawQuery, "&"), func(p string) bool {
		return strings.HasPrefix(p, "index=")
	}), "&")
}

// openCamera opens the node of the camera that is meant.
func (d Driver) openCamera(t *Target) (*kernel, string, error) {
	m := thisMachine()
	path := t.Path
	if path == "" {
		s, err := m.find(t)
		if err != nil {
			return nil, "", err
		}
		path = s.path
	} else if known, ok := d.recall(path); ok {
		s, err := m.again(path, known)
		if err != nil {
			return nil, "", err
		}
		path = s.path
	}
	k, err := openKernel(path)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, openError(err))
	}
	if t.Path != "" && d.faces != nil {
		d.learn(m, t.Path, path)
	}
	return k, path, nil
}

func (d Driver) recall(path string) (identity, bool) {
	if d.faces == nil {
		return identity{}, false
	}
	return d.faces.recall(path)
}

// learn keeps which camera it was that was meant by a path and is now at another.
func (d Driver) learn(m machine, meant, path string) {
	all, _ := m.stations() //nolint:errcheck // it is remembered the next time
	for _, s := range all {
		if s.path == path {
			d.faces.keep(meant, s.identity)
		}
	}
}

// Devices implements hal.Lister.
func (Driver) Devices(ctx context.Context) ([]hal.Device, error) {
	if !builtIn() {
		return nil, errNotBuiltIn()
	}
	m := thisMachine()
	all, failed := m.stations()
	devices := make([]hal.Device, 0, len(all))
	for i := range all {
		if ctx.Err() != nil {
			return devices, context.Cause(ctx)
		}
		d, err := all[i].describe()
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", all[i].path, err))
			continue
		}
		devices = append(devices, d)
	}
	return devices, failed
}

// describe lists what a camera can do.
func (s *station) describe() (hal.Device, error) {
	d := hal.Device{URL: s.url(), Driver: Scheme, Name: s.card, Bus: s.bus, Node: s.path, Serial: s.serial}
	k, err := openKernel(s.path)
	if err != nil {
		return d, openError(err)
	}
	typ, err := captureType(&s.capability)
	if err == nil {
		var offers []offer
		if typ == captureSingle {
			offers, d.Controls = askByLibrary(k)
		} else {
			offers, d.Controls = askOffers(k, typ), askControls(k)
		}
		d.Formats = formatsOf(offers)
	}
	return d, errors.Join(err, k.close())
}

// url is how the camera is named so that it is found under any number.
func (s *station) url() string {
	if s.bus == "" {
		return Scheme + "://" + s.path
	}
	u := url.URL{Scheme: Scheme, Host: "bus", Path: "/" + s.bus}
	if s.index > 0 {
		u.RawQuery = fmt.Sprintf("index=%d", s.index)
	}
	return u.String()
}

// askControls lists a node's controls.
func askControls(n node) []hal.Control {
	queried := queryControls(n)
	all := make([]hal.Control, 0, len(queried))
	for _, q := range queried {
		c := hal.Control{
			Name: controlName(q.Name.String()), Kind: controlKind(q.Type),
			Min: q.Min, Max: q.Max, Step: int64(q.Step), Default: q.Default,
		}
		if q.Type == controlMenu || q.Type == controlIntegerMenu {
			c.Menu = menuItems(n, &q)
		}
		if v, err := getControl(n, q.ID); err == nil && c.Kind != "button" {
			value := int64(v)
			c.Value = &value
		}
		all = append(all, c)
	}
	return all
}
