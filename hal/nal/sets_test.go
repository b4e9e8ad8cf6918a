package nal_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// The parameter sets of x264 (320x180, 25 a second, reordering two pictures), of x265 (the same
// size) and of libaom (1920x804).
const (
	sps264 = "Z01ADOygoM/PgIgAAAMACAAAAwGQeKFMsA=="
	pps264 = "aM4PyA=="
	vps265 = "QAEMAf//AWAAAAMAkAAAAwAAAwA8lZAJ"
	sps265 = "QgEBAWAAAAMAkAAAAwAAAwA8oAoIDB8+WVkSkwvAWgIAAAMAAgAAAwAyEA=="
	pps265 = "RAHAc8GJ"
	seqAV1 = "CgsAAABCp7/kYA0AQA=="
)

// tracks name those.
func tracks(t testing.TB) map[hal.Codec]hal.Track {
	t.Helper()
	out := map[hal.Codec]hal.Track{
		hal.H264: {Codec: hal.H264, SPS: b64(t, sps264), PPS: b64(t, pps264)},
		hal.H265: {Codec: hal.H265, VPS: b64(t, vps265), SPS: b64(t, sps265), PPS: b64(t, pps265)},
		hal.AV1:  {Codec: hal.AV1, SPS: b64(t, seqAV1)},
	}
	return out
}

func TestDescribe(t *testing.T) {
	for codec, want := range map[hal.Codec]struct {
		width, height int
		rate          float64
		reorder       nal.Reorder
	}{
		hal.H264: {320, 180, 25, nal.Reorder{Depth: 2, Known: true}},
		hal.H265: {320, 180, 25, nal.Reorder{Depth: 2, Known: true}},
		hal.AV1:  {1920, 804, 50, nal.Reorder{Known: true}}, // the rate is what was known before
	} {
		t.Run(codec.String(), func(t *testing.T) {
			tr := tracks(t)[codec]
			tr.FrameRate = 50
			r, ok := nal.Describe(&tr, tr.SPS)
			require.True(t, ok)
			require.Equal(t, []int{want.width, want.height}, []int{tr.Width, tr.Height})
			require.InDelta(t, want.rate, tr.FrameRate, 1e-9)
			require.Equal(t, want.reorder, r)
			before := tr
			for cut := range 6 {
				_, ok = nal.Describe(&tr, tr.SPS[:cut])
				require.False(t, ok, "the first %d bytes", cut)
				require.Equal(t, before, tr)
			}
		})
	}
	t.Run("a codec without parameter sets", func(t *testing.T) {
		_, ok := nal.Describe(&hal.Track{Codec: hal.MJPEG}, b64(t, sps264))
		require.False(t, ok)
	})
	t.Run("a sequence header without its size", func(t *testing.T) {
		u, ok := nal.FirstOBU(b64(t, seqAV1))
		require.True(t, ok)
		_, ok = nal.Describe(&hal.Track{Codec: hal.AV1}, u.Unsized())
		require.False(t, ok)
	})
}

func TestComplete(t *testing.T) {
	for codec, whole := range tracks(t) {
		require.True(t, nal.Complete(&whole), codec)
		for _, k := range []nal.Kind{nal.VPS, nal.SPS, nal.PPS} {
			tr := whole
			if at := nal.Set(&tr, k); at != nil {
				*at = nil
				require.False(t, nal.Complete(&tr), "%s without one", codec)
			}
		}
	}
	require.True(t, nal.Complete(&hal.Track{Codec: hal.MJPEG}))
}

func TestNumber(t *testing.T) {
	for _, tc := range []struct {
		name  string
		codec hal.Codec
		kind  nal.Kind
		set   []byte
		want  uint32
	}{
		{"SPS", hal.H264, nal.SPS, b64(t, sps264), 0},
		{"another SPS", hal.H264, nal.SPS, []byte{0x67, 0x4d, 0x40, 0x0c, 0x4e}, 1},
		{"PPS", hal.H264, nal.PPS, b64(t, pps264), 0},
		{"another PPS", hal.H264, nal.PPS, []byte{0x68, 0x5b, 0x81, 0x72}, 1},
		{"a cut SPS", hal.H264, nal.SPS, []byte{0x67, 0x4d, 0x40}, math.MaxUint32},
		{"nothing", hal.H264, nal.PPS, nil, math.MaxUint32},
		{"VPS", hal.H265, nal.VPS, b64(t, vps265), 0},
		{"another VPS", hal.H265, nal.VPS, []byte{0x40, 1, 0x2c}, 2},
		{"SPS", hal.H265, nal.SPS, b64(t, sps265), 0},
		// One temporal layer more: its flags say profile and level, 8 bytes of which each 96 bits.
		{"an SPS of two layers", hal.H265, nal.SPS, append(append([]byte{0x42, 1, 0x02}, make1(12)...), append([]byte{0xc0, 0x00}, append(make1(12), 0x60)...)...), 2},
		{"PPS", hal.H265, nal.PPS, b64(t, pps265), 0},
		{"a cut SPS", hal.H265, nal.SPS, []byte{0x42, 1, 1, 1}, math.MaxUint32},
	} {
		t.Run(tc.codec.String()+": "+tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, nal.Number(tc.codec, tc.kind, tc.set))
		})
	}
}

// make1 is bytes that need no emulation prevention.
func make1(n int) []byte { return bytes.Repeat([]byte{1}, n) }

func TestStandingOf(t *testing.T) {
	level := func(sps []byte) []byte { // the same number, another level
		out := bytes.Clone(sps)
		out[3]++
		return out
	}
	sps, pps := b64(t, sps264), b64(t, pps264)
	whole, bare := tracks(t)[hal.H264], hal.Track{Codec: hal.H264}
	for _, tc := range []struct {
		name  string
		track hal.Track
		kind  nal.Kind
		set   []byte
		want  nal.Standing
	}{
		{"the first SPS", bare, nal.SPS, sps, nal.New},
		{"the first PPS", bare, nal.PPS, pps, nal.New},
		{"the same SPS", whole, nal.SPS, sps, nal.Named},
		{"the same PPS", whole, nal.PPS, pps, nal.Named},
		{"another SPS of its number", whole, nal.SPS, level(sps), nal.New},
		{"an SPS of another number", whole, nal.SPS, []byte{0x67, 0x4d, 0x40, 0x0c, 0x4e}, nal.Beside},
		{"another PPS of its number", whole, nal.PPS, []byte{0x68, 0xce, 0x0f, 0xc9}, nal.New},
		{"a PPS of another number", whole, nal.PPS, []byte{0x68, 0x5b, 0x81, 0x72}, nal.Beside},
		{"a PPS for another SPS", whole, nal.PPS, []byte{0x68, 0xa7, 0x81, 0x72}, nal.Beside},
		{"one too large", bare, nal.PPS, append([]byte{0x68}, make1(nal.MaxSet)...), nal.Beside},
		{"a VPS", bare, nal.VPS, sps, nal.Beside},
		{"what is no set", whole, nal.SEI, sps, nal.Beside},
		{"the same sequence header", tracks(t)[hal.AV1], nal.SPS, b64(t, seqAV1), nal.Named},
		{"another sequence header", tracks(t)[hal.AV1], nal.SPS, sps, nal.New},
		{"the same SPS", tracks(t)[hal.H265], nal.SPS, b64(t, sps265), nal.Named},
		{"a VPS of another number", tracks(t)[hal.H265], nal.VPS, []byte{0x40, 1, 0x2c, 1}, nal.Beside},
	} {
		t.Run(tc.track.Codec.String()+": "+tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, nal.StandingOf(&tc.track, tc.kind, tc.set))
		})
	}
}

func TestAdopt(t *testing.T) {
	tr := hal.Track{Codec: hal.H264}
	in := b64(t, sps264)
	require.True(t, nal.Adopt(&tr, nal.SPS, in))
	require.Equal(t, []int{320, 180}, []int{tr.Width, tr.Height})
	in[0] = 0
	require.Equal(t, b64(t, sps264), tr.SPS, "the track's set is its own")
	before := tr
	for name, set := range map[string][]byte{
		"nothing": nil, "a stump": {0x67, 0x4d}, "no SPS": b64(t, pps264), "too large": append(b64(t, sps264), make1(nal.MaxSet)...),
	} {
		require.False(t, nal.Adopt(&tr, nal.SPS, set), name)
		require.Equal(t, before, tr, name)
	}
	require.False(t, nal.Adopt(&tr, nal.VPS, b64(t, vps265)), "H.264 has none")
}

// renumbered is x264's SPS with number 1: its 0 is one set bit, 1 three bits, which shift the rest.
func renumbered(t testing.TB) []byte {
	t.Helper()
	sps := b64(t, sps264)
	in := nal.BitsOf(sps[4:])
	require.Zero(t, in.UE())
	out, acc, n := sps[:4:4], uint32(0b010), 3
	for {
		bit := in.U(1)
		if in.Short {
			break
		}
		if acc, n = acc<<1|bit, n+1; n == 8 {
			if l := len(out); acc <= 3 && out[l-1] == 0 && out[l-2] == 0 {
				out = append(out, 3)
			}
			out, acc, n = append(out, byte(acc)), 0, 0
		}
	}
	return bytes.TrimRight(append(out, byte(acc<<(8-n))), "\x00")
}

func TestFollow(t *testing.T) {
	first, later := []byte{0x68, 0xce, 0x0f, 0xc8}, []byte{0x68, 0xa7, 0x81, 0x72} // number 0; the later for SPS 1
	other := []byte{0x68, 0x4a, 0x78, 0x17}                                        // number 1, for SPS 1
	sps := renumbered(t)
	for _, tc := range []struct {
		name      string
		had, pps  []byte
		unit      []byte
		want      bool
		wantWidth int
	}{
		{"the sets are counted anew", first, later, join([]byte{6, 5, 0, 0x80}, sps), true, 320},
		{"there was no picture parameter set", nil, other, join(sps), true, 320},
		{"both sets have numbers of their own", first, other, join(sps), false, 0},
		{"the sequence parameter set is not there", first, later, join(b64(t, sps264)), false, 0},
		{"it makes no sense", first, later, join(sps[:6]), false, 0},
		{"it is the one named", first, first, join(b64(t, sps264)), false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := hal.Track{Codec: hal.H264, SPS: b64(t, sps264), PPS: tc.had}
			require.Equal(t, tc.want, nal.Follow(&tr, tc.pps, tc.unit))
			require.Equal(t, tc.wantWidth, tr.Width)
			if tc.want {
				require.Equal(t, [][]byte{sps, tc.pps}, [][]byte{tr.SPS, tr.PPS})
			} else {
				require.Equal(t, [][]byte{b64(t, sps264), tc.had}, [][]byte{tr.SPS, tr.PPS})
			}
		})
	}
}

func TestSetsThatStayAllocateNothing(t *testing.T) {
	for codec, tr := range tracks(t) {
		sps, pps := bytes.Clone(tr.SPS), bytes.Clone(tr.PPS)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			nal.StandingOf(&tr, nal.SPS, sps)
			nal.StandingOf(&tr, nal.PPS, pps)
			nal.StandingOf(&tr, nal.PPS, sps) // another number
			nal.Picture(codec, sps)
		}), codec)
	}
}

// FuzzUnits feeds whatever comes to everything that takes bytes.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{sps264, pps264, vps265, sps265, pps265, seqAV1} {
		b := b64(f, s)
		f.Add(b)
		f.Add(join(b, []byte{6, 6, 1, 0xc4, 0x80}, []byte{0x41, 0x88}))
		f.Add(append([]byte{0, 0, 0, 1}, b...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		size := 0
		walk := nal.Prefixed(b)
		for u, ok := walk.Next(); ok; u, ok = walk.Next() {
			size += nal.PrefixLen + len(u)
		}
		require.LessOrEqual(t, size+len(walk), len(b))
		size = 0
		stream := nal.ByteStreamOf(b)
		for u, ok := stream.Next(); ok; u, ok = stream.Next() {
			require.NotEmpty(t, u)
			require.NotZero(t, u[len(u)-1])
			size += 3 + len(u)
		}
		require.LessOrEqual(t, size, len(b))
		for rest := b; len(rest) > 0; {
			u, ok := nal.FirstOBU(rest)
			if !ok {
				break
			}
			require.Positive(t, u.Len)
			rest = rest[u.Len:]
		}
		nal.RecoveryPoint(b)
		nal.Intra(b)
		for size := 1; size < nal.PrefixLen; size++ {
			wide := make([]byte, nal.Widened(b, size))
			nal.Widen(wide, b, size)
			rest := nal.Prefixed(wide)
			for ok := true; ok; {
				_, ok = rest.Next()
			}
			require.Empty(t, rest)
		}
		for codec, tr := range tracks(t) {
			nal.Picture(codec, b)
			nal.Opens(codec, b)
			settled := tr
			n, _, _ := nal.Settle(&settled, bytes.Clone(b), true)
			require.LessOrEqual(t, n, len(b))
			room := append(bytes.Clone(b), make([]byte, nal.OBURoom)...)
			n, _, _ = nal.SettleAV1(&settled, room, len(b), true)
			require.LessOrEqual(t, n, len(room))
			bare := hal.Track{Codec: codec}
			if _, err := nal.ReadConfig(&bare, b); err == nil {
				require.LessOrEqual(t, max(bare.Width, bare.Height), 16384)
			}
			followed := tr
			nal.Follow(&followed, b, b)
			for _, k := range []nal.Kind{nal.VPS, nal.SPS, nal.PPS} {
				if nal.StandingOf(&tr, k, b) != nal.New || !nal.Adopt(&tr, k, b) {
					continue
				}
				require.Equal(t, nal.Named, nal.StandingOf(&tr, k, b))
				require.LessOrEqual(t, max(tr.Width, tr.Height), 16384)
			}
		}
	})
}
