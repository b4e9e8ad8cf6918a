package rtsp

import "encoding/binary"

// packet is one RTP packet (RFC 3550 §5.1). Its payload lies in the block that was read.
type packet struct {
	seq     uint16
	ts      uint32
	ssrc    uint32
	pt      uint8
	marker  bool
	payload []byte
}

// parsePacket reads b into p without copying. It returns false where b is no RTP packet.
func parsePacket(b []byte, p *packet) bool {
	if len(b) < 12 || b[0]>>6 != 2 {
		return false
	}
	p.marker, p.pt = b[1]&0x80 != 0, b[1]&0x7f
	p.seq = binary.BigEndian.Uint16(b[2:])
	p.ts = binary.BigEndian.Uint32(b[4:])
	p.ssrc = binary.BigEndian.Uint32(b[8:])
	head, end := 12+4*int(b[0]&0x0f), len(b)
	if b[0]&0x10 != 0 { // one extension, its length in words
		if end < head+4 {
			return false
		}
		head += 4 + 4*int(binary.BigEndian.Uint16(b[head+2:]))
	}
	if b[0]&0x20 != 0 { // the last byte counts the padding
		end -= int(b[end-1])
	}
	if end < head {
		return false
	}
	p.payload = b[head:end]
	return true
}

// senderReport is what an RTCP sender report says about a track (RFC 3550 §6.4.1).
type senderReport struct {
	ssrc uint32
	ntp  uint64 // seconds since 1900 in the upper half, their fraction in the lower
	rtp  uint32 // the same instant on the track's clock
}

const (
	rtcpSenderReport = 200
	rtcpBye          = 203
)

// parseRTCP walks a compound RTCP packet and calls report for each sender report, bye for each
// BYE. It returns false where the packet made no sense.
func parseRTCP(b []byte, report func(senderReport), bye func()) bool {
	for len(b) > 0 {
		if len(b) < 4 || b[0]>>6 != 2 {
			return false
		}
		n := 4 + 4*int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b) {
			return false
		}
		switch {
		case b[1] == rtcpSenderReport && n >= 28:
			report(senderReport{
				ssrc: binary.BigEndian.Uint32(b[4:]),
				ntp:  binary.BigEndian.Uint64(b[8:]),
				rtp:  binary.BigEndian.Uint32(b[16:]),
			})
		case b[1] == rtcpBye:
			bye()
		}
		b = b[n:]
	}
	return true
}
