package rtsp

import "time"

const (
	// soundLate is how long sound that somebody listens to may wait for the picture after it, which it is
	// written along with anyway.
	soundLate = 50 * time.Millisecond
	// steady is how many windows in a row a stream keeps to what it was.
	steady = 4
)

// between measures how much sound lies between two pictures, for the mark of a stream that is watched: to
// be woken for a piece of sound costs as much as for a picture.
type between struct {
	sound, picture        int // bytes of what comes now
	most, least, pictures int // of this window: sound between two pictures, a picture, their number
	fit                   int // windows in a row that the mark suits
	mark                  int // for who waits for the next picture; 1 at least
}

// heard takes note of n bytes that belong to no picture.
func (b *between) heard(n int) { b.sound += n }

// seen takes note of n bytes of a picture, of which they may be the last.
func (b *between) seen(n int, last bool) {
	if b.picture == 0 {
		b.most, b.sound = max(b.most, b.sound), 0
	}
	b.picture += n
	if !last {
		return
	}
	if b.least == 0 || b.picture < b.least {
		b.least = b.picture
	}
	if b.picture < 2*b.mark { // one like it, or smaller, may follow
		b.mark, b.fit = 1, 0
	}
	b.pictures++
	b.picture = 0
}

// window ends a window of that length. The mark is beyond the sound between two pictures, and at most
// half of the smallest picture, where sound has to wait for no longer than soundLate.
func (b *between) window(took time.Duration) {
	want := b.most + 1
	if b.most == 0 || 2*want > b.least || took > time.Duration(b.pictures)*soundLate {
		b.fit = 0
	} else {
		b.fit++
	}
	b.most, b.least, b.pictures = 0, 0, 0
	if b.fit < steady {
		want = 1
	}
	b.mark = want
}

// now is the mark for the bytes that come next: within a picture all of them are waited for.
func (b *between) now() int {
	if b.picture > 0 {
		return 1
	}
	return max(b.mark, 1)
}
