package soft

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// fragments reads an MP4 whose fragments are one picture each, as it comes (io.Writer).
type fragments struct {
	each func(at uint64, file []byte) error // the picture's time, and its bytes, which are each's own
	rest []byte                             // of a box that is not all there
	at   uint64
}

// maxBox bounds a picture.
const maxBox = 64 << 20

// Write implements io.Writer.
func (p *fragments) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for len(p.rest) >= 8 {
		size := int64(binary.BigEndian.Uint32(p.rest))
		if size < 8 || size > maxBox {
			return 0, fmt.Errorf("a box of %d bytes", size)
		}
		if int64(len(p.rest)) < size {
			break
		}
		if err := p.box(string(p.rest[4:8]), p.rest[8:size]); err != nil {
			return 0, err
		}
		p.rest = append(p.rest[:0], p.rest[size:]...)
	}
	return len(b), nil
}

func (p *fragments) box(kind string, body []byte) error {
	switch kind {
	case "moof": // its only time stands in the tfdt
		_, tfdt, ok := bytes.Cut(body, []byte("tfdt"))
		switch {
		case ok && len(tfdt) >= 12 && tfdt[0] == 1:
			p.at = binary.BigEndian.Uint64(tfdt[4:])
		case ok && len(tfdt) >= 8 && tfdt[0] == 0:
			p.at = uint64(binary.BigEndian.Uint32(tfdt[4:]))
		default:
			return fmt.Errorf("a fragment of %d bytes without its time", len(body))
		}
	case "mdat":
		return p.each(p.at, bytes.Clone(body))
	}
	return nil
}
