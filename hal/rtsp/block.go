package rtsp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace-video/millrace/pool"
)

// What RTSP text may cost at most. gortsplib takes bodies of 128 KiB and header lines of 2 KiB.
const (
	maxHeader = 32 << 10
	maxBody   = 128 << 10
	maxJunk   = 64 << 10 // bytes skipped in a row that are neither text nor an interleaved frame
)

// errNotRTSP ends a connection whose other end talks something else.
var errNotRTSP = errors.New("the answer is not RTSP")

type itemKind uint8

const (
	itemNone  itemKind = iota // more bytes are needed
	itemText                  // a whole RTSP request or response
	itemFrame                 // a whole interleaved frame, its 4 bytes of header included
)

// block is what was read from a connection and not yet taken out. It takes the stream apart
// into RTSP messages and interleaved frames (RFC 2326 §10.12). The items it yields lie in it
// and are valid until the next read.
type block struct {
	buf  []byte
	r, w int
	junk int
	// reserve lends the memory while there is something in it; nil: the block keeps its own.
	reserve *pool.Reserve
	lent    pool.Block // buf, where it is the reserve's
	rest    []byte     // of one's own, for what is left of a packet
	// known says which interleaved channels exist; nil takes any. What names another is junk.
	known func(channel byte) bool
}

const (
	minBlock = 64 << 10
	maxBlock = 512 << 10
	// restSize is more than what is mostly left of a packet.
	restSize = 2 << 10
)

// space makes room for want bytes and some more, at least a quarter of a block, and returns the free
// part.
func (b *block) space(want int) []byte {
	if b.r > 0 {
		copy(b.buf, b.buf[b.r:b.w])
		b.r, b.w = 0, b.w-b.r
	}
	size := max(len(b.buf), minBlock)
	for size < maxBlock && (size < want+want/4 || size-b.w < size/4) {
		size += minBlock
	}
	if size > len(b.buf) {
		grown := b.reserve.Take(size, size)
		copy(grown.Bytes, b.buf[:b.w])
		b.giveBack()
		if b.buf = grown.Bytes; b.reserve != nil {
			b.lent = grown
		}
	}
	return b.buf[b.w:]
}

// settle gives the memory back before a wait, where little or nothing is left in it.
func (b *block) settle() {
	left := b.w - b.r
	if b.reserve == nil || left > restSize || b.lent.Bytes == nil && len(b.buf) <= restSize {
		return
	}
	if b.rest == nil {
		b.rest = make([]byte, restSize)
	}
	copy(b.rest, b.buf[b.r:b.w])
	b.giveBack()
	b.buf, b.r, b.w = b.rest, 0, left
}

// giveBack returns memory that was lent.
func (b *block) giveBack() {
	b.reserve.Give(b.lent)
	b.buf, b.lent = nil, pool.Block{}
}

// next takes one item out. The error says what the other end talks instead of RTSP.
func (b *block) next() (itemKind, []byte, error) {
	for b.r < b.w {
		kind, n, err := b.look()
		if err != nil {
			return itemNone, nil, err
		}
		if n == 0 {
			return itemNone, nil, nil
		}
		at := b.r
		b.r += n
		if kind != itemNone {
			b.junk = 0
			return kind, b.buf[at:b.r:b.r], nil
		}
		if b.junk += n; b.junk > maxJunk {
			return itemNone, nil, fmt.Errorf("%w: %d bytes without a message", errNotRTSP, b.junk)
		}
	}
	return itemNone, nil, nil
}

// look measures what stands at the read position: an item of n bytes, n bytes of junk (kind
// itemNone), or nothing whole yet (n is 0).
func (b *block) look() (itemKind, int, error) {
	in := b.buf[b.r:b.w]
	if in[0] != '$' {
		return text(in)
	}
	if len(in) < 4 {
		return itemNone, 0, nil
	}
	n := 4 + int(binary.BigEndian.Uint16(in[2:]))
	if b.known != nil && !b.known(in[1]) {
		return b.stray(in, n)
	}
	if len(in) < n {
		return itemNone, 0, nil
	}
	return itemFrame, n, nil
}

// stray looks at what may be a frame of a channel that was not set up: it is one where another
// item follows it, and junk else.
func (b *block) stray(in []byte, n int) (itemKind, int, error) {
	const largest = 1600 // more would make junk wait for bytes
	switch {
	case n > largest:
		return itemNone, 1, nil
	case len(in) <= n:
		return itemNone, 0, nil
	case in[n] == '$' || in[n] == 'R':
		return itemFrame, n, nil
	default:
		return itemNone, 1, nil
	}
}

// text measures an RTSP message. A byte that no header contains makes it junk.
func text(in []byte) (itemKind, int, error) {
	if in[0] < 'A' || in[0] > 'Z' {
		return itemNone, 1, nil
	}
	head := in[:min(len(in), maxHeader)]
	end := bytes.Index(head, []byte("\r\n\r\n"))
	if end >= 0 {
		head = head[:end]
	}
	for i, c := range head {
		if c < ' ' && c != '\r' && c != '\n' && c != '\t' || c == 0x7f {
			if at := bytes.IndexByte(head[:i], '$'); at > 0 {
				return itemNone, at, nil // a frame may begin there
			}
			return itemNone, i + 1, nil
		}
	}
	if end < 0 {
		if len(in) >= maxHeader {
			return itemNone, 0, fmt.Errorf("%w: a header of more than %d bytes", errNotRTSP, maxHeader)
		}
		return itemNone, 0, nil
	}
	n, err := contentLength(head)
	if err != nil {
		return itemNone, 0, err
	}
	if n += end + 4; n > len(in) {
		return itemNone, 0, nil
	}
	return itemText, n, nil
}

// contentLength returns the length of the body that the header announces, 0 for none.
func contentLength(head []byte) (int, error) {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !bytes.EqualFold(bytes.TrimSpace(name), []byte("content-length")) {
			continue
		}
		n := 0
		for _, c := range bytes.TrimSpace(value) {
			if c < '0' || c > '9' {
				return 0, fmt.Errorf("%w: Content-Length is %.40q", errNotRTSP, value)
			}
			if n = 10*n + int(c-'0'); n > maxBody {
				return 0, fmt.Errorf("%w: a body of more than %d bytes", errNotRTSP, maxBody)
			}
		}
		return n, nil
	}
	return 0, nil
}
