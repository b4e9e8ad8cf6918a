package bench

import (
	"encoding/binary"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// Interleaved channels, payload types and beginnings of the simulated cameras' RTP. All cameras
// send the same packets, each at times of its own, so that a packet is made out once for all.
const (
	videoChannel, audioChannel = 0, 2
	videoType, audioType       = 96, 97
	videoSSRC, audioSSRC       = 0x4d494c4c, 0x52414345
	firstStamp                 = 1 << 20
	packetPayload              = 1460 - 12 // bytes of RTP payload at most
	interleavedHead            = 4
	rtpHead                    = 12
)

// parcel is an access unit or a piece of sound as interleaved RTP packets.
type parcel struct {
	bytes  []byte
	heads  []int // where the packets' RTP headers are
	digits int   // where a picture's number is; 0: it has none
	number int64 // that it is made out for at present

	before  int64 // packets of the loop before it
	payload int64 // bytes of RTP payload of the loop before it
}

// reel is one track of a clip.
type reel struct {
	parcels []parcel
	packets int64 // of a loop
	payload int64 // bytes of RTP payload of a loop
	step    int64 // in units of RTP time, from one parcel to the next
	scale   int64
}

// at returns parcel n of the endless loop, made out for n.
func (r *reel) at(n int64) *parcel {
	loop, i := n/int64(len(r.parcels)), n%int64(len(r.parcels))
	p := &r.parcels[i]
	if p.number == n {
		return p
	}
	p.number = n
	seq := loop*r.packets + p.before
	stamp := uint32(firstStamp + n*r.step) //nolint:gosec // RTP's counters wrap
	for k, h := range p.heads {
		binary.BigEndian.PutUint16(p.bytes[h+2:], uint16(seq+int64(k))) //nolint:gosec // as above
		binary.BigEndian.PutUint32(p.bytes[h+4:], stamp)
	}
	if p.digits > 0 {
		putNumber(p.bytes[p.digits:], n)
	}
	return p
}

// due is when parcel n is sent, from the camera's own beginning.
func (r *reel) due(n int64) time.Duration {
	return time.Duration(n * r.step * int64(time.Second) / r.scale)
}

// from is the first parcel that is due at t or later.
func (r *reel) from(t time.Duration) int64 {
	n := int64(t) * r.scale / int64(time.Second) / r.step
	for r.due(n) < t {
		n++
	}
	return n
}

// sent is how many packets and bytes of payload came before parcel n.
func (r *reel) sent(n int64) (packets, payload int64) {
	loop, p := n/int64(len(r.parcels)), &r.parcels[n%int64(len(r.parcels))]
	return loop*r.packets + p.before, loop*r.payload + p.payload
}

// reels packs a clip.
func (c *clip) reels() (video, audio *reel) {
	video = &reel{step: simStep, scale: simScale}
	for _, unit := range c.pictures {
		video.add(packed(c.video.Codec, unit))
	}
	audio = &reel{step: simSamples, scale: simSampleRate}
	for _, unit := range c.sounds {
		p := parcel{number: -1}
		bits := len(unit) << 3
		p.packet(audioChannel, audioType, audioSSRC, true, []byte{0, 16, byte(bits >> 8), byte(bits)}, unit) // RFC 3640, 3.3.6
		audio.add(p)
	}
	return video, audio
}

func (r *reel) add(p parcel) {
	p.before, p.payload = r.packets, r.payload
	r.packets += int64(len(p.heads))
	r.payload += int64(len(p.bytes) - len(p.heads)*(interleavedHead+rtpHead))
	r.parcels = append(r.parcels, p)
}

// packed puts the NAL units of an access unit into packets, RFC 6184 and RFC 7798.
func packed(codec hal.Codec, unit []byte) parcel {
	p := parcel{number: -1}
	walk := nal.Prefixed(unit)
	for {
		u, ok := walk.Next()
		if !ok {
			return p
		}
		last := len(walk) == 0
		if len(u) <= packetPayload {
			at := p.packet(videoChannel, videoType, videoSSRC, last, nil, u)
			if _, ok := numberIn(u); ok && p.digits == 0 {
				p.digits = at + len(u) - 1 - numberDigits
			}
			continue
		}
		p.fragments(codec, u, last)
	}
}

// fragments splits a NAL unit (FU-A of RFC 6184, FU of RFC 7798).
func (p *parcel) fragments(codec hal.Codec, u []byte, last bool) {
	head := []byte{u[0]&0xe0 | 28, u[0] & 0x1f}
	if codec == hal.H265 {
		head = []byte{u[0]&0x81 | 49<<1, u[1], u[0] >> 1 & 0x3f}
	}
	rest := u[nal.HeaderLen(codec):]
	kind := len(head) - 1
	head[kind] |= 0x80
	for len(rest) > 0 {
		n := min(len(rest), packetPayload-len(head))
		if n == len(rest) {
			head[kind] |= 0x40
		}
		p.packet(videoChannel, videoType, videoSSRC, last && n == len(rest), head, rest[:n])
		head[kind] &^= 0x80
		rest = rest[n:]
	}
}

// packet appends a packet and returns where its body is. Sequence number and time are filled in by at.
func (p *parcel) packet(channel, kind byte, ssrc uint32, marker bool, head, body []byte) int {
	size := rtpHead + len(head) + len(body)
	p.bytes = append(p.bytes, '$', channel, byte(size>>8), byte(size))
	p.heads = append(p.heads, len(p.bytes))
	if marker {
		kind |= 0x80
	}
	p.bytes = append(p.bytes, 0x80, kind, 0, 0, 0, 0, 0, 0)
	p.bytes = binary.BigEndian.AppendUint32(p.bytes, ssrc)
	p.bytes = append(p.bytes, head...)
	p.bytes = append(p.bytes, body...)
	return len(p.bytes) - len(body)
}

// senderReport is one of a track as an interleaved frame, RFC 3550, 6.4.1: its parcel n goes out at wall.
func (r *reel) senderReport(channel byte, ssrc uint32, n int64, wall time.Time) []byte {
	packets, payload := r.sent(n)
	const toNTP = 2_208_988_800 // seconds from 1900 to 1970
	b := []byte{'$', channel + 1, 0, 28, 0x80, 200, 0, 6}
	b = binary.BigEndian.AppendUint32(b, ssrc)
	b = binary.BigEndian.AppendUint32(b, uint32(wall.Unix()+toNTP))                                 //nolint:gosec // NTP's seconds wrap
	b = binary.BigEndian.AppendUint32(b, uint32(uint64(wall.Nanosecond())<<32/uint64(time.Second))) //nolint:gosec // below 2^32
	b = binary.BigEndian.AppendUint32(b, uint32(firstStamp+n*r.step))                               //nolint:gosec // RTP's counters wrap
	b = binary.BigEndian.AppendUint32(b, uint32(packets))                                           //nolint:gosec // as above
	return binary.BigEndian.AppendUint32(b, uint32(payload))                                        //nolint:gosec // as above
}
