package file

import (
	"bytes"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// order tells from picture order counts when a picture is shown, counted in pictures: decoding
// is by 8.2.1 of Rec. ITU-T H.264 and 8.3.1 of H.265.
type order struct {
	probing bool
	odd     bool // an odd count was seen: one picture is one step, else two
	step    int64
	delay   int64 // pictures from decoding to showing that make sure none is shown too early

	sps    []byte // the parameters below are of this
	layout sliceLayout
	pps    []byte

	begun  bool
	base   int64 // the picture the counts begin with
	anchor int64 // its count
	msb    int64 // of the reference picture before
	lsb    int64

	early []int64 // while probing: the counts, to be weighed at the end
	turns []int64 // and the pictures they belong to
}

// sliceLayout is what one must know to find the count in a slice's header.
type sliceLayout struct {
	usable    bool
	frameNum  int // bits
	pocLSB    int // bits
	colour    bool
	extraBits int  // H.265: slice_reserved_flag
	output    bool // H.265: pic_output_flag is there
}

func (o *order) restart() { o.begun, o.msb, o.lsb = false, 0, 0 }

// learnt ends the probing.
func (o *order) learnt() {
	o.probing = false
	o.step = 2
	if o.odd {
		o.step = 1
	}
	for i, turn := range o.turns {
		o.delay = max(o.delay, turn-o.early[i]/o.step)
	}
	o.early, o.turns = nil, nil
}

// show returns the place of picture n in the order of showing.
func (o *order) show(t *hal.Track, slice []byte, n int64) int64 {
	o.parameters(t)
	count, resets, ok := o.count(t.Codec, slice)
	if !ok {
		return n + o.delay
	}
	if resets || !o.begun {
		o.begun, o.base, o.anchor = true, n, count
	}
	count -= o.anchor
	if o.probing {
		o.odd = o.odd || count&1 != 0
		o.early, o.turns = append(o.early, count), append(o.turns, n-o.base)
		return n
	}
	return max(n, o.base+count/o.step+o.delay)
}

func (o *order) parameters(t *hal.Track) {
	if bytes.Equal(o.sps, t.SPS) && bytes.Equal(o.pps, t.PPS) {
		return
	}
	o.sps, o.pps = t.SPS, t.PPS
	o.layout = sliceLayout{}
	if t.Codec == hal.H265 {
		var s h265.SPS
		var p h265.PPS
		if s.Unmarshal(t.SPS) == nil && p.Unmarshal(t.PPS) == nil && s.Log2MaxPicOrderCntLsbMinus4 <= 12 {
			o.layout = sliceLayout{
				usable: true, pocLSB: int(s.Log2MaxPicOrderCntLsbMinus4) + 4, colour: s.SeparateColourPlaneFlag,
				extraBits: int(p.NumExtraSliceHeaderBits), output: p.OutputFlagPresentFlag,
			}
		}
		return
	}
	var s h264.SPS
	if s.Unmarshal(t.SPS) == nil && s.PicOrderCntType == 0 && s.FrameMbsOnlyFlag &&
		s.Log2MaxPicOrderCntLsbMinus4 <= 12 && s.Log2MaxFrameNumMinus4 <= 12 {
		o.layout = sliceLayout{
			usable: true, frameNum: int(s.Log2MaxFrameNumMinus4) + 4, pocLSB: int(s.Log2MaxPicOrderCntLsbMinus4) + 4,
			colour: s.SeparateColourPlaneFlag,
		}
	}
}

// count reads a picture's order count. resets says that all pictures before are shown before.
func (o *order) count(codec hal.Codec, slice []byte) (count int64, resets, ok bool) {
	if !o.layout.usable || len(slice) < 3 {
		return 0, false, false
	}
	var r nal.Bits
	var reference bool
	if codec == hal.H265 {
		kind := slice[0] >> 1 & 0x3f
		r = nal.BitsOf(slice[2:])
		reference = reference265(kind, slice[1]&7)
		resets = kind >= 16 && kind <= 20 // BLA and IDR
		o.lead265(&r, kind)
		if kind == 19 || kind == 20 {
			o.msb, o.lsb = 0, 0
			return 0, true, !r.Short
		}
	} else {
		r = nal.BitsOf(slice[1:])
		reference = slice[0]&0x60 != 0
		resets = slice[0]&0x1f == 5
		o.lead264(&r, resets)
	}
	lsb := int64(r.U(o.layout.pocLSB))
	if r.Short {
		return 0, false, false
	}
	if resets {
		o.msb, o.lsb = 0, 0
	}
	msb := o.carry(lsb)
	if reference || resets {
		o.msb, o.lsb = msb, lsb
	}
	return msb + lsb, resets, true
}

// lead264 skips to the count in an H.264 slice header (7.3.3).
func (o *order) lead264(r *nal.Bits, idr bool) {
	r.UE() // first_mb_in_slice
	r.UE() // slice_type
	r.UE() // pic_parameter_set_id
	if o.layout.colour {
		r.U(2)
	}
	r.U(o.layout.frameNum)
	if idr {
		r.UE() // idr_pic_id
	}
}

// lead265 skips to the count in an H.265 slice header (7.3.6.1).
func (o *order) lead265(r *nal.Bits, kind byte) {
	r.U(1) // first_slice_segment_in_pic_flag
	if kind >= 16 && kind <= 23 {
		r.U(1) // no_output_of_prior_pics_flag
	}
	r.UE() // slice_pic_parameter_set_id
	r.U(o.layout.extraBits)
	r.UE() // slice_type
	if o.layout.output {
		r.U(1)
	}
	if o.layout.colour {
		r.U(2)
	}
}

// reference265 says whether the counts that follow build on a picture's (prevTid0Pic): one of
// the lowest layer that others refer to and that is never skipped.
func reference265(kind, layer byte) bool {
	return layer == 1 && (kind > 14 || kind&1 == 1) && (kind < 6 || kind > 9)
}

// carry reckons the upper part of a count from that of the reference picture before.
func (o *order) carry(lsb int64) int64 {
	size := int64(1) << o.layout.pocLSB
	switch {
	case lsb < o.lsb && o.lsb-lsb >= size/2:
		return o.msb + size
	case lsb > o.lsb && lsb-o.lsb > size/2:
		return o.msb - size
	default:
		return o.msb
	}
}
