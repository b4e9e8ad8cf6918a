package v4l2

import "github.com/millrace-video/millrace/hal"

// known is a format that this driver takes.
type known struct {
	pixel  fourCC
	codec  hal.Codec
	layout hal.PixelFormat // of raw pictures
}

// name is the format's name in a URL.
func (k known) name() string {
	if k.codec == hal.Raw {
		return k.layout.String()
	}
	return k.codec.String()
}

// knownFormats lists what this driver takes, in the order in which it chooses where the URL
// does not say: what needs no encoder, then what an encoder takes as it is, then what it must
// convert, and JPEG, which must be decoded first, last.
func knownFormats() []known {
	return []known{
		{fourCCOf("H264"), hal.H264, 0},
		{fourCCOf("HEVC"), hal.H265, 0},
		{fourCCOf("NV12"), hal.Raw, hal.NV12},
		{fourCCOf("YU12"), hal.Raw, hal.I420},
		{fourCCOf("NM12"), hal.Raw, hal.NM12},
		{fourCCOf("YM12"), hal.Raw, hal.YM12},
		{fourCCOf("YUYV"), hal.Raw, hal.YUYV},
		{fourCCOf("UYVY"), hal.Raw, hal.UYVY},
		{fourCCOf("NV21"), hal.Raw, hal.NV21},
		{fourCCOf("MJPG"), hal.MJPEG, 0},
		{fourCCOf("JPEG"), hal.MJPEG, 0},
	}
}

// lookup returns what is known of a pixel format.
func lookup(c fourCC) (known, bool) {
	for _, k := range knownFormats() {
		if k.pixel == c {
			return k, true
		}
	}
	return known{}, false
}
