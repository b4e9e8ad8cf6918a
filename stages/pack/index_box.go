package pack

import "encoding/binary"

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// inner is a box within another, in memory.
type inner struct {
	kind string
	raw  []byte // all of it
	body []byte
}

// children walks along boxes in memory; each may fail the walk. What is too short for a box
// ends it.
func children(p []byte, each func(inner) error) error {
	for len(p) >= boxHead {
		n := int64(be32(p))
		if n < boxHead || n > int64(len(p)) {
			return damaged(0, "box %q of %d bytes, %d are left", p[4:8], n, len(p))
		}
		if err := each(inner{kind: string(p[4:8]), raw: p[:n], body: p[boxHead:n]}); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// atLeast says that a box is too short for its fields.
func (b inner) atLeast(n int) error {
	if len(b.body) < n {
		return damaged(0, "box %q has %d bytes, %d are needed", b.kind, len(b.body), n)
	}
	return nil
}

// count returns how many entries of width bytes a table has; an error where they are not there.
func (b inner) count(width int) (int, error) {
	if err := b.atLeast(8); err != nil {
		return 0, err
	}
	n := int64(be32(b.body[4:]))
	if room := int64(len(b.body)-8) / int64(width); n > room {
		return 0, damaged(0, "box %q has %d entries, there is room for %d", b.kind, n, room)
	}
	return int(n), nil
}
