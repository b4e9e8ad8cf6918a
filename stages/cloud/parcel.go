package cloud

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/pack"
)

// parcel is the package that is being filled. Its times go on from the package before it; behind
// a seam they are those of the wall clock, in s since 1970, unless that was set back: players
// that do not care for seams find their way too.
type parcel struct {
	packer *pack.Packer
	inter  bool
	origin time.Duration // the DTS that is time 0
	start  time.Duration // DTS of the lead's first frame
	last   time.Duration // of its latest
	step   time.Duration // between the two latest
	mono   int64         // of the first
	joined bool          // to the package before it
	full   bool          // the full-time service was on when it began
	asked  bool          // for a key frame to end at
	frames int           // of the lead
	body   []byte
}

// fragment is how much of a package is written at a time, so that no more is held as frames.
const fragment = time.Second

// newParcel begins one with a key frame of the lead.
func newParcel(m *pack.Movie, f hal.Frame, origin time.Duration) *parcel {
	p := &parcel{
		packer: pack.NewPacker(m), origin: origin, start: f.Stamp.DTS, last: f.Stamp.DTS, mono: f.Stamp.Mono,
		inter: f.Stream.Tracks[m.Lead()].Codec.IsInter(),
	}
	p.packer.Resume(f.Stamp.DTS, f.Stamp.DTS-origin)
	return p
}

// add takes a frame and its reference.
func (p *parcel) add(f hal.Frame) error {
	if f.Track == p.packer.Movie().Lead() {
		p.frames++
		if f.Stamp.DTS > p.last {
			p.step = f.Stamp.DTS - p.last
		}
		p.last = f.Stamp.DTS
	}
	if err := p.packer.Add(f); err != nil {
		return err
	}
	if p.packer.Ready(fragment) {
		p.take(p.packer.Cut())
	}
	return nil
}

func (p *parcel) take(parts [][]byte) {
	for _, part := range parts {
		p.body = append(p.body, part...)
	}
	p.packer.Release()
}

// size is what it has come to.
func (p *parcel) size() int64 { return int64(len(p.body) + p.packer.Bytes()) }

// length is how long it shows.
func (p *parcel) length() time.Duration { return p.last + p.step - p.start }

// end writes what is held. What follows at DTS from goes on in next.
func (p *parcel) end(next *parcel) {
	if next != nil {
		p.packer.HandOver(next.packer, next.start)
		p.step = next.start - p.last
	}
	p.take(p.packer.Finish())
}

// digest names a content.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:hashDigits/2])
}
