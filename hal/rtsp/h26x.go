package rtsp

// nalKind is what the joiner does with a NAL unit.
type nalKind uint8

const (
	nalOther  nalKind = iota // goes along with the picture it stands before
	nalSlice                 // a slice of a picture
	nalKey                   // a slice of a picture that a decoder can start at
	nalPrefix                // may stand only before the first slice
	nalStrip                 // access unit delimiter, filler
	nalParam                 // a parameter set
)

// syntax is what H.264 and H.265 differ in. It is no interface: its arguments stay on the stack.
type syntax struct{ hevc bool }

// classify looks at a NAL unit's header. The kind of parameter set counts for nalParam only.
func (s syntax) classify(nal []byte) (nalKind, paramKind) {
	if s.hevc {
		return h265Syntax{}.classify(nal)
	}
	return h264Syntax{}.classify(nal)
}

// first says whether a slice is the first of its picture.
func (s syntax) first(nal []byte) bool {
	if s.hevc {
		return h265Syntax{}.first(nal)
	}
	return h264Syntax{}.first(nal)
}

// split says how a payload is packed.
func (s syntax) split(payload []byte) packing {
	if s.hevc {
		return h265Syntax{}.split(payload)
	}
	return h264Syntax{}.split(payload)
}

// packing is one RTP payload taken apart.
type packing struct {
	kind       packKind
	header     [2]byte // of a fragmented unit, rebuilt
	headerLen  int
	begin, end bool   // of a fragmented unit
	body       []byte // of a fragment; the units of an aggregate, each behind 2 bytes of length
}

type packKind uint8

const (
	packBad packKind = iota
	packSingle
	packAggregate
	packFragment
)

// nalJoiner makes access units of H.264 (RFC 6184) or H.265 (RFC 7798) payloads: NAL units
// with 4-byte lengths, without delimiters and without the parameter sets that the stream
// names.
//
// An access unit ends at the marker bit or where the time stamp changes. A camera that sets
// the marker on every slice is found out at its first picture of more than one slice: from then
// on only the time stamp counts.
type nalJoiner struct {
	syntax

	out output
	au  assembly

	ts        uint32
	open      bool // au has units of ts
	closed    bool // ts was ended by a marker
	bad       bool // the rest of ts is thrown away
	fragment  bool // a fragmented unit is open
	slices    bool // au has a slice
	recovery  bool // au has a recovery point: an intra picture after it is a key frame
	key       bool
	markerLie bool // markers do not end an access unit

	param     bool // the open fragmented unit is a parameter set, kept in scratch
	skip      bool // the open fragmented unit is not wanted
	paramKind paramKind
	scratch   []byte
}

// maxParam bounds a parameter set.
const maxParam = 8 << 10

func (j *nalJoiner) push(p *packet, lost bool) {
	if len(p.payload) == 0 {
		return // keeps the connection alive
	}
	pk := j.split(p.payload)
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
	return pk.kind != packBad && !j.starts(pk)
}

// starts says whether a picture can begin with this packet.
func (j *nalJoiner) starts(pk packing) bool {
	var nal []byte
	switch pk.kind {
	case packBad:
		return false
	case packSingle:
		nal = pk.body
	case packAggregate:
		if len(pk.body) < 2 {
			return false
		}
		nal = pk.body[2:]
	case packFragment:
		if !pk.begin {
			return false
		}
		var head [8]byte
		n := copy(head[:], pk.header[:pk.headerLen])
		n += copy(head[n:], pk.body)
		nal = head[:n]
	}
	if len(nal) < pk.headerLen+1 {
		return false
	}
	switch kind, _ := j.classify(nal); kind {
	case nalSlice, nalKey:
		return j.first(nal)
	case nalPrefix, nalStrip, nalParam:
		return true
	case nalOther:
		return false
	}
	return false
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
func (j *nalJoiner) whole(nal []byte) error {
	if len(nal) < 2 {
		return nil // a delimiter of nothing; some cameras send them
	}
	kind, param := j.classify(nal)
	j.open = true
	if kind == nalStrip || kind == nalParam && j.out.parameter(param, nal) {
		return nil
	}
	j.note(kind, nal)
	if err := j.au.begin(); err != nil {
		return err
	}
	if err := j.au.add(nal); err != nil {
		return err
	}
	j.au.end()
	return nil
}

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
		if len(j.scratch)+len(pk.body) > maxParam {
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
	kind, param := j.classify(pk.header[:pk.headerLen])
	j.open, j.fragment = true, true
	j.skip, j.param, j.paramKind = kind == nalStrip, kind == nalParam, param
	switch {
	case j.skip:
		return nil
	case j.param:
		j.scratch = append(j.scratch[:0], pk.header[:pk.headerLen]...)
		return nil
	}
	j.note(kind, nil)
	if j.recovery && kind == nalSlice {
		j.key = j.key || intraH264(pk.body)
	}
	if err := j.au.begin(); err != nil {
		return err
	}
	return j.au.add(pk.header[:pk.headerLen])
}

// note remembers what kind of picture it is. nal is nil for a fragment.
func (j *nalJoiner) note(kind nalKind, nal []byte) {
	switch kind {
	case nalKey:
		j.key, j.slices = true, true
	case nalSlice:
		j.key = j.key || j.recovery && len(nal) > 1 && intraH264(nal[1:])
		j.slices = true
	case nalPrefix:
		j.recovery = j.recovery || !j.hevc && recoveryPoint(nal)
	case nalOther, nalStrip, nalParam:
	}
}

// finish hands the open access unit on.
func (j *nalJoiner) finish() {
	switch {
	case j.bad || !j.open:
	case j.fragment:
		j.fail(faultMalformed)
	case j.slices:
		j.out.frame(&j.au, j.ts, 0, j.key)
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
	j.open, j.fragment, j.slices, j.key, j.recovery = false, false, false, false, false
}
