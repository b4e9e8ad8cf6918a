package pack

import (
	"encoding/binary"
	"math"
)

// reel is the tables of one track of a Film, as they will lie in the file but for the places of
// the chunks, which count from the start of the payload until that is known.
type reel struct {
	IndexTrack // without samples

	count uint32
	first int64 // DTS of the first sample, on the film's time line
	at    int64 // of the last one
	lasts uint32
	until int64 // where the picture that is shown last ends

	stts, ctts, stss, stsz, stsc []byte
	chunks                       []int64
	chunk                        uint32 // samples of the last chunk
	end                          int64  // of the payload, where the last chunk ends
	back                         bool   // some are shown before their DTS

	shown edit
}

// edit is what of a reel is shown and when, in units of its time scale. The zero edit shows all
// of it from where its first sample lies.
type edit struct {
	set    bool
	wait   int64 // before it begins
	from   int64 // of the time of its samples, which begins at 0
	length int64
}

// add appends a sample which lies at pos of the payload. It lasts until the next one.
func (r *reel) add(s *Sample, dts, pos int64) {
	be := binary.BigEndian
	if r.count == 0 {
		r.first, r.at = dts, dts
	} else {
		dts = max(dts, r.at)
		r.stts = repeat(r.stts, span(dts-r.at))
		r.at = dts
	}
	r.count++
	r.lasts = s.Duration
	r.until = max(r.until, dts+int64(s.Shift)+int64(s.Duration))
	r.stsz = be.AppendUint32(r.stsz, s.Size)
	r.ctts = repeat(r.ctts, uint32(s.Shift))
	r.back = r.back || s.Shift < 0
	if s.Sync {
		r.stss = be.AppendUint32(r.stss, r.count)
	}
	if pos != r.end || r.chunk == 0 {
		r.closeChunk()
		r.chunks = append(r.chunks, pos)
	}
	r.chunk++
	r.end = pos + int64(s.Size)
}

// closeChunk enters how many samples the last chunk has, where that differs from those before.
func (r *reel) closeChunk() {
	if r.chunk == 0 {
		return
	}
	n := len(r.stsc)
	if n == 0 || be32(r.stsc[n-8:]) != r.chunk {
		r.stsc = binary.BigEndian.AppendUint32(r.stsc, uint32(len(r.chunks)))
		r.stsc = binary.BigEndian.AppendUint32(r.stsc, r.chunk)
		r.stsc = binary.BigEndian.AppendUint32(r.stsc, 1)
	}
	r.chunk = 0
}

// finish ends the tables.
func (r *reel) finish() {
	if r.count > 0 {
		r.stts = repeat(r.stts, r.lasts)
	}
	r.closeChunk()
}

// repeat appends a value to a run-length coded table.
func repeat(table []byte, v uint32) []byte {
	if n := len(table); n > 0 && be32(table[n-4:]) == v && be32(table[n-8:]) < math.MaxUint32 {
		binary.BigEndian.PutUint32(table[n-8:], be32(table[n-8:])+1)
		return table
	}
	table = binary.BigEndian.AppendUint32(table, 1)
	return binary.BigEndian.AppendUint32(table, v)
}

// length is how long the samples are.
func (r *reel) length() int64 { return r.at - r.first + int64(r.lasts) }

// edits returns what is shown, and false where that needs no saying: all of it from the start.
func (r *reel) edits() (edit, bool) {
	if r.shown.set {
		return r.shown, true
	}
	return edit{wait: r.first, length: r.length()}, r.first > 0
}
