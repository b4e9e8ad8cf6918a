//go:build linux

package v4l2_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal/v4l2"
)

// The numbers were printed by a C program that includes linux/videodev2.h, on amd64; those of
// 32-bit ARM follow from the sizes in the kernel's documentation.
func TestRequestsHaveTheKernelsNumbers(t *testing.T) {
	wide := map[string]uintptr{
		"QUERYBUF": 0xc0585609, "QBUF": 0xc058560f, "DQBUF": 0xc0585611,
		"G_FMT": 0xc0d05604, "S_FMT": 0xc0d05605, "TRY_FMT": 0xc0d05640,
	}
	narrow := map[string]uintptr{
		"QUERYBUF": 0xc0505609, "QBUF": 0xc050560f, "DQBUF": 0xc0505611,
		"G_FMT": 0xc0cc5604, "S_FMT": 0xc0cc5605, "TRY_FMT": 0xc0cc5640,
	}
	want := map[string]uintptr{
		"QUERYCAP": 0x80685600, "ENUM_FMT": 0xc0405602, "REQBUFS": 0xc0145608, "EXPBUF": 0xc0405610,
		"STREAMON": 0x40045612, "STREAMOFF": 0x40045613, "G_PARM": 0xc0cc5615, "S_PARM": 0xc0cc5616,
		"G_CTRL": 0xc008561b, "S_CTRL": 0xc008561c, "QUERYMENU": 0xc02c5625, "QUERY_EXT_CTRL": 0xc0e85667,
		"ENUM_FRAMESIZES": 0xc02c564a, "ENUM_FRAMEINTERVALS": 0xc034564b, "ENCODER_CMD": 0xc028564d,
		"S_DV_TIMINGS": 0xc0845657, "QUERY_DV_TIMINGS": 0x80845663, "DQEVENT": 0x80885659,
		"SUBSCRIBE_EVENT": 0x4020565a, "UNSUBSCRIBE_EVENT": 0x4020565b,
		"G_SELECTION": 0xc040565e, "S_SELECTION": 0xc040565f,
	}
	long := wide
	if v4l2.Word == 4 {
		long = narrow
	}
	maps.Copy(want, long)
	require.Equal(t, want, v4l2.Requests())
}
