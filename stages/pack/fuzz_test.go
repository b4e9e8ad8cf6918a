package pack_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/pack"
)

// FuzzPlan gives tracks whose parameters come from outside, and a first frame of anything.
func FuzzPlan(f *testing.F) {
	f.Add(uint8(hal.H264), sps, pps, []byte(nil), 0, 0)
	f.Add(uint8(hal.H264), []byte{0x67}, []byte{0x68}, []byte{0, 0, 0, 1, 0x65}, 0, 0)
	f.Add(uint8(hal.H264), []byte(nil), []byte(nil), append([]byte{0, 0, 0, 23}, sps...), 0, 0)
	f.Add(uint8(hal.H265), sps, pps, []byte{0xff, 0xff, 0xff, 0xff}, 0, 0)
	f.Add(uint8(hal.AV1), []byte{0x0a, 0x02, 0, 0}, []byte(nil), []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}, 0, 0)
	f.Add(uint8(hal.AAC), []byte{0x12, 0x10}, []byte(nil), []byte(nil), 44100, 2)
	f.Add(uint8(hal.LPCM), []byte(nil), []byte(nil), []byte{1}, 8000, 255)
	f.Add(uint8(hal.MJPEG), []byte(nil), []byte(nil), []byte{0xff, 0xd8, 0xff}, 0, 0)
	f.Fuzz(func(t *testing.T, codec uint8, first, second, key []byte, rate, channels int) {
		track := hal.Track{
			Codec: hal.Codec(codec % 16), VPS: second, SPS: first, PPS: second, AudioConfig: first,
			SampleRate: rate, Channels: channels, BitDepth: 16,
		}
		s := &hal.Stream{Tracks: []hal.Track{track}}
		a := pool.NewArena(pool.ArenaConfig{})
		fr := frame(t, a, s, 0, len(key), 0)
		copy(fr.Buf.Bytes(), key)
		m, err := pack.Plan(s, fr)
		if err != nil {
			fr.Release()
			return
		}
		require.NotEmpty(t, m.Head())
		p := pack.NewPacker(m)
		require.NoError(t, p.Add(fr))
		p.Finish()
		p.Release()
		require.Zero(t, a.Stats().Held)
	})
}

// FuzzPacker gives frames at any time and of any size: what comes out is an MP4 that another
// reader takes, with every frame in it.
func FuzzPacker(f *testing.F) {
	f.Add([]byte{0, 1, 10, 1, 1, 10, 0, 1, 10, 1, 1, 10})
	f.Add([]byte{0, 255, 10, 0, 1, 0, 1, 128, 200, 0, 3, 3})
	f.Fuzz(func(t *testing.T, script []byte) {
		s := stream()
		p := planned(t, s)
		a := pool.NewArena(pool.ArenaConfig{})
		file := bytes.Clone(p.Movie().Head())
		at, added := time.Duration(0), 0
		for ; len(script) >= 3; script = script[3:] {
			at += time.Duration(int8(script[1])) * 37 * time.Millisecond
			if script[2] > 0 {
				added++
			}
			require.NoError(t, p.Add(frame(t, a, s, int(script[0]&1), int(script[2]), at)))
			if p.Ready(time.Second) {
				file = append(file, bytes.Join(p.Cut(), nil)...)
				p.Release()
			}
		}
		file = append(file, bytes.Join(p.Finish(), nil)...)
		p.Release()
		require.Zero(t, a.Stats().Held)
		var parts fmp4.Parts
		require.NoError(t, parts.Unmarshal(file))
		found := 0
		for _, part := range parts {
			for _, track := range part.Tracks {
				found += len(track.Samples)
			}
		}
		require.Equal(t, added, found)
	})
}
