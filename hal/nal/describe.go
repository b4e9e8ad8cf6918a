package nal

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"github.com/millrace-video/millrace/hal"
)

const (
	maxSide    = 16384 // pixels: a picture wider or higher than this is not believed
	maxReorder = 16    // pictures a decoder holds at most (H.264 A.3.1, H.265 A.4.2)
)

// Reorder is how far an encoder's pictures may be out of order: how many of them come before one
// that is shown earlier. Known is false where the encoder does not say.
type Reorder struct {
	Depth int
	Known bool
}

// Describe fills in what a sequence parameter set, of AV1 a sequence header OBU with its size, says of t's
// pictures: their size, and where it says so their rate and colour. Where it makes no sense
// Describe returns false and leaves t as it is.
func Describe(t *hal.Track, sps []byte) (Reorder, bool) {
	p, ok := picture{}, false
	switch t.Codec { //nolint:exhaustive // the others have none
	case hal.H264:
		p, ok = pictureH264(sps)
	case hal.H265:
		p, ok = pictureH265(sps)
	case hal.AV1:
		p, ok = pictureAV1(sps)
	}
	if !ok || p.width < 1 || p.height < 1 || p.width > maxSide || p.height > maxSide {
		return Reorder{}, false
	}
	t.Width, t.Height = p.width, p.height
	if BelievableRate(p.rate) {
		t.FrameRate = p.rate
	}
	if p.coloured {
		t.Colour = p.colour
	}
	return p.reorder, true
}

// BelievableRate says whether a number of frames a second can be meant.
func BelievableRate(rate float64) bool { return rate >= 0.1 && rate <= 1000 }

// picture is what a sequence parameter set says.
type picture struct {
	width, height int
	rate          float64
	colour        hal.Colour
	coloured      bool
	reorder       Reorder
}

func pictureH264(sps []byte) (picture, bool) {
	var s h264.SPS
	if s.Unmarshal(sps) != nil || s.ChromaFormatIdc > 3 {
		return picture{}, false
	}
	p := picture{width: s.Width(), height: s.Height(), rate: s.FPS(), reorder: reorderH264(&s)}
	if v := s.VUI; v != nil {
		p.coloured, p.colour = true, hal.Colour{
			Primaries: v.ColourPrimaries, Transfer: v.TransferCharacteristics,
			Matrix: v.MatrixCoefficients, FullRange: v.VideoFullRangeFlag,
		}
	}
	return p, true
}

// reorderH264: pictures are not reordered with picture order count type 2 or in the baseline
// profile, as far as bitstream_restriction says, or nobody knows (7.4.2.1.1, E.2.1).
func reorderH264(s *h264.SPS) Reorder {
	const baseline = 66
	switch {
	case s.PicOrderCntType == 2 || s.ProfileIdc == baseline:
		return Reorder{Known: true}
	case s.VUI != nil && s.VUI.BitstreamRestriction != nil:
		return Reorder{int(min(s.VUI.BitstreamRestriction.MaxNumReorderFrames, maxReorder)), true}
	default:
		return Reorder{}
	}
}

func pictureH265(sps []byte) (picture, bool) {
	var s h265.SPS
	if s.Unmarshal(sps) != nil || s.ChromaFormatIdc > 3 {
		return picture{}, false
	}
	p := picture{width: s.Width(), height: s.Height(), rate: s.FPS(), reorder: Reorder{Known: true}}
	if n := len(s.MaxNumReorderPics); n > 0 {
		p.reorder.Depth = int(min(s.MaxNumReorderPics[n-1], maxReorder))
	}
	if v := s.VUI; v != nil {
		p.coloured, p.colour = true, hal.Colour{
			Primaries: v.ColourPrimaries, Transfer: v.TransferCharacteristics,
			Matrix: v.MatrixCoefficients, FullRange: v.VideoFullRangeFlag,
		}
	}
	return p, true
}

func pictureAV1(obu []byte) (picture, bool) {
	u, ok := FirstOBU(obu)
	if !ok || u.Kind != SequenceHeader || !u.Sized || u.Len != len(obu) {
		return picture{}, false
	}
	var h av1.SequenceHeader
	if h.Unmarshal(u.Unsized()) != nil {
		return picture{}, false
	}
	return picture{width: h.Width(), height: h.Height(), reorder: Reorder{Known: true}}, true
}
