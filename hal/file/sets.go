package file

import (
	"bytes"
	"math"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"github.com/millrace-video/millrace/hal"
)

// set returns the track's parameter set of a class.
func set(t *hal.Track, class nalClass) *[]byte {
	switch class {
	case nalVPS:
		return &t.VPS
	case nalSPS:
		return &t.SPS
	case nalPPS:
		return &t.PPS
	case nalOther, nalSlice, nalDelimiter, nalSEI:
	}
	return nil
}

// complete says whether a decoder knows all it must know before the first picture.
func complete(t *hal.Track) bool {
	if t.Codec != hal.H264 && t.Codec != hal.H265 {
		return true
	}
	return t.SPS != nil && t.PPS != nil && (t.VPS != nil || t.Codec == hal.H264)
}

// adopt makes a parameter set the track's own, where it replaces the one that is there. A set
// with another number stands beside it and stays in the frames, and so does one that makes no
// sense.
func adopt(t *hal.Track, class nalClass, nal []byte) bool {
	old := set(t, class)
	if len(nal) < 3 || *old != nil && setID(t.Codec, class, *old) != setID(t.Codec, class, nal) {
		return false
	}
	if class == nalSPS && !describe(t, nal) {
		return false
	}
	*old = bytes.Clone(nal)
	return true
}

// setID returns a parameter set's own number.
func setID(codec hal.Codec, class nalClass, nal []byte) uint32 {
	var r bitReader
	switch {
	case codec == hal.H264 && class == nalSPS:
		r.load(nal[min(4, len(nal)):])
		return r.ue()
	case codec == hal.H264:
		r.load(nal[min(1, len(nal)):])
		return r.ue()
	case class == nalVPS:
		r.load(nal[min(2, len(nal)):])
		return r.u(4)
	case class == nalSPS:
		var sps h265.SPS
		if sps.Unmarshal(nal) != nil {
			return math.MaxUint32
		}
		return uint32(sps.ID)
	default:
		r.load(nal[min(2, len(nal)):])
		return r.ue()
	}
}

// describe fills in what a sequence parameter set says of the picture.
func describe(t *hal.Track, sps []byte) bool {
	if t.Codec == hal.H265 {
		return describeH265(t, sps)
	}
	var s h264.SPS
	if s.Unmarshal(sps) != nil || !sensible(s.Width(), s.Height()) {
		return false
	}
	t.Width, t.Height = s.Width(), s.Height()
	if rate := s.FPS(); announced(rate) {
		t.FrameRate = rate
	}
	if v := s.VUI; v != nil {
		t.Colour = hal.Colour{
			Primaries: v.ColourPrimaries, Transfer: v.TransferCharacteristics,
			Matrix: v.MatrixCoefficients, FullRange: v.VideoFullRangeFlag,
		}
	}
	return true
}

func describeH265(t *hal.Track, sps []byte) bool {
	var s h265.SPS
	if s.Unmarshal(sps) != nil || s.ChromaFormatIdc > 3 || !sensible(s.Width(), s.Height()) {
		return false
	}
	t.Width, t.Height = s.Width(), s.Height()
	if rate := s.FPS(); announced(rate) {
		t.FrameRate = rate
	}
	if v := s.VUI; v != nil {
		t.Colour = hal.Colour{
			Primaries: v.ColourPrimaries, Transfer: v.TransferCharacteristics,
			Matrix: v.MatrixCoefficients, FullRange: v.VideoFullRangeFlag,
		}
	}
	return true
}

// describeAV1 fills in what a sequence header OBU with its size field says.
func describeAV1(t *hal.Track, obu []byte) bool {
	var bs av1.Bitstream
	if bs.Unmarshal(obu) != nil || len(bs) != 1 {
		return false
	}
	var h av1.SequenceHeader
	if h.Unmarshal(bs[0]) != nil || !sensible(h.Width(), h.Height()) {
		return false
	}
	t.Width, t.Height = h.Width(), h.Height()
	t.SPS = bytes.Clone(obu)
	return true
}

func sensible(width, height int) bool {
	return width > 0 && height > 0 && width <= 1<<16 && height <= 1<<16
}

func announced(rate float64) bool { return rate >= 0.1 && rate <= 1000 }

// with returns the stream with one track replaced.
func with(s *hal.Stream, i int, t hal.Track) *hal.Stream {
	tracks := append([]hal.Track(nil), s.Tracks...)
	tracks[i] = t
	return &hal.Stream{Tracks: tracks}
}
