package flv

import (
	"errors"
	"math"
)

// framing is what HTTP puts around the body: nothing, a length, or chunks (RFC 9112 §7.1).
type framing struct {
	state   framingState
	chunked bool
	length  int64 // as announced; below 0 where nobody says
	left    int64 // bytes until the state changes
	digits  int   // of a chunk's size
	line    int   // bytes of a line that says nothing
}

type framingState uint8

const (
	inData framingState = iota
	inSize
	inExtension // of a chunk's size
	behindData
	inTrailer
	atEnd
)

// maxLine bounds what stands beside a chunk's size, and the trailer.
const maxLine = 8 << 10

var errChunk = errors.New("the server's chunks make no sense")

func framingOf(codings []string, length int64) framing {
	f := framing{length: length, left: length, chunked: len(codings) > 0}
	switch {
	case f.chunked:
		f.state, f.left, f.length = inSize, 0, -1
	case endless(length):
		f.length, f.left = -1, math.MaxInt64
	case length == 0:
		f.state = atEnd
	}
	return f
}

// endless says whether a length means that there is none: live servers that must name one name
// the largest they can think of.
func endless(n int64) bool {
	return n < 0 || n >= 1<<40 || n == math.MaxInt32 || n == math.MaxUint32
}

// took notes that bytes of the body were taken.
func (f *framing) took(n int) {
	switch {
	case f.length < 0 && !f.chunked:
		return
	default:
		f.left -= int64(n)
	}
	if f.left > 0 {
		return
	}
	f.state = atEnd
	if f.chunked {
		f.state = behindData
	}
}

// next takes a byte that is none of the body.
func (f *framing) next(c byte) error {
	switch f.state {
	case inSize:
		return f.size(c)
	case inExtension:
		if c == '\n' {
			return f.begin()
		}
		return f.more()
	case behindData:
		switch c {
		case '\r':
			return f.more()
		case '\n':
			f.state, f.digits, f.left, f.line = inSize, 0, 0, 0
			return nil
		}
		return errChunk
	case inTrailer:
		return f.trailer(c)
	case inData, atEnd:
	}
	return errChunk
}

func (f *framing) size(c byte) error {
	digit, ok := hexDigit(c)
	switch {
	case ok && f.digits < 15: // below 2⁶⁰
		f.left = f.left<<4 | int64(digit)
		f.digits++
		return nil
	case c == '\n' && f.digits > 0:
		return f.begin()
	case (c == '\r' || c == ';' || c == ' ' || c == '\t') && f.digits > 0:
		f.state = inExtension
		return nil
	}
	return errChunk
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// begin is at the end of the line with a chunk's size.
func (f *framing) begin() error {
	f.line = 0
	f.state = inData
	if f.left == 0 { // the last chunk
		f.state = inTrailer
	}
	return nil
}

// trailer ends with an empty line. left counts the bytes of the line at hand.
func (f *framing) trailer(c byte) error {
	switch {
	case c == '\n' && f.left == 0:
		f.state = atEnd
	case c == '\n':
		f.left = 0
	case c != '\r':
		f.left++
	}
	return f.more()
}

// more bounds what says nothing.
func (f *framing) more() error {
	if f.line++; f.line > maxLine {
		return errChunk
	}
	return nil
}
