package rtsp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// What RTP/JPEG (RFC 2435) cannot carry.
var (
	errNotJPEG   = errors.New("not a JPEG picture")
	errJPEGKind  = errors.New("RTP carries baseline JPEG with three components alone")
	errJPEGSize  = errors.New("RTP carries JPEG up to 2040x2040 pixels")
	errSubsample = errors.New("RTP carries JPEG with 4:2:0 or 4:2:2 sampling alone")
	errHuffman   = errors.New("RTP carries JPEG with the standard Huffman tables alone: turn optimised tables off")
	errQuant     = errors.New("RTP carries JPEG with one or two 8-bit quantisation tables alone")
)

// picture is what RFC 2435 needs of a JPEG file.
type picture struct {
	kind     byte // 0: 4:2:2, 1: 4:2:0
	w, h     int  // in blocks of 8
	interval int  // of restart markers; 0: none
	quant    [4][]byte
	tables   [2]byte // luma's and chroma's
	scan     []byte
}

const maxSide = 2040

// jpeg packetises a JPEG file.
func (w *writer) jpeg(data []byte) error {
	pic, err := parseJPEG(data)
	if err != nil {
		return err
	}
	header := 8
	if pic.interval > 0 {
		header += 4
	}
	tables := 1
	if pic.tables[0] != pic.tables[1] {
		tables = 2
	}
	extra := 4 + 64*tables // with the first packet
	for off := 0; off < len(pic.scan); {
		n := min(len(pic.scan)-off, maxPayload-header-extra)
		p := w.packet(header+extra+n, off+n == len(pic.scan))
		if p == nil {
			return nil
		}
		binary.BigEndian.PutUint32(p, uint32(off))
		p[4], p[5], p[6], p[7] = pic.kind, 255, byte(pic.w), byte(pic.h)
		if pic.interval > 0 {
			p[4] += 64
			binary.BigEndian.PutUint16(p[8:], uint16(pic.interval))
			binary.BigEndian.PutUint16(p[10:], 0xFFFF) // the whole frame belongs together
		}
		q := p[header:]
		if extra > 0 {
			binary.BigEndian.PutUint16(q, 0)
			binary.BigEndian.PutUint16(q[2:], uint16(64*tables))
			for i := range tables {
				copy(q[4+64*i:], pic.quant[pic.tables[i]])
			}
		}
		copy(q[extra:], pic.scan[off:off+n])
		off += n
		extra = 0
	}
	return nil
}

// parseJPEG takes a file apart.
func parseJPEG(data []byte) (pic picture, err error) {
	if len(data) < 4 || data[0] != 0xFF || data[1] != 0xD8 {
		return pic, errNotJPEG
	}
	for data = data[2:]; len(data) >= 4 && data[0] == 0xFF; {
		marker := data[1]
		if marker == 0xFF { // filling
			data = data[1:]
			continue
		}
		n := 2 + int(binary.BigEndian.Uint16(data[2:]))
		if n < 4 || n > len(data) {
			return pic, errNotJPEG
		}
		segment := data[4:n]
		data = data[n:]
		if marker == 0xDA {
			pic.scan = data
			return pic, pic.check()
		}
		if err := pic.segment(marker, segment); err != nil {
			return pic, err
		}
	}
	return pic, errNotJPEG
}

// segment takes note of what stands before the scan.
func (p *picture) segment(marker byte, s []byte) error {
	switch {
	case marker == 0xDB:
		return p.quantisation(s)
	case marker == 0xC4:
		return standardHuffman(s)
	case marker == 0xDD && len(s) >= 2:
		p.interval = int(binary.BigEndian.Uint16(s))
	case marker == 0xC0:
		return p.frame(s)
	case marker > 0xC0 && marker <= 0xCF && marker != 0xC8 && marker != 0xCC:
		return errJPEGKind
	}
	return nil
}

func (p *picture) check() error {
	switch {
	case p.w == 0 || len(p.scan) == 0 || len(p.scan) >= 1<<24:
		return errNotJPEG
	case p.quant[p.tables[0]] == nil || p.quant[p.tables[1]] == nil:
		return errQuant
	}
	return nil
}

func (p *picture) quantisation(s []byte) error {
	for len(s) > 0 {
		if s[0] > 3 || len(s) < 65 {
			return errQuant
		}
		p.quant[s[0]] = s[1:65]
		s = s[65:]
	}
	return nil
}

// frame reads the start of frame.
func (p *picture) frame(s []byte) error {
	if len(s) < 6+9 || s[0] != 8 || s[5] != 3 {
		return errJPEGKind
	}
	h, w := int(binary.BigEndian.Uint16(s[1:])), int(binary.BigEndian.Uint16(s[3:]))
	if w == 0 || h == 0 || w > maxSide || h > maxSide {
		return fmt.Errorf("%w: this one is %dx%d", errJPEGSize, w, h)
	}
	p.w, p.h = (w+7)/8, (h+7)/8
	switch [3]byte{s[7], s[10], s[13]} {
	case [3]byte{0x21, 0x11, 0x11}:
		p.kind = 0
	case [3]byte{0x22, 0x11, 0x11}:
		p.kind = 1
	default:
		return errSubsample
	}
	if s[8] > 3 || s[11] > 3 || s[11] != s[14] {
		return errQuant
	}
	p.tables = [2]byte{s[8], s[11]}
	return nil
}

// standardHuffman refuses tables other than those of annex K of ITU-T T.81, which receivers
// put in. They are known by the CRC-32 of their counts and values.
func standardHuffman(s []byte) error {
	for len(s) >= 17 {
		n := 17
		for _, count := range s[1:17] {
			n += int(count)
		}
		if n > len(s) {
			return errNotJPEG
		}
		var want uint32
		switch s[0] {
		case 0x00:
			want = 0x9898900e
		case 0x10:
			want = 0x06f8f02e
		case 0x01:
			want = 0x57a406eb
		case 0x11:
			want = 0xa1415f28
		}
		if crc32.ChecksumIEEE(s[1:n]) != want {
			return errHuffman
		}
		s = s[n:]
	}
	return nil
}
