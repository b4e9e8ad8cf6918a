package hal

import (
	"bytes"
	"fmt"
	"slices"
)

// Codec says how a track's bytes are coded.
type Codec uint8

// The codecs a track can have. Raw is uncompressed pictures; LPCM uncompressed sound.
const (
	CodecUnknown Codec = iota
	Raw
	MJPEG
	H264
	H265
	AV1
	LPCM
	AAC
	Opus
	G711A // A-law
	G711U // µ-law
	FWHT  // of the kernel's virtual encoder (vicodec): for tests, no player knows it
)

func codecNames() [12]string {
	return [...]string{"unknown", "raw", "mjpeg", "h264", "h265", "av1", "lpcm", "aac", "opus", "pcma", "pcmu", "fwht"}
}

func (c Codec) String() string {
	names := codecNames()
	if int(c) >= len(names) {
		return fmt.Sprintf("codec(%d)", uint8(c))
	}
	return names[c]
}

// ParseCodec is the inverse of String.
func ParseCodec(name string) (Codec, error) {
	names := codecNames()
	if i := slices.Index(names[:], name); i > 0 {
		return Codec(i), nil
	}
	return CodecUnknown, fmt.Errorf("unknown codec %q: one of %v", name, names[1:])
}

// IsVideo says whether the codec carries pictures.
func (c Codec) IsVideo() bool { return c >= Raw && c <= AV1 || c == FWHT }

// IsInter says whether a frame may need others before it to be decoded.
func (c Codec) IsInter() bool { return c == H264 || c == H265 || c == AV1 || c == FWHT }

// Track is one elementary stream: its codec and what a decoder must know beforehand.
type Track struct {
	Codec     Codec
	TimeScale uint32 // units a second that the source counts in: 90000, a sample rate

	// Pictures.
	Width, Height int     // pixels, as shown (cropping applied)
	FrameRate     float64 // frames a second, as announced; 0 where nobody says
	Layout        Layout  // of raw pictures
	Colour        Colour

	// Parameter sets as NAL units without prefix or start code, for AV1 the sequence header OBU
	// with its size field in SPS. Nil where the stream carries them in its frames only.
	VPS, SPS, PPS []byte

	// Sound.
	SampleRate, Channels int
	BitDepth             int    // of LPCM
	AudioConfig          []byte // AAC's AudioSpecificConfig
}

// Equal says whether a decoder could go on without noticing a change from t to u.
func (t Track) Equal(u Track) bool {
	return t.Codec == u.Codec && t.TimeScale == u.TimeScale &&
		t.Width == u.Width && t.Height == u.Height && t.FrameRate == u.FrameRate &&
		t.Layout == u.Layout && t.Colour == u.Colour &&
		bytes.Equal(t.VPS, u.VPS) && bytes.Equal(t.SPS, u.SPS) && bytes.Equal(t.PPS, u.PPS) &&
		t.SampleRate == u.SampleRate && t.Channels == u.Channels && t.BitDepth == u.BitDepth &&
		bytes.Equal(t.AudioConfig, u.AudioConfig)
}

func (t Track) String() string {
	switch {
	case t.Codec == Raw:
		return fmt.Sprintf("raw %s %dx%d", t.Layout.Pixel, t.Width, t.Height)
	case t.Codec.IsVideo():
		return fmt.Sprintf("%s %dx%d", t.Codec, t.Width, t.Height)
	default:
		return fmt.Sprintf("%s %d Hz %d ch", t.Codec, t.SampleRate, t.Channels)
	}
}

// Stream is what a source gives: its tracks, known before the first frame. It is immutable.
// Equal parameters keep the pointer; a new pointer on a frame tells every stage that the
// format changed or that a track came or went.
type Stream struct {
	Tracks []Track
}

// Equal says whether both have equal tracks in the same order.
func (s *Stream) Equal(o *Stream) bool {
	return s == o || s != nil && o != nil && slices.EqualFunc(s.Tracks, o.Tracks, Track.Equal)
}

// Video returns the index of the first track with pictures, or −1.
func (s *Stream) Video() int {
	return slices.IndexFunc(s.Tracks, func(t Track) bool { return t.Codec.IsVideo() })
}

// Audio returns the index of the first track with sound, or −1.
func (s *Stream) Audio() int {
	return slices.IndexFunc(s.Tracks, func(t Track) bool { return t.Codec != CodecUnknown && !t.Codec.IsVideo() })
}
