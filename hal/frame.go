package hal

import (
	"time"

	"github.com/millrace-video/millrace/pool"
)

// Frame is one raw picture, one encoded access unit or one piece of sound. It is passed by
// value. Whoever takes it owns one reference to Buf and releases it or passes it on, once.
//
// The bytes, by the track's codec: H.264 and H.265 NAL units with 4-byte big-endian length
// prefixes, without access unit delimiters and without the parameter sets that the stream
// already names; AV1 the OBUs of a temporal unit, each with its size, without the temporal
// delimiter; MJPEG a whole JPEG file; AAC a raw access unit without ADTS; Opus a packet;
// G.711 one byte a sample; LPCM interleaved signed big-endian samples; raw pictures as the
// track's Layout says.
type Frame struct {
	Buf    pool.Buffer
	Stream *Stream // a new pointer means that the format changed
	Track  int     // index into Stream.Tracks
	Stamp  Stamp
	Key    bool // a decoder can start here; always true for sound, raw pictures and JPEG
	Gap    bool // something is missing between the track's frame before and this one

	// EncodeBegin and EncodeEnd are the frame's marks in the encode stage, on the clock of
	// Stamp.Mono; 0 where it was not encoded here. With Stamp.Mono and the time of delivery
	// they are the four marks that give every stage's latency (after µStreamer).
	EncodeBegin, EncodeEnd int64
}

// Release gives the frame's reference back. A frame without a buffer has none.
func (f Frame) Release() {
	if !f.Buf.IsZero() {
		f.Buf.Release()
	}
}

// Retain returns the frame with one reference more.
func (f Frame) Retain() Frame {
	f.Buf.Retain()
	return f
}

// Info returns the frame's track.
func (f Frame) Info() *Track { return &f.Stream.Tracks[f.Track] }

// Stamp places one frame in time.
type Stamp struct {
	Run  uint32        // +1 each time the source restarts; DTS and PTS compare only within a run
	DTS  time.Duration // since the start of the run; never steps backwards within a track
	PTS  time.Duration // when to show it; differs from DTS where there are B-frames
	Mono int64         // ns, CLOCK_MONOTONIC: the driver's own stamp where it has one, else at receipt
}
