package nal_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

func b64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	require.NoError(t, err)
	return b
}

// join makes an access unit with length prefixes.
func join(units ...[]byte) []byte {
	var out []byte
	for _, u := range units {
		out = nal.Append(out, u)
	}
	return out
}

// kinds is the tables of both standards, type by type.
func TestKindOf(t *testing.T) {
	want := func(size int, of map[nal.Kind][]int) []nal.Kind {
		out := make([]nal.Kind, size)
		for k, types := range of {
			for _, n := range types {
				out[n] = k
			}
		}
		return out
	}
	run := func(from, to int) (out []int) {
		for n := from; n <= to; n++ {
			out = append(out, n)
		}
		return out
	}
	h264 := want(32, map[nal.Kind][]int{
		nal.Slice: {1, 2}, nal.Key: {5}, nal.SEI: {6}, nal.SPS: {7}, nal.PPS: {8},
		nal.Delimiter: {9}, nal.Filler: {12}, nal.Prefix: run(14, 18),
	})
	h265 := want(64, map[nal.Kind][]int{
		nal.Slice: append(run(0, 15), run(22, 31)...), nal.Key: run(16, 21), nal.VPS: {32}, nal.SPS: {33}, nal.PPS: {34},
		nal.Delimiter: {35}, nal.Filler: {38}, nal.SEI: {39}, nal.Prefix: append(run(41, 44), run(48, 55)...),
	})
	for n, k := range h264 {
		require.Equal(t, k, nal.KindOf(hal.H264, byte(n)), "H.264 type %d", n)
		require.Equal(t, k, nal.KindOf(hal.H264, byte(n|0x60)), "H.264 type %d with a priority", n)
	}
	for n, k := range h265 {
		require.Equal(t, k, nal.KindOf(hal.H265, byte(n<<1)), "H.265 type %d", n)
		require.Equal(t, k, nal.KindOf(hal.H265, byte(n<<1|1)), "H.265 type %d of a high layer", n)
	}
}

func TestOpens(t *testing.T) {
	for _, tc := range []struct {
		name  string
		codec hal.Codec
		head  []byte
		want  bool
	}{
		{"nothing", hal.H264, nil, false},
		{"a slice cut off behind its header", hal.H264, []byte{0x41}, false},
		{"a picture's first slice", hal.H264, []byte{0x41, 0x9a}, true},
		{"its second", hal.H264, []byte{0x41, 0x10}, false},
		{"an IDR picture's second slice", hal.H264, []byte{0x65, 0x10}, false},
		{"a slice's partition B", hal.H264, []byte{0x43, 0x9a}, false},
		{"a delimiter", hal.H264, []byte{9, 0xf0}, true},
		{"a parameter set", hal.H264, []byte{0x67}, true},
		{"an SEI message", hal.H264, []byte{6}, true},
		{"a prefix for layers", hal.H264, []byte{14}, true},
		{"filler", hal.H264, []byte{12, 0xff}, false},
		{"the end of a sequence", hal.H264, []byte{10}, false},
		{"a picture's first slice", hal.H265, []byte{2, 1, 0x80}, true},
		{"its second", hal.H265, []byte{2, 1, 0x40}, false},
		{"a slice cut off behind its header", hal.H265, []byte{2, 1}, false},
		{"an SEI message before the picture", hal.H265, []byte{39 << 1, 1}, true},
		{"one behind it", hal.H265, []byte{40 << 1, 1}, false},
		{"what is reserved for before it", hal.H265, []byte{41 << 1, 1}, true},
		{"what nobody specified", hal.H265, []byte{48 << 1, 1}, true},
		{"filler", hal.H265, []byte{38 << 1, 1}, false},
	} {
		t.Run(tc.codec.String()+": "+tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, nal.Opens(tc.codec, tc.head))
		})
	}
}

func TestRecoveryPoint(t *testing.T) {
	long := append([]byte{6, 5, 0xff, 1}, append(make([]byte, 256), 6, 1, 0xc4, 0x80)...)
	for i := range 256 {
		long[4+i] = 7
	}
	for _, tc := range []struct {
		name string
		sei  []byte
		want bool
	}{
		{"nothing", nil, false},
		{"a header alone", []byte{6}, false},
		{"at once", []byte{6, 6, 1, 0xc4, 0x80}, true},
		{"some pictures later", []byte{6, 6, 1, 0x44, 0x80}, false},
		{"behind another message", []byte{6, 0, 1, 0xff, 6, 1, 0xc4, 0x80}, true},
		{"behind a message of more than 255 bytes", long, true},
		{"behind a message with emulation prevention", []byte{6, 0, 4, 0, 0, 3, 1, 9, 6, 1, 0xc4, 0x80}, true},
		{"another message", []byte{6, 5, 1, 0xc4, 0x80}, false},
		{"of no size", []byte{6, 6, 0, 0x80}, false},
		{"cut off", []byte{6, 6, 2, 0xc4}, false},
		{"a message that passes the end", []byte{6, 0, 9, 6, 1, 0xc4}, false},
	} {
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.want, nal.RecoveryPoint(tc.sei)) })
	}
}

func TestIntra(t *testing.T) {
	for _, tc := range []struct {
		name  string
		slice []byte
		want  bool
	}{
		{"nothing", nil, false},
		{"cut off", []byte{0x41, 0x80}, false},
		{"type 7", []byte{0x41, 0x88}, true},
		{"type 2", []byte{0x41, 0xb0}, true},
		{"type 2, not the first slice", []byte{0x41, 0x4c}, true},
		{"type 5", []byte{0x41, 0x98}, false},
		{"type 4 switches between streams", []byte{0x41, 0x94}, false},
	} {
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.want, nal.Intra(tc.slice)) })
	}
}

func TestPicture(t *testing.T) {
	point, sei := []byte{6, 6, 1, 0xc4, 0x80}, []byte{6, 5, 1, 0xc4, 0x80}
	intra, inter, more := []byte{0x41, 0x88}, []byte{0x41, 0x9a}, []byte{0x41, 0x4c}
	for _, tc := range []struct {
		name       string
		codec      hal.Codec
		unit       []byte
		there, key bool
	}{
		{"nothing", hal.H264, nil, false, false},
		{"parameter sets alone", hal.H264, join([]byte{0x67, 1}, []byte{0x68, 1}), false, false},
		{"an IDR picture", hal.H264, join(sei, []byte{0x65, 0x88}), true, true},
		{"behind an empty unit", hal.H264, join(nil, []byte{0x65, 0x88}), true, true},
		{"another picture", hal.H264, join(inter), true, false},
		{"intra without a recovery point", hal.H264, join(sei, intra), true, false},
		{"intra at a recovery point", hal.H264, join(point, intra, more), true, true},
		{"partly intra at a recovery point", hal.H264, join(point, intra, inter), true, false},
		{"partly intra, the other way round", hal.H264, join(point, inter, intra), true, false},
		{"a recovery point behind the picture", hal.H264, join(intra, point), true, false},
		{"IDR", hal.H265, join([]byte{19 << 1, 1, 0xaf}), true, true},
		{"CRA", hal.H265, join([]byte{21 << 1, 1, 0xaf}), true, true},
		{"reserved", hal.H265, join([]byte{22 << 1, 1, 0xaf}), true, false},
		{"no recovery point in H.265", hal.H265, join(point, []byte{2, 1, 0xd0}), true, false},
		{"a length that passes the end", hal.H264, append(join(inter), 0, 0, 0, 9, 0x65), true, false},
		{"the largest length there is", hal.H264, []byte{0xff, 0xff, 0xff, 0xff, 0x65, 0x88}, false, false},
	} {
		t.Run(tc.codec.String()+": "+tc.name, func(t *testing.T) {
			there, key := nal.Picture(tc.codec, tc.unit)
			require.Equal(t, []bool{tc.there, tc.key}, []bool{there, key})
		})
	}
}

func TestBits(t *testing.T) {
	b := nal.BitsOf([]byte{0, 0, 3, 1, 0b1_010_011_0, 0, 0, 3})
	require.EqualValues(t, 1, b.U(24), "without the emulation prevention byte")
	require.Equal(t, []uint32{0, 1, 2}, []uint32{b.UE(), b.UE(), b.UE()})
	b.Skip(1 + 16)
	require.False(t, b.Short)
	require.Zero(t, b.U(1))
	require.True(t, b.Short)
	skipped := nal.BitsOf([]byte{0xff, 0xff, 0xff, 0x12})
	skipped.Skip(3)
	skipped.Skip(21)
	require.EqualValues(t, 0x12, skipped.U(8))
	endless := nal.BitsOf(slices.Repeat([]byte{0, 0, 3}, 10))
	require.Zero(t, endless.UE())
	require.True(t, endless.Short)
}

func units(next func() ([]byte, bool)) (out []string) {
	for u, ok := next(); ok; u, ok = next() {
		out = append(out, fmt.Sprintf("%x", u))
	}
	return out
}

func TestPrefixed(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []byte
		want []string
		left int
	}{
		{"nothing", nil, nil, 0},
		{"two", join([]byte{1, 2}, []byte{3}), []string{"0102", "03"}, 0},
		{"empty ones are left out", join(nil, []byte{3}, nil), []string{"03"}, 0},
		{"a length cut off", append(join([]byte{1}), 0, 0), []string{"01"}, 2},
		{"a length that passes the end", append(join([]byte{1}), 0, 0, 0, 2, 7), []string{"01"}, 5},
		{"a length below 0 where ints have 32 bits", []byte{0xff, 0xff, 0xff, 0xfe, 7}, nil, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			walk := nal.Prefixed(tc.in)
			require.Equal(t, tc.want, units(walk.Next))
			require.Len(t, walk, tc.left)
		})
	}
}

func TestByteStream(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []byte
		want []string
	}{
		{"nothing", nil, nil},
		{"no start code", []byte{1, 2, 3}, nil},
		{"both start codes", []byte{0, 0, 0, 1, 9, 8, 0, 0, 1, 7}, []string{"0908", "07"}},
		{"what stands before the first is none", []byte{5, 0, 0, 1, 7}, []string{"07"}},
		{"zeros behind a unit are not part of it", []byte{0, 0, 1, 9, 0, 0, 0, 0, 1, 7, 0, 0}, []string{"09", "07"}},
		{"empty ones are left out", []byte{0, 0, 1, 0, 0, 1, 7, 0, 0, 1}, []string{"07"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			walk := nal.ByteStreamOf(tc.in)
			require.Equal(t, tc.want, units(walk.Next))
		})
	}
}

func TestPut(t *testing.T) {
	dst := make([]byte, 7)
	require.Equal(t, 6, nal.Put(dst, []byte{8, 9}))
	require.Equal(t, []byte{0, 0, 0, 2, 8, 9, 0}, dst)
	require.Equal(t, 4, nal.Put(dst[3:], nil))
	moved := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	require.Equal(t, 7, nal.Put(moved, moved[6:9]), "a unit that lies in dst")
	require.Equal(t, []byte{0, 0, 0, 3, 7, 8, 9}, moved[:7])
}

func TestOBU(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []byte
		want nal.OBU
		ok   bool
	}{
		{name: "nothing"},
		{"with a size", []byte{0x0a, 2, 7, 8, 9}, nal.OBU{Kind: 1, Header: []byte{0x0a}, Body: []byte{7, 8}, Len: 4, Sized: true}, true},
		{"with an extension", []byte{0x36, 0x20, 1, 7}, nal.OBU{Kind: 6, Header: []byte{0x36, 0x20}, Body: []byte{7}, Len: 4, Sized: true}, true},
		{"with a padded size", []byte{0x0a, 0x81, 0x80, 0, 7, 8}, nal.OBU{Kind: 1, Header: []byte{0x0a}, Body: []byte{7}, Len: 5, Sized: true}, true},
		{"without a size", []byte{0x30, 7, 8}, nal.OBU{Kind: 6, Header: []byte{0x30}, Body: []byte{7, 8}, Len: 3}, true},
		{"the forbidden bit", []byte{0x8a, 1, 7}, nal.OBU{}, false},
		{"without its extension", []byte{0x36}, nal.OBU{}, false},
		{"a size cut off", []byte{0x0a, 0x80}, nal.OBU{}, false},
		{"a size that passes the end", []byte{0x0a, 2, 7}, nal.OBU{}, false},
		{"a size below 0 where ints have 32 bits", []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 7}, nal.OBU{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := nal.FirstOBU(tc.in)
			require.Equal(t, tc.ok, ok)
			require.Equal(t, tc.want, got)
		})
	}
	u, _ := nal.FirstOBU([]byte{0x36, 0x20, 1, 7})
	require.Equal(t, []byte{0x34, 0x20, 7}, u.Unsized())
}

func TestLEB128(t *testing.T) {
	for _, v := range []int{0, 1, 127, 128, 16383, 16384, 1 << 20, math.MaxInt32} {
		b := make([]byte, 8)
		n := nal.PutLEB128(b, v)
		require.Equal(t, nal.LEB128Len(v), n)
		require.Equal(t, binary.PutUvarint(make([]byte, 8), uint64(v)), n)
		got, read := nal.LEB128(b)
		require.Equal(t, []int{v, n}, []int{got, read})
	}
	_, n := nal.LEB128([]byte{0x80, 0x80, 0x80, 0x80, 0x08})
	require.Zero(t, n, "more than an int holds")
	_, n = nal.LEB128(slices.Repeat([]byte{0x80}, 9))
	require.Zero(t, n, "endless")
}
