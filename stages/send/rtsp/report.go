package rtsp

import (
	"encoding/binary"
	"time"
)

// reference is an instant that sender reports tell players of: wall time beside the timeline.
// All tracks report the same one, so that players can put them side by side (RFC 3550, 6.4.1).
type reference struct {
	number uint32 // 0: none yet
	mono   int64
	at     time.Duration
	ntp    uint64
}

// reportEvery is how far references lie apart.
const reportEvery = 5 * time.Second

// ntpTime is a wall time in NTP's 32.32 bits.
func ntpTime(t time.Time) uint64 {
	const from1900 = 2208988800
	return uint64(t.Unix()+from1900)<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second) //nolint:gosec // after 1900
}

// reportSize is the length of an interleaved sender report with a name of n bytes.
func reportSize(n int) int { return interleavedHeader + 28 + 8 + (2+n+4)/4*4 }

// putReport writes a track's sender report and source description (its name) as an interleaved
// packet into p, which has reportSize.
func putReport(p []byte, t *track, ref reference, channel byte, name string) {
	clear(p)
	p[0], p[1] = '$', channel
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)-interleavedHeader))
	sr := p[interleavedHeader:]
	sr[0], sr[1] = 0x80, 200
	binary.BigEndian.PutUint16(sr[2:], 6)
	binary.BigEndian.PutUint32(sr[4:], t.ssrc)
	binary.BigEndian.PutUint64(sr[8:], ref.ntp)
	binary.BigEndian.PutUint32(sr[16:], t.rtpTime(ref.at))
	binary.BigEndian.PutUint32(sr[20:], t.packets)
	binary.BigEndian.PutUint32(sr[24:], t.octets)
	sdes := sr[28:]
	sdes[0], sdes[1] = 0x81, 202
	binary.BigEndian.PutUint16(sdes[2:], uint16(len(sdes)/4-1))
	binary.BigEndian.PutUint32(sdes[4:], t.ssrc)
	sdes[8], sdes[9] = 1, byte(len(name)) // CNAME
	copy(sdes[10:], name)
}
