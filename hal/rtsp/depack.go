package rtsp

import (
	"errors"

	"github.com/millrace-video/millrace/hal/nal"
	"github.com/millrace-video/millrace/pool"
)

// maxUnit is the largest access unit taken: more than a key frame of 8K video needs.
const maxUnit = 16 << 20

// unpacker joins the payloads of one track into frames. push takes packets in order; lost
// says that one or more before this one are missing.
type unpacker interface {
	push(p *packet, lost bool)
}

// output is where an unpacker leaves what it finds; the track behind it knows the time and
// the stream.
type output interface {
	// frame takes what was built: one access unit that belongs to ts, plus ticks of the clock
	// where more than one came under one time stamp.
	frame(b *assembly, ts uint32, ticks int64, key bool)
	// broken says that an access unit had to be thrown away, and who is to blame.
	broken(why fault)
	// parameter takes a parameter set (without prefix). It returns true where the stream
	// names it and the frame need not repeat it.
	parameter(kind nal.Kind, unit []byte) bool
}

type fault uint8

const (
	faultLost      fault = iota // packets are missing; they were counted by their numbers
	faultMalformed              // it made no sense
	faultNoRoom                 // the arena is full
)

var (
	errUnitTooLarge = errors.New("access unit too large")
	errBadUnit      = errors.New("malformed payload")
)

// assembly is one access unit as it grows in the arena, its NAL units or OBUs each behind its
// length.
type assembly struct {
	*pool.Builder

	unit int // where the open unit's length stands
}

// add appends p.
func (a *assembly) add(p []byte) error {
	if a.Len()+len(p) > maxUnit {
		return errUnitTooLarge
	}
	return a.Append(p)
}

// begin opens a unit behind its length; end fills that in.
func (a *assembly) begin() error {
	a.unit = a.Len()
	if a.unit+nal.PrefixLen > maxUnit {
		return errUnitTooLarge
	}
	_, err := a.Grow(nal.PrefixLen)
	return err
}

func (a *assembly) end() {
	unit := a.Bytes()[a.unit:]
	nal.PutLength(unit, len(unit)-nal.PrefixLen)
}

// blame turns an error of the assembly into what is counted.
func blame(err error) fault {
	if errors.Is(err, pool.ErrArenaFull) {
		return faultNoRoom
	}
	return faultMalformed
}
