package rtsp

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"github.com/millrace-video/millrace/hal"
)

// maxTracks bounds what one session may hold.
const maxTracks = 8

// offer is a track of the description that this driver can take.
type offer struct {
	media  *description.Media
	format format.Format
	track  hal.Track
	rate   int  // of the RTP clock
	pli    bool // it can be asked for key frames
	join   func(out output, au assembly) unpacker
}

// offers finds the tracks of a description. What cannot be taken is named in left.
func offers(desc *description.Session, sdp []byte) (taken []offer, left []string) {
	sections := mediaSections(sdp)
	for i, m := range desc.Medias {
		if m.IsBackChannel {
			continue
		}
		var section []byte
		if len(sections) == len(desc.Medias) {
			section = sections[i]
		}
		o, ok := choose(m, section)
		if !ok || len(taken) == maxTracks {
			if len(left) < maxTracks {
				left = append(left, names(m, section))
			}
			continue
		}
		taken = append(taken, o)
	}
	return taken, left
}

// choose picks the first format of a media that can be taken.
func choose(m *description.Media, section []byte) (offer, bool) {
	for _, f := range m.Formats {
		o := offer{media: m, format: f, rate: f.ClockRate()}
		if n := clockRate(section, f.PayloadType()); n > 0 {
			o.rate = n // explicit SBR: gortsplib names the core's rate, the RTP clock is the other
		}
		o.pli = bytes.Contains(section, []byte("nack pli"))
		if o.fill() && o.rate > 0 && o.rate <= 1e6 {
			o.track.TimeScale = uint32(o.rate)
			return o, true
		}
	}
	return offer{}, false
}

// fill sets track and join by the format. It returns false where the format is not taken.
func (o *offer) fill() bool {
	switch f := o.format.(type) {
	case *format.H264:
		o.track = hal.Track{Codec: hal.H264, SPS: f.SPS, PPS: f.PPS}
		o.join = func(out output, au assembly) unpacker { return &nalJoiner{codec: hal.H264, out: out, au: au} }
	case *format.H265:
		o.track = hal.Track{Codec: hal.H265, VPS: f.VPS, SPS: f.SPS, PPS: f.PPS}
		o.join = func(out output, au assembly) unpacker {
			return &nalJoiner{codec: hal.H265, out: out, au: au}
		}
		return f.MaxDONDiff == 0
	case *format.AV1:
		o.track = hal.Track{Codec: hal.AV1}
		o.join = func(out output, au assembly) unpacker { return &av1Unpacker{out: out, au: au} }
	case *format.MJPEG:
		o.track = hal.Track{Codec: hal.MJPEG}
		o.join = func(out output, au assembly) unpacker { return &jpegUnpacker{out: out, au: au} }
	case *format.MPEG4Audio:
		return o.fillAAC(f)
	case *format.MPEG4AudioLATM:
		return o.fillLATM(f)
	default:
		return o.fillPlain()
	}
	return true
}

func (o *offer) fillPlain() bool {
	one := 0
	switch f := o.format.(type) {
	case *format.Opus:
		o.track = hal.Track{Codec: hal.Opus, SampleRate: 48000, Channels: f.ChannelCount}
	case *format.G711:
		o.track = hal.Track{Codec: hal.G711A, SampleRate: f.SampleRate, Channels: f.ChannelCount}
		if f.MULaw {
			o.track.Codec = hal.G711U
		}
		one = f.ChannelCount
	case *format.LPCM:
		o.track = hal.Track{Codec: hal.LPCM, SampleRate: f.SampleRate, Channels: f.ChannelCount, BitDepth: f.BitDepth}
		one = f.ChannelCount * f.BitDepth / 8
	default:
		return false
	}
	o.join = func(out output, au assembly) unpacker { return &plainUnpacker{out: out, au: au, one: one} }
	return o.track.Channels > 0 && o.track.Channels <= 32 && o.track.SampleRate > 0 && o.track.SampleRate <= 1e6
}

func (o *offer) fillAAC(f *format.MPEG4Audio) bool {
	if f.SizeLength > 32 || f.IndexLength > 32 || f.IndexDeltaLength > 32 || !o.aac(f.Config) {
		return false
	}
	per := aacTicks(f.Config, o.rate)
	o.join = func(out output, au assembly) unpacker {
		return &aacUnpacker{
			out: out, au: au, perUnit: per,
			sizeLen: f.SizeLength, indexLen: f.IndexLength, deltaLen: f.IndexDeltaLength,
		}
	}
	return true
}

func (o *offer) fillLATM(f *format.MPEG4AudioLATM) bool {
	if f.CPresent || f.StreamMuxConfig == nil || len(f.StreamMuxConfig.Programs) == 0 ||
		len(f.StreamMuxConfig.Programs[0].Layers) == 0 {
		return false
	}
	conf := f.StreamMuxConfig.Programs[0].Layers[0].AudioSpecificConfig
	if !o.aac(conf) {
		return false
	}
	per := aacTicks(conf, o.rate)
	o.join = func(out output, au assembly) unpacker {
		return &latmUnpacker{
			out: out, au: au, perUnit: per,
			mux: mpeg4audio.AudioMuxElement{StreamMuxConfig: f.StreamMuxConfig},
		}
	}
	return true
}

func (o *offer) aac(conf *mpeg4audio.AudioSpecificConfig) bool {
	if conf == nil || conf.SampleRate <= 0 {
		return false
	}
	raw, err := conf.Marshal()
	if err != nil {
		return false
	}
	o.track = hal.Track{Codec: hal.AAC, SampleRate: conf.SampleRate, Channels: channels(conf), AudioConfig: raw}
	return true
}

func channels(conf *mpeg4audio.AudioSpecificConfig) int {
	switch {
	case conf.ChannelConfig == 7:
		return 8
	case conf.ChannelConfig > 0:
		return int(conf.ChannelConfig)
	default:
		return max(conf.ChannelCount, 1) //nolint:staticcheck // deprecated for writing; the only place that has it
	}
}

// aacTicks returns how long an access unit lasts on the RTP clock.
func aacTicks(conf *mpeg4audio.AudioSpecificConfig, rate int) int64 {
	samples := 1024
	if conf.FrameLengthFlag {
		samples = 960
	}
	return int64(samples) * int64(rate) / int64(conf.SampleRate)
}

// mediaSections cuts a description at its m= lines.
func mediaSections(sdp []byte) [][]byte {
	var out [][]byte
	for part := range bytes.SplitSeq(append([]byte{'\n'}, sdp...), []byte("\nm=")) {
		out = append(out, part)
	}
	return out[1:]
}

// attribute returns the value of a line like "a=rtpmap:96 …" for one payload type.
func attribute(section []byte, name string, pt uint8) string {
	prefix := fmt.Sprintf("a=%s:%d ", name, pt)
	for line := range bytes.Lines(section) {
		if v, ok := strings.CutPrefix(string(line), prefix); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// clockRate returns the RTP clock that an rtpmap names, or 0.
func clockRate(section []byte, pt uint8) int {
	parts := strings.Split(attribute(section, "rtpmap", pt), "/")
	if len(parts) < 2 {
		return 0
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0
	}
	return n
}

// names says what a media holds, for the log.
func names(m *description.Media, section []byte) string {
	all := make([]string, 0, len(m.Formats))
	for _, f := range m.Formats {
		name := attribute(section, "rtpmap", f.PayloadType())
		if name == "" {
			name = f.RTPMap()
		}
		if name == "" {
			name = "payload type " + strconv.Itoa(int(f.PayloadType()))
		}
		all = append(all, fmt.Sprintf("%.40s", name))
	}
	return fmt.Sprintf("%s (%s)", m.Type, strings.Join(all, ", "))
}
