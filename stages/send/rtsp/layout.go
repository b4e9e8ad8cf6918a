package rtsp

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"github.com/millrace-video/millrace/hal"
)

// layout is how a stream is served: which tracks, under which payload types, SSRCs and random
// starting points. Players that know it can go on while it stays.
type layout struct {
	desc   *description.Session // as gortsplib's sessions see it
	tracks []track
	media  []int  // by the stream's track: index into tracks, or −1
	video  int    // index of the pictures among tracks; −1: none
	inter  bool   // they need a key frame
	name   string // CNAME
	sdp    []byte
}

var errNothing = errors.New("nothing in this stream can go over RTSP: encode it (H.264, H.265, AV1, MJPEG, AAC, Opus, G.711, LPCM)")

// newLayout plans how to serve a stream. left names the tracks that are left out, with why.
func newLayout(stream *hal.Stream) (l *layout, left []string, err error) {
	l = &layout{video: -1, desc: &description.Session{}}
	for i := range stream.Tracks {
		t := stream.Tracks[i]
		f, err := formatOf(t, byte(96+len(l.tracks)))
		if err != nil {
			l.media = append(l.media, -1)
			left = append(left, fmt.Sprintf("%v: %v", t, err))
			continue
		}
		m := len(l.tracks)
		l.media = append(l.media, m)
		kind := description.MediaTypeAudio
		if t.Codec.IsVideo() {
			kind = description.MediaTypeVideo
			if l.video < 0 {
				l.video, l.inter = m, t.Codec.IsInter()
			}
		}
		l.tracks = append(l.tracks, track{Track: t, media: m, rate: uint32(f.ClockRate()), pt: f.PayloadType()})
		l.desc.Medias = append(l.desc.Medias, &description.Media{Type: kind, Formats: []format.Format{f}})
		if len(l.tracks) == maxTracks {
			break
		}
	}
	for len(l.media) < len(stream.Tracks) {
		l.media = append(l.media, -1)
	}
	if len(l.tracks) == 0 {
		return nil, left, fmt.Errorf("%w: %s", errNothing, strings.Join(left, "; "))
	}
	if err := l.randomise(); err != nil {
		return nil, left, err
	}
	return l, left, l.describe()
}

// maxTracks is what the interleaved channels and dynamic payload types have room for.
const maxTracks = 16

// randomise draws the starting points and the SSRCs (RFC 3550).
func (l *layout) randomise() error {
	var b [8 + 12*maxTracks]byte
	if _, err := rand.Read(b[:]); err != nil {
		return err
	}
	l.name = "millrace-" + hex.EncodeToString(b[:6])
	for i := range l.tracks {
		t, r := &l.tracks[i], b[8+12*i:]
		t.base, t.seq, t.ssrc = binary.BigEndian.Uint32(r), binary.BigEndian.Uint16(r[4:]), binary.BigEndian.Uint32(r[8:])
	}
	return nil
}

// describe makes the SDP.
func (l *layout) describe() error {
	desc := &description.Session{}
	for i, m := range l.desc.Medias {
		f, err := formatOf(l.tracks[i].Track, l.tracks[i].pt)
		if err != nil {
			return err
		}
		desc.Medias = append(desc.Medias, &description.Media{
			Type: m.Type, Control: "trackID=" + strconv.Itoa(i), Formats: []format.Format{f},
		})
	}
	text, err := desc.Marshal()
	if err != nil {
		return fmt.Errorf("describe the stream: %w", err)
	}
	l.sdp = text
	return nil
}

// carry takes another stream over where players of this one can go on: the same tracks but for
// parameter sets, sizes and rates of pictures, which come in-band.
func (l *layout) carry(stream *hal.Stream) bool {
	if len(stream.Tracks) != len(l.media) {
		return false
	}
	for i, m := range l.media {
		t := stream.Tracks[i]
		if m < 0 {
			if _, err := formatOf(t, 96); err == nil {
				return false
			}
			continue
		}
		if !l.tracks[m].sameToPlayers(t) {
			return false
		}
	}
	before := slices.Clone(l.tracks)
	for i, m := range l.media {
		if m >= 0 {
			l.tracks[m].Track = stream.Tracks[i]
		}
	}
	if l.describe() != nil {
		l.tracks = before
		return false
	}
	return true
}

func (t *track) sameToPlayers(u hal.Track) bool {
	if t.Codec != u.Codec {
		return false
	}
	if t.Codec.IsVideo() {
		return true
	}
	return t.Equal(u)
}

// formatOf is how gortsplib describes a track; an error says why it cannot be served.
func formatOf(t hal.Track, pt uint8) (format.Format, error) { //nolint:ireturn // gortsplib's own
	switch t.Codec {
	case hal.H264:
		return &format.H264{PayloadTyp: pt, PacketizationMode: 1, SPS: t.SPS, PPS: t.PPS}, nil
	case hal.H265:
		return &format.H265{PayloadTyp: pt, VPS: t.VPS, SPS: t.SPS, PPS: t.PPS}, nil
	case hal.AV1:
		return &format.AV1{PayloadTyp: pt}, nil
	case hal.MJPEG:
		if t.Width > maxSide || t.Height > maxSide {
			return nil, errJPEGSize
		}
		return &format.MJPEG{}, nil
	case hal.CodecUnknown, hal.Raw, hal.FWHT:
		return nil, errors.New("no RTP payload format for it")
	case hal.AAC, hal.Opus, hal.G711A, hal.G711U, hal.LPCM:
	}
	return soundFormat(t, pt)
}

func soundFormat(t hal.Track, pt uint8) (format.Format, error) { //nolint:ireturn // as above
	if t.SampleRate <= 0 || t.Channels <= 0 || t.Channels > 16 {
		return nil, fmt.Errorf("%d Hz, %d channels", t.SampleRate, t.Channels)
	}
	switch {
	case t.Codec == hal.AAC:
		var c mpeg4audio.AudioSpecificConfig
		if err := c.Unmarshal(t.AudioConfig); err != nil {
			return nil, fmt.Errorf("its configuration: %w", err)
		}
		return &format.MPEG4Audio{PayloadTyp: pt, Config: &c, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3}, nil
	case t.Codec == hal.Opus && t.Channels <= 2:
		return &format.Opus{PayloadTyp: pt, ChannelCount: t.Channels}, nil
	case t.Codec == hal.LPCM && (t.BitDepth == 16 || t.BitDepth == 24):
		return &format.LPCM{PayloadTyp: pt, BitDepth: t.BitDepth, SampleRate: t.SampleRate, ChannelCount: t.Channels}, nil
	case t.Codec == hal.G711A || t.Codec == hal.G711U:
		return g711(t, pt), nil
	}
	return nil, fmt.Errorf("%d channels, %d bits", t.Channels, t.BitDepth)
}

func g711(t hal.Track, pt uint8) *format.G711 {
	f := &format.G711{PayloadTyp: pt, MULaw: t.Codec == hal.G711U, SampleRate: t.SampleRate, ChannelCount: t.Channels}
	if t.SampleRate == 8000 && t.Channels == 1 {
		f.PayloadTyp = 8 // static (RFC 3551)
		if f.MULaw {
			f.PayloadTyp = 0
		}
	}
	return f
}
