package nal_test

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// TestSettle uses the parameter sets of x264 at 320x180.
func TestSettle(t *testing.T) {
	sps, err := base64.StdEncoding.DecodeString("Z01ADOygoM/PgIgAAAMACAAAAwGQeKFMsA==")
	require.NoError(t, err)
	again, err := base64.StdEncoding.DecodeString("Z01ADFsoKDPz4CIAAAMAAgAAAwBkHihTLA==") // the same with number 1
	require.NoError(t, err)
	pps, ppsAgain := []byte{0x68, 0xce, 0x0f, 0xc8}, []byte{0x68, 0xa7, 0x81, 0x72} // both of number 0, the latter for SPS 1
	second := []byte{0x68, 0x5b, 0x81, 0x72}                                        // number 1
	aud, idr := []byte{9, 0xf0}, []byte{0x65, 0x88, 1, 2, 3}
	join := func(units ...[]byte) (b []byte) {
		for _, u := range units {
			b = nal.Append(b, u)
		}
		return b
	}
	type sets = [][]byte
	for _, tc := range []struct {
		name  string
		unit  []byte
		key   bool
		left  []byte
		named sets // where they change
		bad   int
	}{
		{"what the track names goes", join(aud, sps, pps, idr), true, join(idr), nil, -1},
		{"an empty unit goes", join(nil, idr, nil), true, join(idr), nil, -1},
		{"a second picture parameter set stays", join(sps, pps, second, idr), true, join(second, idr), nil, -1},
		{"new sets wait for a key frame", join(again, ppsAgain, idr), false, join(again, ppsAgain, idr), nil, -1},
		{"sets that are counted anew are followed", join(again, ppsAgain, idr), true, join(again, idr), sets{again, ppsAgain}, -1},
		{"one that makes no sense stays", join(sps[:3], idr), true, join(sps[:3], idr), nil, -1},
		{"a length that passes the end", append(join(idr), 0, 0, 0, 9, 1), true, join(idr), nil, 9},
		{"a length below 0 where ints have 32 bits", append(join(idr), 0xff, 0xff, 0xff, 0xfe, 1), true, join(idr), nil, 9},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n, changed, bad := nal.Settle(&hal.Track{Codec: hal.H264, SPS: sps, PPS: pps}, tc.unit, tc.key)
			require.Equal(t, tc.left, tc.unit[:n])
			require.Equal(t, tc.bad, bad)
			if tc.named == nil {
				require.Nil(t, changed)
			} else {
				got := sets{changed.SPS, changed.PPS}
				require.Equal(t, tc.named, got)
			}
		})
	}
}

func TestAParameterSetOfTheLargestLength(t *testing.T) {
	track := hal.Track{Codec: hal.H264}
	_, err := nal.ReadConfig(&track, append([]byte{1, 0x4d, 0x40, 0x0c, 0xff, 0xe1, 0xff, 0xff, 0x67}, make([]byte, 1<<16)...))
	require.ErrorContains(t, err, "makes no sense")
}
