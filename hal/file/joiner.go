package file

import (
	"bytes"
	"context"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
	"github.com/millrace-video/millrace/pool"
)

// joiner turns a byte stream of Annex B into access units with length prefixes, straight in
// the arena: each byte is copied once. Delimiters and the parameter sets that the track names
// are dropped as soon as they are complete.
type joiner struct {
	lender *lender
	build  *pool.Builder
	track  *hal.Track // as it is now

	open  bool // a NAL unit is being written
	start int  // of its length prefix
	zeros int  // seen and not yet known to be content
	huge  bool // the unit passed maxUnit: the rest of it is skipped
}

// maxUnit is the largest access unit: far above any camera's.
const maxUnit = 16 << 20

func newJoiner(l *lender) *joiner {
	return &joiner{lender: l, build: pool.NewBuilder(l.arena)}
}

// room makes sure that write(p) needs no further memory, and so cannot fail. The worst case is
// start codes of 3 bytes side by side, each of which becomes a prefix of 4.
func (j *joiner) room(ctx context.Context, n int) error {
	if j.huge = j.huge || j.build.Len() > maxUnit; j.huge {
		return nil
	}
	return j.lender.reserve(ctx, j.build, 2*n+min(j.zeros, maxUnit)+2*nal.PrefixLen)
}

// write takes the next bytes; room was made for them.
func (j *joiner) write(p []byte) {
	for len(p) > 0 {
		if j.zeros > 0 {
			if p = j.resolve(p); len(p) == 0 {
				return
			}
		}
		i := bytes.Index(p, []byte{0, 0, 1})
		if i < 0 {
			content := bytes.TrimRight(p, "\x00")
			j.put(content)
			j.zeros = len(p) - len(content)
			return
		}
		j.put(bytes.TrimRight(p[:i], "\x00"))
		j.begin()
		p = p[i+3:]
	}
}

// resolve decides what zeros at the end of the bytes before are: part of a start code, or
// content.
func (j *joiner) resolve(p []byte) []byte {
	rest := bytes.TrimLeft(p, "\x00")
	j.zeros = min(j.zeros+len(p)-len(rest), maxUnit)
	if len(rest) == 0 {
		return nil
	}
	if rest[0] == 1 && j.zeros >= 2 {
		j.zeros = 0
		j.begin()
		return rest[1:]
	}
	j.pad()
	return rest
}

// pad writes the zeros that were content.
func (j *joiner) pad() {
	if j.open && !j.huge {
		if space, err := j.build.Grow(j.zeros); err == nil {
			clear(space)
		} else {
			j.huge = true
		}
	}
	j.zeros = 0
}

func (j *joiner) put(p []byte) {
	if !j.open || j.huge || len(p) == 0 {
		return
	}
	if j.build.Append(p) != nil {
		j.huge = true
	}
}

// begin starts a NAL unit.
func (j *joiner) begin() {
	j.end()
	j.start = j.build.Len()
	if j.huge {
		return
	}
	if _, err := j.build.Grow(nal.PrefixLen); err != nil {
		j.huge = true
		return
	}
	j.open = true
}

// end completes the NAL unit under way.
func (j *joiner) end() {
	if !j.open {
		return
	}
	j.open = false
	unit := j.build.Bytes()[j.start:]
	n := len(unit) - nal.PrefixLen
	if n == 0 || j.known(unit[nal.PrefixLen:]) {
		j.build.Truncate(j.start)
		return
	}
	nal.PutLength(unit, n)
}

// known says whether a NAL unit does not belong into a frame.
func (j *joiner) known(unit []byte) bool {
	kind := nal.KindOf(j.track.Codec, unit[0])
	return kind == nal.Delimiter || kind.IsSet() && nal.StandingOf(j.track, kind, unit) == nal.Named
}

// finish completes the access unit. A zero Buffer is one that holds nothing. changed is the
// track as it is from this unit on, where that is new.
func (j *joiner) finish() (buf pool.Buffer, key bool, changed *hal.Track) {
	j.end()
	j.zeros = 0
	if j.huge {
		j.discard()
		return pool.Buffer{}, false, nil
	}
	unit := j.build.Bytes()
	there, key := nal.Picture(j.track.Codec, unit)
	if !there {
		changed = j.learn(unit)
		j.discard()
		return pool.Buffer{}, false, changed
	}
	n, changed, _ := nal.Settle(j.track, unit, key)
	j.build.Truncate(n)
	buf, err := j.build.Finish()
	if err != nil {
		j.discard()
		return pool.Buffer{}, false, changed
	}
	return buf, key, changed
}

// learn takes parameter sets that come in a unit of their own.
func (j *joiner) learn(unit []byte) *hal.Track {
	_, changed, _ := nal.Settle(j.track, unit, true)
	return changed
}

func (j *joiner) discard() {
	j.build.Discard()
	j.open, j.huge, j.zeros = false, false, 0
}
