package file

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// entry is a sample description: what a track's samples are.
type entry struct {
	name     fourCC
	track    hal.Track
	lenSize  int    // bytes of the lengths of NAL units
	extra    []byte // further parameter sets, put before each key frame; length-prefixed
	swap     int    // bytes of a sample of little-endian PCM
	pcmFrame uint32 // bytes of a PCM sample of all channels
}

// descriptions reads the stsd box.
func (m *mp4) descriptions(t *mp4Track, b box) error {
	const where = "moov/trak/mdia/minf/stbl/stsd"
	l := inside(m.win, b, 8, where)
	for len(t.entries) < maxEntries {
		c, ok, err := l.next()
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		p, err := whole(m.win, c, where+"/"+c.kind.String(), tableLimit)
		if err != nil {
			return err
		}
		e := entry{name: c.kind}
		if err := e.parse(p, t); err != nil {
			return damaged(c.start, where+"/"+c.kind.String(), adviceRemux, "%v", err)
		}
		e.track.TimeScale = t.scale
		t.entries = append(t.entries, e)
	}
	return nil
}

// errShortEntry says that a sample description ends within its fixed part.
var errShortEntry = errors.New("the sample description is too short")

func (e *entry) parse(p []byte, t *mp4Track) error {
	switch {
	case t.handler == cc("vide"):
		if len(p) < 78 {
			return errShortEntry
		}
		e.track.Width, e.track.Height = int(be16(p[24:])), int(be16(p[26:]))
		return e.video(p[78:])
	case t.handler == cc("soun"):
		if len(p) < 28 {
			return errShortEntry
		}
		return e.audio(p)
	default:
		return nil
	}
}

func (e *entry) video(children []byte) error {
	switch e.name {
	case cc("avc1"), cc("avc3"):
		return e.config(hal.H264, child(children, "avcC"))
	case cc("hvc1"), cc("hev1"):
		return e.config(hal.H265, child(children, "hvcC"))
	case cc("av01"):
		return e.config(hal.AV1, child(children, "av1C"))
	case cc("jpeg"):
		e.track.Codec = hal.MJPEG
	case cc("mp4v"):
		kind, _ := decoderConfig(child(children, "esds"))
		if kind == 0x6c { // Visual ISO/IEC 10918-1, by the MP4 registration authority
			e.track.Codec = hal.MJPEG
		}
	}
	return nil
}

// child returns the body of a box among others in memory.
func child(p []byte, kind string) []byte {
	for len(p) >= 8 {
		n := int64(be32(p))
		if n < 8 || n > int64(len(p)) {
			return nil
		}
		if string(p[4:8]) == kind {
			return p[8:n]
		}
		p = p[n:]
	}
	return nil
}

// config reads the decoder configuration record of a codec.
func (e *entry) config(codec hal.Codec, record []byte) error {
	e.track.Codec = codec
	c, err := nal.ReadConfig(&e.track, record)
	e.lenSize, e.extra = c.LengthSize, c.Extra
	return err
}

// audio reads an AudioSampleEntry, QuickTime's versions 1 and 2 included.
func (e *entry) audio(p []byte) error {
	t := &e.track
	version := be16(p[8:])
	t.Channels, t.BitDepth = int(be16(p[16:])), int(be16(p[18:]))
	t.SampleRate = int(be32(p[24:]) >> 16)
	children := p[28:]
	flags := uint32(0)
	switch version {
	case 1:
		if len(p) < 44 {
			return errShortEntry
		}
		children = p[44:]
	case 2:
		if len(p) < 64 {
			return errShortEntry
		}
		t.Channels, t.BitDepth, flags = int(be32(p[40:])), int(be32(p[48:])), be32(p[52:])
		t.SampleRate = wholeRate(math.Float64frombits(be64(p[32:])))
		children = p[64:]
	}
	if wave := child(children, "wave"); wave != nil && child(children, "esds") == nil {
		children = wave
	}
	if err := e.sound(children, flags); err != nil {
		return err
	}
	if t.Codec != hal.CodecUnknown && (t.SampleRate <= 0 || t.Channels <= 0 || t.Channels > 64) {
		return fmt.Errorf("sound of %d Hz with %d channels", t.SampleRate, t.Channels)
	}
	return nil
}

func wholeRate(rate float64) int {
	if rate >= 1 && rate <= 1<<20 {
		return int(rate)
	}
	return 0
}

func (e *entry) sound(children []byte, flags uint32) error {
	t := &e.track
	switch e.name {
	case cc("mp4a"):
		return e.aac(child(children, "esds"))
	case cc("Opus"):
		p := child(children, "dOps")
		if len(p) < 11 {
			return errors.New("dOps is missing or too short")
		}
		t.Codec, t.Channels, t.SampleRate, t.BitDepth = hal.Opus, int(p[1]), 48000, 0
	case cc("alaw"):
		e.pcm(hal.G711A, 8, false)
	case cc("ulaw"):
		e.pcm(hal.G711U, 8, false)
	case cc("twos"):
		e.pcm(hal.LPCM, t.BitDepth, false)
	case cc("sowt"):
		e.pcm(hal.LPCM, t.BitDepth, true)
	case cc("in24"):
		e.pcm(hal.LPCM, 24, littleEndian(children))
	case cc("in32"):
		e.pcm(hal.LPCM, 32, littleEndian(children))
	case cc("lpcm"):
		if flags&1 == 0 && flags&4 != 0 { // integers, signed
			e.pcm(hal.LPCM, t.BitDepth, flags&2 == 0)
		}
	case cc("ipcm"):
		p := child(children, "pcmC")
		if len(p) < 6 {
			return errors.New("pcmC is missing or too short")
		}
		e.pcm(hal.LPCM, int(p[5]), p[4]&1 != 0)
	}
	return nil
}

// littleEndian reads QuickTime's enda box.
func littleEndian(children []byte) bool {
	p := child(children, "enda")
	return len(p) >= 2 && be16(p) == 1
}

// pcm makes the entry one of uncompressed sound, where whole bytes make a sample.
func (e *entry) pcm(codec hal.Codec, depth int, little bool) {
	t := &e.track
	if depth%8 != 0 || depth < 8 || depth > 32 || t.Channels <= 0 || t.Channels > 64 {
		return
	}
	t.Codec, t.BitDepth = codec, 0
	e.pcmFrame = uint32(t.Channels * depth / 8)
	if codec == hal.LPCM {
		t.BitDepth = depth
		if little && depth > 8 {
			e.swap = depth / 8
		}
	}
}

// aac reads the esds box; what is not AAC there stays unknown.
func (e *entry) aac(esds []byte) error {
	kind, config := decoderConfig(esds)
	if kind != 0x40 && (kind < 0x66 || kind > 0x68) {
		return nil
	}
	var c mpeg4audio.AudioSpecificConfig
	if c.Unmarshal(config) != nil || c.SampleRate <= 0 {
		return nil //nolint:nilerr // an object type that is not supported: the track is left out
	}
	e.track.Codec, e.track.AudioConfig, e.track.BitDepth = hal.AAC, bytes.Clone(config), 0
	e.track.SampleRate = c.SampleRate
	switch n := int(c.ChannelConfig); {
	case n >= 1 && n <= 6:
		e.track.Channels = n
	case n == 7:
		e.track.Channels = 8
	}
	return nil
}

// decoderConfig finds the object type and the decoder specific information in an esds box
// (ISO/IEC 14496-1, 7.2.6).
func decoderConfig(p []byte) (kind byte, config []byte) {
	if len(p) < 4 {
		return 0, nil
	}
	p = p[4:]
	for len(p) > 1 {
		tag, size, rest := p[0], 0, p[1:]
		for i := 0; ; i++ {
			if i == 4 || len(rest) == 0 {
				return kind, nil
			}
			b := rest[0]
			rest = rest[1:]
			size = size<<7 | int(b&0x7f)
			if b&0x80 == 0 {
				break
			}
		}
		switch tag {
		case 3: // ES_Descriptor: what it holds follows
			p = rest[min(esHeader(rest), len(rest)):]
		case 4: // DecoderConfigDescriptor, and what it holds
			if len(rest) < 13 {
				return kind, nil
			}
			kind, p = rest[0], rest[13:]
		case 5: // DecoderSpecificInfo
			return kind, rest[:min(size, len(rest))]
		default:
			p = rest[min(size, len(rest)):]
		}
	}
	return kind, nil
}

// esHeader is how long the fixed part of an ES_Descriptor is.
func esHeader(p []byte) int {
	n := 3
	if len(p) < n {
		return n
	}
	flags := p[2]
	if flags&0x80 != 0 {
		n += 2
	}
	if flags&0x40 != 0 && len(p) > n {
		n += 1 + int(p[n])
	}
	if flags&0x20 != 0 {
		n += 2
	}
	return n
}
