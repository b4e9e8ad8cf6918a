package rtsp_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
)

// FuzzFrame: whatever a camera's frames hold, the stage neither fails nor falls, and lets each go.
func FuzzFrame(f *testing.F) {
	tracks := []hal.Track{
		h264Track(),
		{Codec: hal.H265},
		{Codec: hal.AV1, SPS: []byte{0x0A, 1, 0}},
		{Codec: hal.MJPEG},
		{Codec: hal.AAC, SampleRate: 48000, Channels: 1, AudioConfig: []byte{0x11, 0x88}},
		{Codec: hal.Opus, SampleRate: 48000, Channels: 2},
		{Codec: hal.LPCM, SampleRate: 48000, Channels: 2, BitDepth: 24},
	}
	for i, data := range [][]byte{
		nals(filled(3000, 0x65), filled(10, 0x41)), nals(filled(3000, 38, 1)), append(obu(1, 3), obu(6, 3000)...), photo(32, 32, 50),
		filled(3000), filled(3000), filled(3001),
		{},
		{0xFF, 0xFF, 0xFF, 0xFF},
		{0x32, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F},
		{0xFF, 0xD8, 0xFF, 0xDB, 0, 2},
	} {
		f.Add(byte(i), true, data)
		f.Add(byte(i), false, data[:len(data)/2])
	}
	b := newBench(f, tracks...)
	b.readers(f, 1, 100)
	at := time.Duration(0)
	f.Fuzz(func(t *testing.T, track byte, key bool, data []byte) {
		buf, err := b.s.arena.Get(len(data))
		require.NoError(t, err)
		copy(buf.Bytes(), data)
		at += time.Millisecond
		require.NoError(t, b.stage.Work(context.Background(), hal.Frame{
			Buf: buf, Stream: b.s.stream, Track: int(track) % len(tracks), Key: key, Stamp: hal.Stamp{DTS: at, PTS: at, Mono: b.s.clock.Mono()},
		}))
		b.work(t, int(at/time.Millisecond)*50, 100)
		require.Zero(t, b.s.arena.Stats().Held, "frames never released")
	})
}
