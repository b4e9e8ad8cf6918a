package haltest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/haltest"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pool"
)

// liar is a source that breaks one promise.
type liar struct {
	hal.Source

	read  func(ctx context.Context, honest hal.Source) (hal.Frame, error)
	close func(honest hal.Source) error
	live  func() bool
}

func (l *liar) Read(ctx context.Context) (hal.Frame, error) {
	if l.read != nil {
		return l.read(ctx, l.Source)
	}
	return l.Source.Read(ctx)
}

func (l *liar) Close() error {
	if l.close != nil {
		return l.close(l.Source)
	}
	return l.Source.Close()
}

func (l *liar) Live() bool { return l.live == nil && l.Source.Live() }

// changed is a liar whose frames are changed after they were read.
func changed(change func(n int, f hal.Frame) hal.Frame) func() *liar {
	return func() *liar {
		n := 0
		return &liar{read: func(ctx context.Context, honest hal.Source) (hal.Frame, error) {
			f, err := honest.Read(ctx)
			if err == nil {
				f = change(n, f)
				n++
			}
			return f, err
		}}
	}
}

// lies are sources that break a promise, by the subtest that must find it.
func lies() map[string]struct {
	found string
	lie   func() *liar
} {
	forever := make(chan struct{})
	var left []*os.File
	type entry = struct {
		found string
		lie   func() *liar
	}
	return map[string]entry{
		"DTS steps back": {"in_order_and_well_formed", changed(func(n int, f hal.Frame) hal.Frame {
			if n == 20 {
				f.Stamp.DTS -= time.Second
			}
			return f
		})},
		"starts without a key frame": {"in_order_and_well_formed", changed(func(_ int, f hal.Frame) hal.Frame { f.Key = false; return f })},
		"a new pointer each time": {"in_order_and_well_formed", changed(func(_ int, f hal.Frame) hal.Frame {
			s := *f.Stream
			f.Stream = &s
			return f
		})},
		"the future":     {"in_order_and_well_formed", changed(func(_ int, f hal.Frame) hal.Frame { f.Stamp.Mono += int64(time.Hour); return f })},
		"two references": {"one_reference", changed(func(_ int, f hal.Frame) hal.Frame { return f.Retain() })},
		"memory used again": {"one_reference", func() *liar {
			var last hal.Frame
			return &liar{
				read: func(ctx context.Context, honest hal.Source) (hal.Frame, error) {
					f, err := honest.Read(ctx)
					if err == nil {
						last = f
					}
					return f, err
				},
				close: func(honest hal.Source) error { clear(last.Buf.Bytes()); return honest.Close() },
			}
		}},
		"one frame too many": {"the_end_is", func() *liar {
			n := 0
			return &liar{read: func(ctx context.Context, honest hal.Source) (hal.Frame, error) {
				if n++; n == 3 {
					f, err := honest.Read(ctx)
					f.Release()
					if err != nil {
						return f, err
					}
				}
				return honest.Read(ctx)
			}}
		}},
		"no end": {"the_end_is", func() *liar {
			return &liar{read: func(ctx context.Context, honest hal.Source) (hal.Frame, error) {
				f, err := honest.Read(ctx)
				if errors.Is(err, io.EOF) {
					err = hal.ErrNoSignal
				}
				return f, err
			}}
		}},
		"deaf to its context": {"gives_up_when_its_context_ends", func() *liar {
			return &liar{read: func(ctx context.Context, honest hal.Source) (hal.Frame, error) {
				if ctx.Err() != nil {
					<-forever
				}
				return honest.Read(ctx)
			}}
		}},
		"lives on after Close": {"Read_fails_after_it", func() *liar {
			return &liar{close: func(hal.Source) error { return nil }}
		}},
		"Close fails the second time": {"a_second_Close", func() *liar {
			closed := false
			return &liar{close: func(honest hal.Source) error {
				if closed {
					return os.ErrClosed
				}
				closed = true
				return honest.Close()
			}}
		}},
		"leaves a goroutine": {"opens_again", func() *liar {
			go func() { <-forever }()
			return &liar{}
		}},
		"leaves a file open": {"opens_again", func() *liar {
			file, err := os.Open(os.DevNull)
			if err != nil {
				panic(err)
			}
			left = append(left, file)
			return &liar{}
		}},
		"drops when held back": {"loses_nothing", changed(func(n int, f hal.Frame) hal.Frame { f.Gap = n > 20; return f })},
		"allocates": {"allocates_nothing", changed(func(n int, f hal.Frame) hal.Frame {
			kept := bytes.Repeat([]byte{1}, 100+n)
			f.Gap = len(kept) == 0
			return f
		})},
	}
}

// fewFrames is what the suite is shown here.
func fewFrames(lie func() *liar) haltest.Config {
	reg := hal.NewRegistry(synth.Driver{})
	return haltest.Config{
		Frames: 100, Codec: hal.H264, Patience: 2 * time.Second, Pause: time.Millisecond,
		WarmUp: 5, AllocReads: 20,
		Open: func(ctx context.Context, opts hal.Options) (hal.Source, error) {
			src, err := reg.Open(ctx, "synth://?size=160x112&audio=none&pace=fast&frames=100", opts)
			if err != nil || lie == nil {
				return src, err
			}
			l := lie()
			l.Source = src
			return l, nil
		},
	}
}

func TestAnHonestSourcePasses(t *testing.T) {
	haltest.Source(t, fewFrames(nil))
}

const told = "HALTEST_LIE"

// TestLie runs the suite on one broken source, in a process of its own.
func TestLie(t *testing.T) {
	if lie, ok := lies()[os.Getenv(told)]; ok {
		haltest.Source(t, fewFrames(lie.lie))
	}
}

func TestEachBrokenPromiseIsFound(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	for name, lie := range lies() {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestLie$/"+lie.found)
			cmd.Env = append(os.Environ(), told+"="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the suite passes it: %s", out)
			require.Regexp(t, "--- FAIL: TestLie/\\S*"+lie.found, string(out))
		})
	}
}

func TestPayload(t *testing.T) {
	sps, pps := []byte{0x67, 1, 2, 3}, []byte{0x68, 1}
	h264 := hal.Track{Codec: hal.H264, SPS: sps, PPS: pps}
	nal := func(units ...[]byte) []byte {
		var b []byte
		for _, u := range units {
			b = append(append(b, 0, 0, 0, byte(len(u))), u...)
		}
		return b
	}
	idr, p := []byte{0x65, 9}, []byte{0x41, 9}
	for name, tc := range map[string]struct {
		track hal.Track
		data  []byte
		key   bool
		want  string
	}{
		"a key frame":              {h264, nal(idr), true, ""},
		"a P picture":              {h264, nal(p), false, ""},
		"a recovery point":         {h264, nal([]byte{6, 6, 1}, p), true, ""},
		"unmarked key":             {h264, nal(idr), false, "not marked as key"},
		"marked, but no start":     {h264, nal(p), true, "no decoder can start"},
		"a delimiter":              {h264, nal([]byte{9, 0x10}, idr), true, "access unit delimiter"},
		"known parameter sets":     {h264, nal(sps, idr), true, "parameter set"},
		"other parameter sets":     {h264, nal([]byte{0x67, 7}, idr), true, ""},
		"start codes":              {h264, []byte{0, 0, 0, 1, 0x65, 1, 2, 3}, true, "after the last NAL unit"},
		"too long":                 {h264, []byte{0, 1, 0, 1, 0x65}, true, "NAL unit of 65537 bytes where 1"},
		"no picture":               {h264, nal([]byte{6, 5, 1}), false, "without a picture"},
		"nothing":                  {h264, nil, false, "empty"},
		"H.265 CRA":                {hal.Track{Codec: hal.H265}, nal([]byte{21 << 1, 1, 2}), true, ""},
		"H.265 delimiter":          {hal.Track{Codec: hal.H265}, nal([]byte{35 << 1, 1, 2}), true, "delimiter"},
		"JPEG":                     {hal.Track{Codec: hal.MJPEG}, []byte{0xFF, 0xD8, 0xFF, 0xDB, 0xFF, 0xD9}, true, ""},
		"half a JPEG":              {hal.Track{Codec: hal.MJPEG}, []byte{0xFF, 0xD8, 0xFF, 0xDB}, true, "whole JPEG"},
		"AV1":                      {hal.Track{Codec: hal.AV1}, []byte{0x32, 1, 7}, true, ""},
		"AV1 without sizes":        {hal.Track{Codec: hal.AV1}, []byte{0x30, 1, 7}, true, "without its size"},
		"AV1 delimiter":            {hal.Track{Codec: hal.AV1}, []byte{0x12, 0}, true, "temporal delimiter"},
		"AV1 cut":                  {hal.Track{Codec: hal.AV1}, []byte{0x32, 9, 7}, true, "longer than its frame"},
		"ADTS":                     {hal.Track{Codec: hal.AAC}, []byte{0xFF, 0xF1, 0x4C, 0x40}, true, "ADTS"},
		"half a sample of LPCM":    {hal.Track{Codec: hal.LPCM, Channels: 2, BitDepth: 16}, make([]byte, 6), true, "whole samples"},
		"a picture that is cut":    {hal.Track{Codec: hal.Raw, Width: 4, Height: 2, Layout: hal.Layout{Pixel: hal.YUYV, Planes: [3]hal.Plane{{Stride: 8}}, Size: 16}}, make([]byte, 15), true, "needs 16"},
		"a picture, all of it":     {hal.Track{Codec: hal.Raw, Width: 4, Height: 2, Layout: hal.Layout{Pixel: hal.YUYV, Planes: [3]hal.Plane{{Stride: 8}}, Size: 16}}, make([]byte, 16), true, ""},
		"G.711 of a single sample": {hal.Track{Codec: hal.G711A, Channels: 1}, []byte{0xD5}, true, ""},
	} {
		arena := pool.NewArena(pool.ArenaConfig{})
		b, err := arena.Get(len(tc.data))
		require.NoError(t, err)
		copy(b.Bytes(), tc.data)
		err = haltest.Payload(hal.Frame{Buf: b, Stream: &hal.Stream{Tracks: []hal.Track{tc.track}}, Key: tc.key})
		if tc.want == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, tc.want, name)
		}
	}
}
