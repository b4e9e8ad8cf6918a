package file

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// sample is a frame as a demuxer yields it. Times count from the file's earliest DTS.
type sample struct {
	buf           pool.Buffer
	stream        *hal.Stream
	track         int
	dts, pts, dur time.Duration
	key, gap      bool
}

// demuxer yields a file's samples, pass after pass.
type demuxer interface {
	// stream returns the tracks as they are at the beginning of the file.
	stream() *hal.Stream
	// next returns the next sample and io.EOF after the last one. Where ctx ends nothing is
	// lost: the next call goes on.
	next(ctx context.Context) (sample, error)
	// rewind starts the next pass.
	rewind()
	// close gives back what no sample carries. next fails afterwards.
	close()
}

// counters are what a demuxer saw; they may be read at any time.
type counters struct {
	frames, bytes, lost, malformed atomic.Uint64
}

func (c *counters) stats() hal.SourceStats {
	return hal.SourceStats{
		Frames: c.frames.Load(), Bytes: c.bytes.Load(),
		Lost: c.lost.Load(), Malformed: c.malformed.Load(),
	}
}

// with returns the stream with one track replaced.
func with(s *hal.Stream, i int, t hal.Track) *hal.Stream {
	tracks := append([]hal.Track(nil), s.Tracks...)
	tracks[i] = t
	return &hal.Stream{Tracks: tracks}
}
