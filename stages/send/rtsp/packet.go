package rtsp

import (
	"encoding/binary"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

const (
	interleavedHeader = 4
	rtpHeader         = 12
	// maxPacket keeps a packet over UDP and IPv6 within an Ethernet frame of 1500 bytes.
	maxPacket  = 1440
	maxPayload = maxPacket - rtpHeader
)

// track is one served track: what its packets carry in their headers.
type track struct {
	hal.Track
	media int // index among the served ones; channels 2·media and 2·media+1 by default
	rate  uint32
	pt    byte
	ssrc  uint32
	base  uint32 // RTP time of the timeline's zero
	seq   uint16 // of the next packet

	packets, octets uint32
	reported        uint32 // number of the last reference that a report was made of
}

// rtpTime is the RTP time stamp of an instant of the timeline.
func (t *track) rtpTime(at time.Duration) uint32 {
	whole, part := at/time.Second, at%time.Second
	ticks := int64(whole)*int64(t.rate) + (int64(part)*int64(t.rate)+int64(time.Second)/2)/int64(time.Second)
	return t.base + uint32(ticks) //nolint:gosec // it wraps
}

// writer packetises one access unit after the other into arena memory.
type writer struct {
	b     *pool.Builder
	t     *track
	ts    uint32
	err   error
	units [][]byte
}

// packet begins a packet with n bytes of payload and returns them, to be filled in; nil where
// there is no memory, which w.err says.
func (w *writer) packet(n int, marker bool) []byte {
	if w.err != nil {
		return nil
	}
	p, err := w.b.Grow(interleavedHeader + rtpHeader + n)
	if err != nil {
		w.err = err
		return nil
	}
	p[0], p[1] = '$', byte(2*w.t.media)
	binary.BigEndian.PutUint16(p[2:], uint16(rtpHeader+n))
	p[4], p[5] = 0x80, w.t.pt
	if marker {
		p[5] |= 0x80
	}
	binary.BigEndian.PutUint16(p[6:], w.t.seq)
	binary.BigEndian.PutUint32(p[8:], w.ts)
	binary.BigEndian.PutUint32(p[12:], w.t.ssrc)
	w.t.seq++
	w.t.packets++
	w.t.octets += uint32(n)
	return p[interleavedHeader+rtpHeader:]
}

// frame packetises f and returns how it went: an error of the frame's own, or no memory.
func (w *writer) frame(t *track, f hal.Frame, at time.Duration) error {
	w.t, w.ts, w.err = t, t.rtpTime(at), nil
	data := f.Buf.Bytes()
	var err error
	switch t.Codec {
	case hal.H264, hal.H265:
		err = w.nalUnits(data, f.Key)
	case hal.AV1:
		err = w.obus(data, f.Key)
	case hal.MJPEG:
		err = w.jpeg(data)
	case hal.AAC:
		err = w.aac(data)
	case hal.Opus:
		err = w.whole(data)
	case hal.LPCM, hal.G711A, hal.G711U:
		w.samples(data)
	case hal.CodecUnknown, hal.Raw, hal.FWHT:
	}
	clear(w.units)
	w.units = w.units[:0]
	if err != nil {
		return err
	}
	return w.err
}
