package v4l2

import (
	"time"

	"github.com/millrace-video/millrace/hal"
)

// maxInside is how many pictures an encoder may keep to itself.
const maxInside = 128

// inside is a picture on its way through an encoder: what its frame gets back.
type inside struct {
	key   time.Duration // µs: the time stamp that the driver copies
	stamp hal.Stamp
	gap   bool
	begin int64
}

// stamps finds the stamp of a frame again by the time stamp that the driver copied from the
// picture's buffer to the frame's. Frames come in the order of the pictures.
type stamps struct {
	ring  [maxInside]inside
	first int
	count int
	last  time.Duration
	begun bool
	gap   bool // a picture was lost in there; the next frame says so
}

// push takes note of a picture and returns its key: its PTS where that rises, in µs.
func (s *stamps) push(p inside) time.Duration {
	p.key = max(0, p.stamp.PTS.Truncate(time.Microsecond))
	if s.begun && p.key <= s.last {
		p.key = s.last + time.Microsecond
	}
	s.last, s.begun = p.key, true
	if s.count == maxInside { // the driver swallows pictures
		s.drop()
	}
	s.ring[(s.first+s.count)%maxInside] = p
	s.count++
	return p.key
}

// pop forgets the picture that was pushed last: it did not get in.
func (s *stamps) pop() {
	if s.count > 0 {
		s.count--
	}
}

// drop forgets the oldest picture: no frame came of it.
func (s *stamps) drop() {
	s.first = (s.first + 1) % maxInside
	s.count--
	s.gap = true
}

// take returns the picture of a frame. Pictures before it are lost, and it says so as a gap.
// Where the driver copies no time stamp it is the oldest, and known is false. ok: there is one.
func (s *stamps) take(key time.Duration) (p inside, known, ok bool) {
	for i := range s.count {
		if s.ring[(s.first+i)%maxInside].key != key {
			continue
		}
		for range i {
			s.drop()
		}
		known = true
		break
	}
	if s.count == 0 {
		return inside{}, false, false
	}
	p = s.ring[s.first]
	s.first = (s.first + 1) % maxInside
	s.count--
	p.gap = p.gap || s.gap
	s.gap = false
	return p, known, true
}
