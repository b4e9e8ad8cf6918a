package rtsp

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
)

// H4: of packets that gortsplib receives, silence is certain up to when the wait for them began: where this program stood still
// since, gortsplib had no time either. What is taken out is certain once it was handed on.
func TestSilenceOfAQueueEndsWhereTheWaitBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Source{clock: hal.NewClock()}
		f := newQueueFeed(s)
		defer f.close()
		step := func() int64 {
			seen, err := f.step(t.Context())
			require.NoError(t, err)
			return seen
		}
		began := s.clock.Mono()
		require.Equal(t, began, step(), "nothing came")
		require.Equal(t, patience, time.Duration(s.clock.Mono()-began))
		silent := s.clock.Mono()
		require.Equal(t, silent, step())

		f.put(queued{track: &track{source: s}, bye: true})
		later := s.clock.Mono()
		require.Equal(t, silent, step(), "what came is not handed on before this step ends")
		require.Greater(t, step(), later-1)
	})
}
