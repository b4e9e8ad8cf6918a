package rtsp

import (
	"bytes"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"github.com/millrace-video/millrace/hal"
)

// paramSets are the parameter sets of a video track: those its hal.Track names, and what
// comes in-band.
type paramSets struct {
	codec         hal.Codec
	vps, sps, pps []byte
	changed       bool // since the track was last described
}

// complete says whether a decoder has all it needs.
func (s *paramSets) complete() bool {
	picture := s.codec != hal.H264 && s.codec != hal.H265 || s.pps != nil
	video := s.codec != hal.H265 || s.vps != nil
	return !s.codec.IsInter() || s.sps != nil && picture && video
}

// offer takes a parameter set from the stream. It returns true where the track names it, so
// that the frame need not repeat it: a picture parameter set beside the first, with a number of
// its own, stays in the frame. ok is false where it makes no sense.
func (s *paramSets) offer(kind paramKind, unit []byte) (named, ok bool) {
	have := &s.sps
	switch kind {
	case paramVPS:
		have = &s.vps
	case paramPPS:
		have = &s.pps
	case paramSPS:
	}
	if bytes.Equal(*have, unit) {
		return true, true
	}
	if kind == paramPPS && s.pps != nil && s.number(unit) != s.number(s.pps) {
		return false, true
	}
	if kind == paramSPS && !s.valid(unit) {
		return true, false
	}
	*have = bytes.Clone(unit)
	s.changed = true
	return true, true
}

// number returns pic_parameter_set_id.
func (s *paramSets) number(pps []byte) uint32 {
	head := 1
	if s.codec == hal.H265 {
		head = 2
	}
	if len(pps) <= head {
		return 0
	}
	r := bitReader{in: pps[head:]}
	n, _ := r.golomb()
	return n
}

func (s *paramSets) valid(sps []byte) bool {
	t := hal.Track{}
	_, ok := describe(s.codec, sps, &t)
	return ok
}

// maxPicture bounds width and height: what a parameter set claims beyond it is not believed.
const maxPicture = 16384

// reordering is how far an encoder's pictures may be out of order.
type reordering struct {
	depth int
	known bool
}

// describe fills in what a sequence parameter set (AV1: sequence header) says.
func describe(codec hal.Codec, sps []byte, t *hal.Track) (reordering, bool) {
	r, ok := reordering{known: true}, true
	if codec == hal.H264 {
		r, ok = describeH264(sps, t)
	}
	if codec == hal.H265 {
		r, ok = describeH265(sps, t)
	}
	if codec == hal.AV1 {
		var s av1.SequenceHeader
		ok = s.Unmarshal(withoutSize(sps)) == nil
		t.Width, t.Height = s.Width(), s.Height()
	}
	if !codec.IsInter() || !ok {
		return r, ok
	}
	if t.FrameRate < 0 || t.FrameRate > 1000 {
		t.FrameRate = 0
	}
	return r, t.Width > 0 && t.Height > 0 && t.Width <= maxPicture && t.Height <= maxPicture
}

func describeH264(sps []byte, t *hal.Track) (reordering, bool) {
	var s h264.SPS
	if s.Unmarshal(sps) != nil {
		return reordering{}, false
	}
	t.Width, t.Height, t.FrameRate = s.Width(), s.Height(), s.FPS()
	if v := s.VUI; v != nil {
		t.Colour = hal.Colour{
			Primaries: v.ColourPrimaries, Transfer: v.TransferCharacteristics,
			Matrix: v.MatrixCoefficients, FullRange: v.VideoFullRangeFlag,
		}
	}
	return reorderH264(&s), true
}

func describeH265(sps []byte, t *hal.Track) (reordering, bool) {
	var s h265.SPS
	if s.Unmarshal(sps) != nil {
		return reordering{}, false
	}
	t.Width, t.Height, t.FrameRate = s.Width(), s.Height(), s.FPS()
	if v := s.VUI; v != nil {
		t.Colour = hal.Colour{
			Primaries: v.ColourPrimaries, Transfer: v.TransferCharacteristics,
			Matrix: v.MatrixCoefficients, FullRange: v.VideoFullRangeFlag,
		}
	}
	n := len(s.MaxNumReorderPics)
	if n == 0 {
		return reordering{}, true
	}
	return reordering{int(min(s.MaxNumReorderPics[n-1], maxReorder)), true}, true
}

// reorderH264 returns what an H.264 encoder says about the order of its pictures: not at all
// reordered with picture order count type 2 or in the baseline profile, as bitstream_restriction
// says, or nothing (ITU-T H.264 §7.4.2.1.1, §E.2.1).
func reorderH264(s *h264.SPS) reordering {
	const baseline = 66
	switch {
	case s.PicOrderCntType == 2 || s.ProfileIdc == baseline:
		return reordering{0, true}
	case s.VUI != nil && s.VUI.BitstreamRestriction != nil:
		return reordering{int(min(s.VUI.BitstreamRestriction.MaxNumReorderFrames, maxReorder)), true}
	default:
		return reordering{}
	}
}

// withoutSize takes an OBU's size field away.
func withoutSize(obu []byte) []byte {
	if len(obu) < 2 || obu[0]&0x02 == 0 {
		return obu
	}
	head := 1
	if obu[0]&0x04 != 0 {
		head = 2
	}
	_, used := leb128(obu[min(head, len(obu)):])
	return append([]byte{obu[0] &^ 0x02}, obu[min(head+used, len(obu)):]...)
}
