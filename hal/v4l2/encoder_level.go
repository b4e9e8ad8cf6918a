package v4l2

import "github.com/millrace-video/millrace/hal"

// level is a level of H.264 (table A-1) or H.265 (tables A.8 and A.9, main tier): the largest
// picture, samples a second and bit rate that it allows, and its number in V4L2's menu.
type level struct {
	menu       int32
	size, rate int // macroblocks (H.264) or luma samples (H.265), of a picture and a second
	kbit       int
}

func levelsH264() []level {
	return []level{
		{0, 99, 1485, 64},
		{2, 396, 3000, 192},
		{3, 396, 6000, 384},
		{4, 396, 11880, 768},
		{5, 396, 11880, 2000},
		{6, 792, 19800, 4000},
		{7, 1620, 20250, 4000},
		{8, 1620, 40500, 10000},
		{9, 3600, 108000, 14000},
		{10, 5120, 216000, 20000},
		{11, 8192, 245760, 20000},
		{12, 8192, 245760, 50000},
		{13, 8704, 522240, 50000},
		{14, 22080, 589824, 135000},
		{15, 36864, 983040, 240000},
		{16, 36864, 2073600, 240000},
		{17, 139264, 4177920, 240000},
	}
}

func levelsH265() []level {
	return []level{
		{0, 36864, 552960, 128},
		{1, 122880, 3686400, 1500},
		{2, 245760, 7372800, 3000},
		{3, 552960, 16588800, 6000},
		{4, 983040, 33177600, 10000},
		{5, 2228224, 66846720, 12000},
		{6, 2228224, 133693440, 20000},
		{7, 8912896, 267386880, 25000},
		{8, 8912896, 534773760, 40000},
		{9, 8912896, 1069547520, 60000},
		{10, 35651584, 1069547520, 60000},
	}
}

// levelFor returns V4L2's number of the lowest level that allows pictures of this size, rate
// and bit rate; false where the codec has none that does.
func levelFor(codec hal.Codec, width, height int, rate float64, bitrate int) (int32, bool) {
	size, levels := width*height, levelsH265()
	if codec == hal.H264 {
		size, levels = (width+15)/16*((height+15)/16), levelsH264()
	} else if codec != hal.H265 {
		return 0, false
	}
	for _, l := range levels {
		if size <= l.size && float64(size)*rate <= float64(l.rate) && bitrate <= 1000*l.kbit {
			return l.menu, true
		}
	}
	return 0, false
}

// profileNames lists the profiles that can be asked for; "" is the encoder's choice.
func profileNames(codec hal.Codec) []string {
	if codec == hal.H265 {
		return []string{"", "main"}
	}
	return []string{"", "baseline", "main", "high"} // of H.264; others have none, and go on without
}
