package pack

import (
	"encoding/binary"
	"math"
)

// node is a box to be written: what it holds itself, then its children. Tables are not copied.
type node struct {
	kind string
	body [][]byte
	kids []node
}

func (n *node) size() int {
	size := boxHead
	for _, b := range n.body {
		size += len(b)
	}
	for i := range n.kids {
		size += n.kids[i].size()
	}
	return size
}

func (n *node) append(parts [][]byte) [][]byte {
	parts = append(parts, appendBox(nil, n.size(), n.kind))
	parts = append(parts, n.body...)
	for i := range n.kids {
		parts = n.kids[i].append(parts)
	}
	return parts
}

func box(kind string, kids ...node) node { return node{kind: kind, kids: kids} }

func leaf(kind string, body ...[]byte) node { return node{kind: kind, body: body} }

// fields writes numbers big-endian, each as wide as its type.
func fields(all ...any) []byte {
	var b []byte
	for _, v := range all {
		switch v := v.(type) {
		case uint16:
			b = binary.BigEndian.AppendUint16(b, v)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, v)
		case int64:
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		case string:
			b = append(b, v...)
		case []byte:
			b = append(b, v...)
		}
	}
	return b
}

const (
	version1   = uint32(1 << 24)
	movieScale = uint32(videoScale)
	one        = uint32(1 << 16) // of 16.16
	language   = uint16(0x55c4)  // "und"
	mdatHead   = 2 * boxHead
)

// matrix shows pictures as they are.
func matrix() []byte {
	return fields(one, uint32(0), uint32(0), uint32(0), one, uint32(0), uint32(0), uint32(0), uint32(1<<30))
}

func fileType() node { return leaf("ftyp", fields("isom", uint32(512), "isomiso2iso6mp41")) }

// head returns what stands before the payload, in pieces, and how long it is.
func (f *Film) head() ([][]byte, int64) {
	ftyp := fileType()
	wide := f.size > math.MaxUint32-maxHead
	moov := f.moov(wide, 0)
	size := int64(ftyp.size() + moov.size() + mdatHead)
	if f.note != nil {
		size += int64(boxHead + len(Note) + len(f.note))
	}
	pad := int64(0)
	if f.align > 0 {
		pad = f.align - (size+boxHead)%f.align + boxHead
	}
	size += pad
	moov = f.moov(wide, size)
	parts := moov.append(ftyp.append(nil))
	if f.note != nil {
		parts = append(parts, AppendNote(nil, f.note))
	}
	if pad > 0 {
		free := leaf("free", make([]byte, pad-boxHead))
		parts = free.append(parts)
	}
	return append(parts, fields(uint32(1), "mdat", mdatHead+f.size)), size
}

// moov describes the film whose payload begins at byte start.
func (f *Film) moov(wide bool, start int64) node {
	longest := int64(0)
	kids := []node{{}}
	for i := range f.reels {
		if f.reels[i].count == 0 && !f.fragmented {
			continue
		}
		kids = append(kids, f.reels[i].trak(wide, start))
		longest = max(longest, f.reels[i].lastsInMovie())
	}
	kids[0] = leaf("mvhd", fields(version1, int64(0), int64(0), movieScale, longest, one, uint16(0x100), uint16(0), int64(0)),
		matrix(), make([]byte, 24), fields(f.nextID()))
	if f.fragmented {
		kids = append(kids, f.mvex())
	}
	return box("moov", kids...)
}

// mvex says that fragments follow.
func (f *Film) mvex() node {
	kids := make([]node, 0, len(f.reels))
	for i := range f.reels {
		kids = append(kids, leaf("trex", fields(uint32(0), f.reels[i].ID, uint32(1), int64(0), uint32(0))))
	}
	return box("mvex", kids...)
}

func (f *Film) nextID() uint32 {
	next := uint32(1)
	for i := range f.reels {
		next = max(next, f.reels[i].ID+1)
	}
	return next
}

// inMovie converts a time of the reel to the film's units.
func (r *reel) inMovie(n int64) int64 { return units(since(n, r.Scale), movieScale) }

func (r *reel) lastsInMovie() int64 {
	e, _ := r.edits()
	return r.inMovie(e.wait) + r.inMovie(e.length)
}

func (r *reel) trak(wide bool, start int64) node {
	volume, media, handler := uint16(0x100), leaf("smhd", fields(int64(0))), "soun"
	if r.Video {
		volume, media, handler = 0, leaf("vmhd", fields(uint32(1), int64(0))), "vide"
	}
	kids := []node{leaf("tkhd", fields(version1|3, int64(0), int64(0), r.ID, uint32(0), r.lastsInMovie(), int64(0), uint32(0), volume, uint16(0)),
		matrix(), fields(uint32(r.Width)<<16, uint32(r.Height)<<16))}
	if e, needed := r.edits(); needed {
		kids = append(kids, box("edts", r.elst(e)))
	}
	return box("trak", append(kids, box("mdia",
		leaf("mdhd", fields(version1, int64(0), int64(0), r.Scale, r.length(), language, uint16(0))),
		leaf("hdlr", fields(int64(0), handler, int64(0), uint32(0), "\x00")),
		box("minf", media,
			box("dinf", leaf("dref", fields(uint32(0), uint32(1)), fields(uint32(12), "url ", uint32(1)))),
			r.stbl(wide, start)),
	))...)
}

func (r *reel) elst(e edit) node {
	var list []byte
	n := uint32(1)
	if e.wait > 0 {
		n = 2
		list = fields(r.inMovie(e.wait), int64(-1), one)
	}
	list = append(list, fields(r.inMovie(e.length), e.from, one)...)
	return leaf("elst", fields(version1, n), list)
}

func (r *reel) stbl(wide bool, start int64) node {
	kids := []node{
		leaf("stsd", fields(uint32(0), uint32(1)), r.Entry),
		leaf("stts", fields(uint32(0), uint32(len(r.stts)/8)), r.stts),
	}
	if len(r.ctts) > 8 || len(r.ctts) == 8 && be32(r.ctts[4:]) != 0 {
		version := uint32(0)
		if r.back {
			version = version1
		}
		kids = append(kids, leaf("ctts", fields(version, uint32(len(r.ctts)/8)), r.ctts))
	}
	if len(r.stss)/4 < int(r.count) {
		kids = append(kids, leaf("stss", fields(uint32(0), uint32(len(r.stss)/4)), r.stss))
	}
	kids = append(kids,
		leaf("stsc", fields(uint32(0), uint32(len(r.stsc)/12)), r.stsc),
		leaf("stsz", fields(uint32(0), uint32(0), r.count), r.stsz))
	return box("stbl", append(kids, r.places(wide, start))...)
}

func (r *reel) places(wide bool, start int64) node {
	kind, width := "stco", 4
	if wide {
		kind, width = "co64", 8
	}
	table := make([]byte, 0, len(r.chunks)*width)
	for _, at := range r.chunks {
		if wide {
			table = binary.BigEndian.AppendUint64(table, uint64(start+at))
		} else {
			table = binary.BigEndian.AppendUint32(table, uint32(start+at))
		}
	}
	return leaf(kind, fields(uint32(0), uint32(len(r.chunks))), table)
}
