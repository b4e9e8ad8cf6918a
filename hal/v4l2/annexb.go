package v4l2

import (
	"bytes"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// unit is an access unit of a byte stream as a camera hands it out.
type unit struct {
	codec         hal.Codec
	bytes         []byte
	picture, key  bool
	vps, sps, pps []byte // the first of each
	size          int    // of all units but delimiters, with length prefixes
}

// readUnit looks through an access unit.
func readUnit(codec hal.Codec, b []byte) unit {
	u := unit{codec: codec, bytes: b}
	var start nal.Start
	walk := nal.ByteStreamOf(b)
	for one, ok := walk.Next(); ok; one, ok = walk.Next() {
		kind := nal.KindOf(codec, one[0])
		u.picture = u.picture || kind.IsSlice()
		start.Add(codec, kind, one)
		if set := u.set(kind); set != nil && *set == nil && len(one) <= nal.MaxSet {
			*set = one
		}
		if kind != nal.Delimiter {
			u.size += nal.PrefixLen + len(one)
		}
	}
	u.key = start.Key()
	return u
}

func (u *unit) set(kind nal.Kind) *[]byte {
	switch kind { //nolint:exhaustive // the others are no parameter sets
	case nal.VPS:
		return &u.vps
	case nal.SPS:
		return &u.sps
	case nal.PPS:
		return &u.pps
	}
	return nil
}

// news says whether the unit has parameter sets that t does not name.
func (u *unit) news(t *hal.Track) bool {
	return u.vps != nil && !bytes.Equal(u.vps, t.VPS) ||
		u.sps != nil && !bytes.Equal(u.sps, t.SPS) ||
		u.pps != nil && !bytes.Equal(u.pps, t.PPS)
}

// adopt makes t name the unit's parameter sets, copied. What else t says is the driver's to know,
// which set the camera up.
func (u *unit) adopt(t *hal.Track) {
	for _, s := range [...]struct {
		to   *[]byte
		from []byte
	}{{&t.VPS, u.vps}, {&t.SPS, u.sps}, {&t.PPS, u.pps}} {
		if s.from != nil {
			*s.to = bytes.Clone(s.from)
		}
	}
}

// write writes the unit into b, of u.size bytes, with length prefixes, without delimiters and
// without the parameter sets that t names. It returns how much it wrote.
func (u *unit) write(b []byte, t *hal.Track) int {
	n := 0
	walk := nal.ByteStreamOf(u.bytes)
	for one, ok := walk.Next(); ok; one, ok = walk.Next() {
		kind := nal.KindOf(u.codec, one[0])
		known := kind.IsSet() && (bytes.Equal(one, t.VPS) || bytes.Equal(one, t.SPS) || bytes.Equal(one, t.PPS))
		if known || kind == nal.Delimiter {
			continue
		}
		n += nal.Put(b[n:], one)
	}
	return n
}
