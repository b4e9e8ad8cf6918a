package rtsp

import (
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// nalJoiner makes access units of H.264 (RFC 6184) or H.265 (RFC 7798) payloads: NAL units
// with 4-byte lengths, without delimiters and without the parameter sets that the stream
// names.
//
// An access unit ends at the marker bit or where the time stamp changes. A camera that sets
// the marker on every slice is found out at its first picture of more than one slice: from then
// on only the time stamp counts.
type nalJoiner struct {
	codec hal.Codec
	out   output
	au    assembly

	ts        uint32
	open      bool // au has units of ts
	closed    bool // ts was ended by a marker
	bad       bool // the rest of ts is thrown away
	fragment  bool // a fragmented unit is open
	slices    bool // au has a slice
	start     nal.Start
	markerLie bool // markers do not end an access unit

	param   bool // the open fragmented unit is a parameter set, kept in scratch
	skip    bool // the open fragmented unit is not wanted
	scratch []byte
}

func (j *nalJoiner) push(p *packet, lost bool) {
	if len(p.payload) == 0 {
		return // keeps the connection alive
	}
	pk := split(j.codec, p.payload)
	j.boundary(p.ts, lost, pk)
	if !j.bad {
		if err := j.unpack(p.payload, pk); err != nil {
			j.fail(blame(err))
		}
	}
	if p.marker && !j.markerLie && !j.fragment { // no picture ends within a unit
		j.finish()
		j.closed = true
	}
}

// boundary ends the access unit before where a new one begins, and decides what a loss broke.
func (j *nalJoiner) boundary(ts uint32, lost bool, pk packing) {
	same := ts == j.ts && (j.open || j.closed || j.bad)
	if same {
		if lost && !j.bad {
			j.fail(faultLost)
		}
		if j.closed && !j.bad && !lost && j.continues(pk) {
			j.markerLie, j.closed = true, false
			j.fail(faultMalformed) // the first part has left already
		}
		return
	}
	if lost && j.open {
		j.fail(faultLost)
	}
	j.finish()
	j.ts, j.closed, j.bad = ts, false, false
	if lost && !j.starts(pk) {
		j.fail(faultLost)
	}
}

// continues says whether a packet after the marker belongs to the picture before it.
func (j *nalJoiner) continues(pk packing) bool {
	var room [nal.SliceHead]byte
	head := pk.head(&room)
	filler := len(head) > 0 && nal.KindOf(j.codec, head[0]) == nal.Filler // may stand anywhere
	return pk.kind != packBad && !filler && !j.starts(pk)
}

// starts says whether a picture can begin with this packet.
func (j *nalJoiner) starts(pk packing) bool {
	var room [nal.SliceHead]byte
	return nal.Opens(j.codec, pk.head(&room))
}

func (j *nalJoiner) unpack(payload []byte, pk packing) error {
	if j.fragment && (pk.kind != packFragment || pk.begin) {
		return errBadUnit // the unit before has no end
	}
	switch pk.kind {
	case packSingle:
		return j.whole(payload)
	case packAggregate:
		for in := pk.body; len(in) > 0; {
			if len(in) < 2 {
				return errBadUnit
			}
			n := int(in[0])<<8 | int(in[1])
			if n == 0 || n > len(in)-2 {
				return errBadUnit
			}
			if err := j.whole(in[2 : 2+n]); err != nil {
				return err
			}
			in = in[2+n:]
		}
		return nil
	case packFragment:
		return j.piece(pk)
	case packBad:
		return errBadUnit
	}
	return errBadUnit
}

// whole takes a whole NAL unit.
func (j *nalJoiner) whole(unit []byte) error {
	if len(unit) < 2 {
		return nil // a delimiter of nothing; some cameras send them
	}
	kind := nal.KindOf(j.codec, unit[0])
	j.open = true
	if unwanted(kind) || kind.IsSet() && j.out.parameter(kind, unit) {
		return nil
	}
	j.note(kind, unit)
	if err := j.au.begin(); err != nil {
		return err
	}
	if err := j.au.add(unit); err != nil {
		return err
	}
	j.au.end()
	return nil
}

// unwanted says which units no frame has.
func unwanted(k nal.Kind) bool { return k == nal.Delimiter || k == nal.Filler }

// piece takes a fragment of a NAL unit.
func (j *nalJoiner) piece(pk packing) error {
	if pk.begin {
		if err := j.openFragment(pk); err != nil {
			return err
		}
	} else if !j.fragment {
		return errBadUnit
	}
	var err error
	switch {
	case j.skip:
	case j.param:
		if len(j.scratch)+len(pk.body) > nal.MaxSet {
			return errBadUnit
		}
		j.scratch = append(j.scratch, pk.body...)
	default:
		err = j.au.add(pk.body)
	}
	if err != nil || !pk.end {
		return err
	}
	j.fragment = false
	switch {
	case j.skip:
	case j.param:
		return j.whole(j.scratch)
	default:
		j.au.end()
	}
	return nil
}

func (j *nalJoiner) openFragment(pk packing) error {
	kind := nal.KindOf(j.codec, pk.header[0])
	j.open, j.fragment = true, true
	j.skip, j.param = unwanted(kind), kind.IsSet()
	switch {
	case j.skip:
		return nil
	case j.param:
		j.scratch = append(j.scratch[:0], pk.header[:pk.headerLen]...)
		return nil
	}
	var room [nal.SliceHead]byte
	j.note(kind, pk.head(&room))
	if err := j.au.begin(); err != nil {
		return err
	}
	return j.au.add(pk.header[:pk.headerLen])
}

// note remembers what kind of picture it is. Of a fragment it gets the head.
func (j *nalJoiner) note(kind nal.Kind, unit []byte) {
	j.slices = j.slices || kind.IsSlice()
	j.start.Add(j.codec, kind, unit)
}

// finish hands the open access unit on.
func (j *nalJoiner) finish() {
	switch {
	case j.bad || !j.open:
	case j.fragment:
		j.fail(faultMalformed)
	case j.slices:
		j.out.frame(&j.au, j.ts, 0, j.start.Key())
	}
	// What has no slice is parameter sets sent by themselves: nothing to show.
	j.reset()
}

// fail throws the open access unit away, and what still comes of it.
func (j *nalJoiner) fail(why fault) {
	if !j.bad {
		j.out.broken(why)
	}
	j.bad = true
	j.reset()
}

func (j *nalJoiner) reset() {
	j.au.Discard()
	j.open, j.fragment, j.slices, j.start = false, false, false, nal.Start{}
}
