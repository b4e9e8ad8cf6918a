package v4l2

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/millrace-video/millrace/hal"
)

// rankEncoder is the rank of hardware encoders: above every software.
const rankEncoder = 100

// codedFormat is an encoded format that an encoder can produce.
type codedFormat struct {
	pixel fourCC
	codec hal.Codec
}

// codedFormats lists what is taken of an encoder.
func codedFormats() []codedFormat {
	return []codedFormat{
		{fourCCOf("H264"), hal.H264},
		{fourCCOf("HEVC"), hal.H265},
		{fourCCOf("JPEG"), hal.MJPEG},
		{fourCCOf("MJPG"), hal.MJPEG},
		{fourCCOf("FWHT"), hal.FWHT},
	}
}

// encoders finds and opens the encoders of a machine.
type encoders struct {
	list func() ([]string, error)        // paths of the device nodes
	open func(path string) (node, error) // one of them
}

// machineEncoders are those of this machine.
func machineEncoders() encoders {
	return encoders{
		list: videoNodes,
		open: func(path string) (node, error) {
			k, err := openKernel(path)
			if err != nil {
				return nil, err
			}
			return k, nil
		},
	}
}

// videoNodes lists the device nodes of video devices, by number.
func videoNodes() ([]string, error) {
	all, err := filepath.Glob("/dev/video[0-9]*")
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(path string) bool { return nodeNumber(path) < 0 })
	slices.SortFunc(all, func(a, b string) int { return nodeNumber(a) - nodeNumber(b) })
	return all, nil
}

// nodeNumber returns the number of a device node, −1 where the name is no node's.
func nodeNumber(path string) int {
	n, err := strconv.ParseUint(strings.TrimPrefix(filepath.Base(path), "video"), 10, 16)
	if err != nil {
		return -1
	}
	return int(n)
}

// m2m is a device node that encodes.
type m2m struct {
	path, name string
	detail     string
	multi      bool
	codecs     []codedFormat
	raw        []known // what it takes, in its own order
}

func (m *m2m) rawType() bufType {
	if m.multi {
		return outputMulti
	}
	return outputSingle
}

func (m *m2m) codedType() bufType {
	if m.multi {
		return captureMulti
	}
	return captureSingle
}

// find returns the encoders there are, by the number of their node. A node that cannot be asked
// hides no other: the errors come joined, beside what was found.
func (e encoders) find(ctx context.Context) ([]m2m, error) {
	paths, err := e.list()
	errs := []error{err}
	var all []m2m
	for _, path := range paths {
		if ctx.Err() != nil {
			return all, context.Cause(ctx)
		}
		m, ok, err := e.probe(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			continue
		}
		if !ok {
			continue
		}
		if same := countNamed(all, m.name); same > 0 {
			m.name = fmt.Sprintf("%s#%d", m.name, same+1)
		}
		all = append(all, m)
	}
	return all, errors.Join(errs...)
}

// countNamed counts the encoders of a name, and those that were given a number after it.
func countNamed(all []m2m, name string) int {
	n := 0
	for i := range all {
		if all[i].name == name || strings.HasPrefix(all[i].name, name+"#") {
			n++
		}
	}
	return n
}

// probe asks a node whether it is an encoder.
func (e encoders) probe(path string) (m m2m, ok bool, err error) {
	n, err := e.open(path)
	if err != nil {
		return m2m{}, false, openError(err)
	}
	defer func() { err = errors.Join(err, n.close()) }()
	var c capability
	if err := n.ioctl(vidiocQueryCap, unsafe.Pointer(&c)); err != nil {
		return m2m{}, false, encoderError(vidiocQueryCap.String(), err)
	}
	own := c.own()
	switch {
	case own&capStreaming == 0:
		return m2m{}, false, nil
	case own&capM2MMulti != 0:
		m.multi = true
	case own&capM2M == 0: // what is both by its other flags may be a loop-back camera
		return m2m{}, false, nil
	}
	m.path = path
	m.name = encoderName(path, &c)
	m.detail = fmt.Sprintf("%s (%s)", path, c.Card.String())
	if !m.formats(n) {
		return m2m{}, false, nil
	}
	return m, true, nil
}

// formats asks what the node makes of what; false where it encodes nothing.
func (m *m2m) formats(n node) bool {
	coded := askPixels(n, m.codedType())
	for _, f := range codedFormats() {
		there := slices.ContainsFunc(coded, func(d formatDesc) bool { return d.Pixel == f.pixel })
		again := slices.ContainsFunc(m.codecs, func(c codedFormat) bool { return c.codec == f.codec })
		if there && !again {
			m.codecs = append(m.codecs, f)
		}
	}
	if len(m.codecs) == 0 {
		return false
	}
	for _, d := range askPixels(n, m.rawType()) {
		if k, ok := lookup(d.Pixel); ok && k.codec == hal.Raw {
			m.raw = append(m.raw, k)
		}
	}
	return len(m.raw) > 0
}

// encoderName names an encoder by its card and where it is, which stay when its node's number
// changes: v4l2:vicodec@platform:vicodec.
func encoderName(path string, c *capability) string {
	card, bus := c.Card.String(), c.Bus.String()
	if card == "" || bus == "" {
		return Scheme + ":" + filepath.Base(path)
	}
	return Scheme + ":" + strings.ReplaceAll(card+"@"+bus, " ", "-")
}

// inputs lists the pixel formats that the encoder takes: what its driver takes, and what is
// converted for it in the one copy that is made then.
func (m *m2m) inputs() []hal.PixelFormat {
	all := []hal.PixelFormat{hal.NV12, hal.I420, hal.NM12, hal.YM12, hal.YUYV, hal.UYVY, hal.NV21}
	return slices.DeleteFunc(all, func(p hal.PixelFormat) bool {
		_, ok := m.choose(p)
		return !ok
	})
}

// choose returns the driver's format for pictures of a format: the same; the same in other
// pieces of memory; what it can be converted into.
func (m *m2m) choose(p hal.PixelFormat) (known, bool) {
	wanted := []func(hal.PixelFormat) bool{
		func(o hal.PixelFormat) bool { return o == p },
		func(o hal.PixelFormat) bool { return flat(o) == flat(p) },
		func(o hal.PixelFormat) bool { return flat(o) == hal.NV12 },
		func(o hal.PixelFormat) bool { return flat(o) == hal.I420 },
	}
	for _, is := range wanted {
		if i := slices.IndexFunc(m.raw, func(k known) bool { return is(k.layout) }); i >= 0 {
			return m.raw[i], true
		}
	}
	return known{}, false
}

// flat is a format regardless of which memory its planes are in.
func flat(p hal.PixelFormat) hal.PixelFormat {
	switch p {
	case hal.NM12:
		return hal.NV12
	case hal.YM12:
		return hal.I420
	case hal.PixelUnknown, hal.I420, hal.YUYV, hal.UYVY, hal.NV12, hal.NV21:
	}
	return p
}
