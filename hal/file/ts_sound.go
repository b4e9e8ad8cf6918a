package file

import (
	"bytes"
	"context"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"

	"github.com/millrace-video/millrace/hal"
)

// sound hands out the next frame of a PES packet with sound. Where ctx ends it can be called
// again.
func (d *ts) sound(ctx context.Context, e *elementary) error {
	var frame piece
	if e.codec == hal.AAC {
		frame = e.adts()
	} else {
		frame = e.opus()
	}
	if frame.bad {
		if !d.probing {
			d.in.counts.malformed.Add(1)
		}
		e.gap = true
	}
	if frame.size == 0 {
		d.drain = nil
		return nil
	}
	start := e.at + frame.head
	if e.at >= e.mark && e.timed {
		e.clock, e.part, e.timed = e.pts, 0, false
	}
	buf, err := d.in.lender.get(ctx, frame.size)
	if err != nil {
		return err
	}
	copy(buf.Bytes(), e.sound[start:start+frame.size])
	if frame.config != [2]byte{} && !bytes.Equal(frame.config[:], e.track.AudioConfig) {
		e.track.AudioConfig = bytes.Clone(frame.config[:])
		e.track.SampleRate, e.track.Channels = frame.rate, frame.channels
		if !d.probing {
			d.cur = with(d.cur, e.index, e.track)
		}
	}
	s := sample{buf: buf, key: true}
	s.dur, _ = toTime(int64(frame.samples), uint32(frame.rate))
	d.emit(e, s, e.clock, e.clock)
	e.at = start + frame.size
	e.part += int64(frame.samples) * tsScale
	e.clock += e.part / int64(frame.rate)
	e.part %= int64(frame.rate)
	return nil
}

// piece is one frame of sound in a PES packet. A size of 0 means that there is none left.
type piece struct {
	head, size    int
	samples, rate int
	channels      int
	config        [2]byte // AAC's AudioSpecificConfig
	bad           bool    // bytes were skipped before it
}

// adts finds the next AAC frame (ISO/IEC 14496-3, 1.A.3.2). The beginning of one that goes on in
// the next PES packet is kept.
func (e *elementary) adts() piece {
	var f piece
	for {
		p := e.sound[e.at:]
		if len(p) < 7 {
			e.keep()
			return f
		}
		size := int(p[3]&3)<<11 | int(p[4])<<3 | int(p[5]>>5)
		f.head = 7
		if p[1]&1 == 0 {
			f.head = 9
		}
		rate := aacRate(p[2] >> 2 & 15)
		if p[0] != 0xff || p[1]&0xf6 != 0xf0 || size <= f.head || rate == 0 || p[6]&3 != 0 {
			f.bad = true
			e.at++
			if i := bytes.IndexByte(e.sound[e.at:], 0xff); i >= 0 {
				e.at += i
			} else {
				e.at = len(e.sound)
			}
			continue
		}
		if size > len(p) {
			e.keep()
			return piece{bad: f.bad}
		}
		channels := p[2]&1<<2 | p[3]>>6
		object := p[2]>>6 + 1
		index := p[2] >> 2 & 15
		f.size, f.samples, f.rate = size-f.head, 1024, rate
		f.channels = int(channels)
		switch channels {
		case 0:
			f.channels = 2
		case 7:
			f.channels = 8
		}
		f.config = [2]byte{object<<3 | index>>1, index<<7 | channels<<3}
		return f
	}
}

// aacRate is ISO/IEC 14496-3 table 1.18.
func aacRate(index byte) int {
	rates := [16]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}
	return rates[index]
}

// keep moves what is left to the front.
func (e *elementary) keep() {
	n := copy(e.sound, e.sound[e.at:])
	e.sound, e.at, e.mark = e.sound[:n], 0, n
}

// opus finds the next Opus packet behind its control header (ETSI TS "Opus" draft 0.1.3).
func (e *elementary) opus() piece {
	p := e.sound[e.at:]
	if len(p) == 0 {
		e.clear()
		return piece{}
	}
	head, size := opusHeader(p)
	if head == 0 || size > len(p)-head {
		e.clear()
		return piece{bad: true}
	}
	f := piece{head: head, size: size, rate: 48000}
	f.samples = int(opus.PacketDuration2(p[head : head+size]))
	return f
}

func (e *elementary) clear() { e.sound, e.at, e.mark = e.sound[:0], 0, 0 }

func opusHeader(p []byte) (head, size int) {
	if len(p) < 3 || p[0] != 0x7f || p[1]&0xe0 != 0xe0 {
		return 0, 0
	}
	head = 2
	for {
		if head >= len(p) {
			return 0, 0
		}
		b := p[head]
		head++
		size += int(b)
		if b != 0xff {
			break
		}
	}
	for _, trim := range [...]byte{0x10, 0x08} {
		if p[1]&trim != 0 {
			head += 2
		}
	}
	if p[1]&0x04 != 0 {
		if head >= len(p) {
			return 0, 0
		}
		head += 1 + int(p[head])
	}
	if size == 0 || head > len(p) {
		return 0, 0
	}
	return head, size
}
