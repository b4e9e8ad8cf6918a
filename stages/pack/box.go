package pack

import "encoding/binary"

// The layout of a fragment's header, ISO/IEC 14496-12: moof(mfhd, traf(tfhd, tfdt, trun)…) and
// the eight bytes that begin mdat. Sizes are known beforehand, so it is written front to back.
const (
	boxHead  = 8
	mfhdSize = 16
	tfhdSize = 16
	tfdtSize = 20
	trunSize = 20 // without its entries

	tfhdFromMoof = 0x020000 // offsets count from the moof

	trunOffset   = 0x001
	trunDuration = 0x100
	trunBytes    = 0x200
	trunFlags    = 0x400
	trunShift    = 0x800

	trunVersion1 = 1 << 24 // composition offsets are signed

	notSync = 1 << 16 // sample_is_non_sync_sample
)

// run is what one track adds to a fragment.
type run struct {
	id      uint32
	base    int64 // decode time of the first sample
	entries []entryOf
	flags   uint32 // trunFlags and trunShift where an entry needs them
	bytes   int    // of all samples
}

// entryOf is one sample in a run.
type entryOf struct {
	duration uint32
	size     uint32
	flags    uint32
	shift    int32
}

func (r *run) entrySize() int {
	n := 8
	if r.flags&trunFlags != 0 {
		n += 4
	}
	if r.flags&trunShift != 0 {
		n += 4
	}
	return n
}

func (r *run) trun() int { return trunSize + len(r.entries)*r.entrySize() }

func (r *run) traf() int { return boxHead + tfhdSize + tfdtSize + r.trun() }

func appendBox(b []byte, size int, name string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	return append(b, name...)
}

// appendHeader writes the header of a fragment whose mdat holds the runs' samples one track
// after the other. Tracks without samples are not mentioned.
func appendHeader(b []byte, sequence uint32, runs []run) []byte {
	moof, payload := boxHead+mfhdSize, 0
	for i := range runs {
		if len(runs[i].entries) > 0 {
			moof += runs[i].traf()
			payload += runs[i].bytes
		}
	}
	b = appendBox(b, moof, "moof")
	b = appendBox(b, mfhdSize, "mfhd")
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, sequence)
	at := moof + boxHead
	for i := range runs {
		if len(runs[i].entries) > 0 {
			b = runs[i].append(b, at)
			at += runs[i].bytes
		}
	}
	return appendBox(b, boxHead+payload, "mdat")
}

// append writes the run's traf; its samples begin at bytes after the start of the moof.
func (r *run) append(b []byte, at int) []byte {
	be := binary.BigEndian
	b = appendBox(b, r.traf(), "traf")
	b = appendBox(b, tfhdSize, "tfhd")
	b = be.AppendUint32(b, tfhdFromMoof)
	b = be.AppendUint32(b, r.id)
	b = appendBox(b, tfdtSize, "tfdt")
	b = be.AppendUint32(b, 1<<24) // version 1: 64 bits
	b = be.AppendUint64(b, uint64(r.base))
	b = appendBox(b, r.trun(), "trun")
	b = be.AppendUint32(b, trunVersion1|trunOffset|trunDuration|trunBytes|r.flags)
	b = be.AppendUint32(b, uint32(len(r.entries)))
	b = be.AppendUint32(b, uint32(at))
	for _, e := range r.entries {
		b = be.AppendUint32(b, e.duration)
		b = be.AppendUint32(b, e.size)
		if r.flags&trunFlags != 0 {
			b = be.AppendUint32(b, e.flags)
		}
		if r.flags&trunShift != 0 {
			b = be.AppendUint32(b, uint32(e.shift))
		}
	}
	return b
}
