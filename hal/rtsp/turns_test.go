package rtsp_test

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/rtsp"
)

// crowded opens sources that are watched, beside many others.
type crowded struct{ rtsp.Driver }

// Open implements hal.SourceDriver.
func (d crowded) Open(ctx context.Context, u *url.URL, opts hal.Options) (hal.Source, error) {
	src, err := d.Driver.Open(ctx, u, opts)
	if s, ok := src.(*rtsp.Source); ok {
		s.TakeTurns()
		s.SetUrgent(true)
	}
	return src, err
}

// TestTurns: Build 3. A camera that is watched beside many is read at common times; nothing is lost or kept for it, and
// who wants it to end does not wait.
func TestTurns(t *testing.T) {
	t.Parallel()
	type rig struct {
		*rtsp.Source

		cue  chan []byte
		cam  *cameraH264
		sent int
	}
	// read sends n pictures of a size, one when the one before was read, and reads them.
	read := func(t *testing.T, r *rig, n, size int) {
		t.Helper()
		for range n {
			unit := fill(size, 0x65, 0x88)
			r.cue <- interleave(0, r.cam.shoot(unit)...)
			f, err := r.Read(t.Context())
			require.NoError(t, err)
			require.Equal(t, avc(unit), f.Buf.Bytes())
			require.Equal(t, time.Duration(r.sent)*40*time.Millisecond, f.Stamp.DTS)
			f.Release()
			r.sent++
		}
	}
	begin := func(t *testing.T) *rig {
		t.Helper()
		cue := make(chan []byte, 10)
		r := &rig{Source: open(t, rtsp.Driver{FirstWait: time.Second}, "rtsp://"+playing(t, sdpOf(sdpH264()), cue).addr+"/x"), cue: cue, cam: newCamera(t)}
		r.TakeTurns()
		r.SetUrgent(true)
		require.Equal(t, 1, r.Watched())
		for began := time.Now(); !r.TookTurn(); {
			require.Less(t, time.Since(began), time.Minute, "the rate becomes known")
			read(t, r, 1, 20_000)
			<-time.After(10 * time.Millisecond)
		}
		return r
	}
	t.Run("every picture, large and small, comes whole and in order", func(t *testing.T) {
		t.Parallel()
		r := begin(t)
		for range 5 {
			read(t, r, 1, 200_000)
			read(t, r, 5, 20)
			read(t, r, 2, 3_000)
		}
		require.True(t, r.TookTurn())
	})
	t.Run("being watched or not may change at any time", func(t *testing.T) {
		t.Parallel()
		r := begin(t)
		for i := range 20 {
			r.SetUrgent(i%2 == 0)
			require.Equal(t, (i+1)%2, r.Watched())
			read(t, r, 2, 20+i*1000)
			require.Equal(t, i%2 == 0, r.TookTurn())
		}
	})
	t.Run("a context that is done ends a wait", func(t *testing.T) {
		t.Parallel()
		r := begin(t)
		for range 3 {
			stop := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(20*time.Millisecond, func() { cancel(stop) })
			_, err := r.Read(ctx)
			require.ErrorIs(t, err, stop)
			read(t, r, 1, 20)
		}
	})
	t.Run("so does Close, and it does not count any more", func(t *testing.T) {
		t.Parallel()
		r := begin(t)
		left := make(chan error, 1)
		time.AfterFunc(20*time.Millisecond, func() { left <- r.Close() })
		_, err := r.Read(t.Context())
		require.ErrorContains(t, err, "closed")
		require.NoError(t, <-left)
		require.Zero(t, r.Watched())
		r.SetUrgent(true)
		require.Zero(t, r.Watched())
	})
	t.Run("so does a camera that goes away", func(t *testing.T) {
		t.Parallel()
		r := begin(t)
		close(r.cue)
		_, err := r.Read(t.Context())
		require.Error(t, err)
		require.NotErrorIs(t, err, hal.ErrStalled)
	})
	t.Run("a camera that falls silent stalls", func(t *testing.T) {
		t.Parallel()
		_, err := begin(t).Read(t.Context())
		require.ErrorIs(t, err, hal.ErrStalled)
	})
	t.Run("who was late and is not watched any more calls no camera silent", func(t *testing.T) { // H4
		t.Parallel()
		r := begin(t)
		r.Aged(time.Hour)
		time.AfterFunc(10*time.Millisecond, func() {
			r.SetUrgent(false)
			r.cue <- interleave(0, r.cam.shoot(fill(3000, 0x65, 0x88))...)
		})
		f, err := r.Read(t.Context())
		require.NoError(t, err)
		f.Release()
	})
}
