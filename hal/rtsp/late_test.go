package rtsp_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/rtsp"
)

// H4: silence is what a look at the socket found, not what a clock says: where this program stood still, what
// came meanwhile is read first. A camera that is really silent is one all the same.
func TestWhoWasLateCallsNoCameraSilent(t *testing.T) {
	t.Parallel()
	cue := make(chan []byte) // what follows is taken once the socket has what came before
	s := open(t, rtsp.Driver{}, "rtsp://"+playing(t, sdpOf(sdpH264()), cue).addr+"/x")
	c := newCamera(t)
	shoot := func() { cue <- interleave(0, c.shoot(fill(3000, 0x65, 0x88))...) }
	take := func() {
		t.Helper()
		f, err := s.Read(t.Context())
		require.NoError(t, err)
		f.Release()
	}
	for range 5 {
		shoot()
		take()
	}
	shoot()
	shoot()
	s.Aged(time.Hour)
	take()
	take()

	_, err := s.ReadLate()
	require.NoError(t, err, "a deadline that has passed is no failure")
	shoot()
	shoot()
	n, err := s.ReadLate()
	require.NoError(t, err)
	require.Greater(t, n, 3000, "and keeps nothing from being read")
	take()
	take()
	s.Aged(time.Hour)
	_, err = s.Read(t.Context())
	require.ErrorIs(t, err, hal.ErrStalled)
}
