package rtsp

import (
	"time"

	"github.com/millrace-video/millrace/pool"
)

// block is one access unit as interleaved packets ('$', channel, length, packet), reports
// included: what goes to a player as one piece.
type block struct {
	buf   pool.Buffer
	media int           // index of the track among those served
	start bool          // a player can start here
	seq   uint16        // of its first media packet
	at    time.Duration // its PTS on the timeline
}

// item is a block on its way to a player, or an answer to it.
type item struct {
	buf  pool.Buffer
	text []byte
}

func (i *item) bytes() []byte {
	if i.text != nil {
		return i.text
	}
	return i.buf.Bytes()
}

func (i *item) release() {
	if !i.buf.IsZero() {
		i.buf.Release()
	}
	*i = item{}
}

// outbox is what one player has not taken yet: references to shared blocks, in order. When it
// is full all that was not begun goes, and nothing gets in until a block that a player can
// start with. The owner locks.
type outbox struct {
	ring     []item
	head, n  int
	off      int // bytes of the oldest that are gone
	bytes    int // of blocks
	text     int // bytes of answers
	limit    int
	skipping bool
	skipped  uint64 // blocks that the player did not get
}

// maxItems bounds a queue of tiny blocks.
const maxItems = 4096

func (o *outbox) at(i int) *item { return &o.ring[(o.head+i)&(len(o.ring)-1)] }

// push adds a block, with a reference of its own, and says whether skipping began with it.
func (o *outbox) push(b block) (slow bool) {
	if o.skipping && !b.start {
		o.skipped++
		return false
	}
	size := b.buf.Len()
	if o.n > 0 && (o.bytes+size > o.limit || o.n >= maxItems) {
		slow = !o.skipping
		o.dropBlocks()
		o.skipping = true
		if !b.start {
			o.skipped++
			return slow
		}
	}
	o.skipping = false
	o.append(item{buf: b.buf.Retain()})
	o.bytes += size
	return slow
}

func (o *outbox) append(i item) {
	if o.n == len(o.ring) {
		bigger := make([]item, max(16, 2*len(o.ring)))
		for k := range o.n {
			bigger[k] = *o.at(k)
		}
		o.ring, o.head = bigger, 0
	}
	o.n++
	*o.at(o.n - 1) = i
}

// start begins anew for a player that joins: an introduction, then blocks from the first on
// that a player can start with.
func (o *outbox) start(intro []byte) {
	o.clear()
	o.skipping = true
	if len(intro) > 0 {
		o.addText(intro)
	}
}

// addText adds an answer.
func (o *outbox) addText(text []byte) {
	o.append(item{text: text})
	o.text += len(text)
}

// take moves everything from other to the end of o, and goes on where other was.
func (o *outbox) take(other *outbox) {
	for k := range other.n {
		o.append(*other.at(k))
		*other.at(k) = item{}
	}
	o.bytes += other.bytes
	o.text += other.text
	o.skipping, o.skipped = other.skipping, o.skipped+other.skipped
	*other = outbox{ring: other.ring, limit: other.limit}
}

// dropBlocks lets every block go that is not begun; text stays.
func (o *outbox) dropBlocks() {
	kept := 0
	for k := range o.n {
		i := o.at(k)
		if i.text == nil && (k > 0 || o.off == 0) {
			o.bytes -= i.buf.Len()
			o.skipped++
			i.release()
			continue
		}
		if kept != k {
			*o.at(kept) = *i
			*i = item{}
		}
		kept++
	}
	o.n = kept
}

// advance takes out n bytes that are on their way.
func (o *outbox) advance(n int) {
	o.off += n
	for o.n > 0 {
		i := o.at(0)
		size := len(i.bytes())
		if o.off < size {
			return
		}
		o.off -= size
		if i.text == nil {
			o.bytes -= size
		} else {
			o.text -= size
		}
		i.release()
		o.head = (o.head + 1) & (len(o.ring) - 1)
		o.n--
	}
}

// clear lets everything go.
func (o *outbox) clear() {
	for k := range o.n {
		o.at(k).release()
	}
	o.n, o.off, o.bytes, o.text = 0, 0, 0, 0
}

// pieces fills dst with what is to be written next.
func (o *outbox) pieces(dst [][]byte) [][]byte {
	dst = dst[:0]
	for k := 0; k < o.n && len(dst) < cap(dst); k++ {
		b := o.at(k).bytes()
		if k == 0 {
			b = b[o.off:]
		}
		dst = append(dst, b)
	}
	return dst
}
