package synth

// NAL unit headers: nal_ref_idc 3 and the unit's type.
const (
	nalSlice = 3<<5 | 1
	nalIDR   = 3<<5 | 5
	nalSEI   = 6
	nalSPS   = 3<<5 | 7
	nalPPS   = 3<<5 | 8
)

// codedQP makes one step of a DC level one step of brightness (dequantisation and transform
// multiply by 64 and divide by 64), and chromaOffset does the same for chroma, so that every
// flat block is coded without loss.
const (
	codedQP      = 28
	chromaOffset = -6
	frameNumBits = 16
)

// sequenceParameterSet returns the SPS of a card: constrained baseline.
func sequenceParameterSet(c Config) []byte {
	p := c.plan()
	var w bitWriter
	w.begin(nil, nalSPS)
	w.u(8, 66)        // profile_idc: baseline
	w.u(8, 0xC0)      // constraint_set0 and 1: constrained baseline
	w.u(8, c.level()) // level_idc
	w.ue(0)           // seq_parameter_set_id
	w.ue(frameNumBits - 4)
	w.ue(2) // pic_order_cnt_type: output order is decoding order
	w.ue(1) // max_num_ref_frames
	w.u(1, 0)
	w.ue(uint32(p.cols - 1))
	w.ue(uint32(p.rows - 1))
	w.u(1, 1) // frame_mbs_only_flag
	w.u(1, 1) // direct_8x8_inference_flag
	right, bottom := (p.cols*block-c.Width)/2, (p.rows*block-c.Height)/2
	w.flag(right+bottom > 0)
	if right+bottom > 0 {
		w.ue(0)
		w.ue(uint32(right))
		w.ue(0)
		w.ue(uint32(bottom))
	}
	w.u(1, 1) // vui_parameters_present_flag
	vui(&w, c.Rate)
	return w.end()
}

// vui writes square pixels, BT.709 in video range, the rate, and that no picture waits for
// another one.
func vui(w *bitWriter, r Rate) {
	w.u(1, 1) // aspect_ratio_info_present_flag
	w.u(8, 1) // 1:1
	w.u(1, 0) // overscan_info_present_flag
	w.u(1, 1) // video_signal_type_present_flag
	w.u(3, 5) // video_format: unspecified
	w.u(1, 0) // video_full_range_flag
	w.u(1, 1) // colour_description_present_flag
	w.u(8, 1)
	w.u(8, 1)
	w.u(8, 1)
	w.u(1, 0) // chroma_loc_info_present_flag
	w.u(1, 1) // timing_info_present_flag
	w.u(32, uint32(r.Den))
	w.u(32, uint32(2*r.Num))
	w.u(1, 0) // fixed_frame_rate_flag: a live camera may drop
	w.u(1, 0) // nal_hrd_parameters_present_flag
	w.u(1, 0) // vcl_hrd_parameters_present_flag
	w.u(1, 0) // pic_struct_present_flag
	w.u(1, 1) // bitstream_restriction_flag
	w.u(1, 1) // motion_vectors_over_pic_boundaries_flag
	w.ue(0)   // max_bytes_per_pic_denom: no limit
	w.ue(0)   // max_bits_per_mb_denom: no limit
	w.ue(0)
	w.ue(0)
	w.ue(0) // max_num_reorder_frames
	w.ue(1) // max_dec_frame_buffering
}

func pictureParameterSet() []byte {
	var w bitWriter
	w.begin(nil, nalPPS)
	w.ue(0)   // pic_parameter_set_id
	w.ue(0)   // seq_parameter_set_id
	w.u(1, 0) // entropy_coding_mode_flag: CAVLC
	w.u(1, 0) // bottom_field_pic_order_in_frame_present_flag
	w.ue(0)   // num_slice_groups_minus1
	w.ue(0)   // num_ref_idx_l0_default_active_minus1
	w.ue(0)   // num_ref_idx_l1_default_active_minus1
	w.u(1, 0) // weighted_pred_flag
	w.u(2, 0) // weighted_bipred_idc
	w.se(codedQP - 26)
	w.se(0)
	w.se(chromaOffset)
	w.u(1, 1) // deblocking_filter_control_present_flag
	w.u(1, 0) // constrained_intra_pred_flag
	w.u(1, 0) // redundant_pic_cnt_present_flag
	return w.end()
}

// level returns the lowest level_idc whose limits hold the card (Rec. ITU-T H.264, table A-1).
func (c Config) level() uint32 {
	p := c.plan()
	size := p.cols * p.rows
	perSecond := (int64(size)*int64(c.Rate.Num) + int64(c.Rate.Den) - 1) / int64(c.Rate.Den)
	for _, l := range [...]struct {
		idc        uint32
		perSecond  int64
		size, kbit int
	}{
		{10, 1485, 99, 64},
		{11, 3000, 396, 192},
		{12, 6000, 396, 384},
		{13, 11880, 396, 768},
		{20, 11880, 396, 2000},
		{21, 19800, 792, 4000},
		{22, 20250, 1620, 4000},
		{30, 40500, 1620, 10000},
		{31, 108000, 3600, 14000},
		{32, 216000, 5120, 20000},
		{40, 245760, 8192, 20000},
		{41, 245760, 8192, 50000},
		{42, 522240, 8704, 50000},
		{50, 589824, 22080, 135000},
		{51, 983040, 36864, 240000},
		{52, 2073600, 36864, 240000},
		{60, 4177920, 139264, 240000},
		{61, 8355840, 139264, 480000},
	} {
		longest := max(p.cols, p.rows)
		if perSecond <= l.perSecond && size <= l.size && longest*longest <= 8*l.size && c.Bitrate <= 1000*l.kbit {
			return l.idc
		}
	}
	return 62
}
