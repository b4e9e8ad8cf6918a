package flv_test

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/flv/flvtest"
	"github.com/millrace-video/millrace/hal/haltest"
)

// TestWhatIsSentIsWhatIsRead: H6, every codec in every way it is carried, with and without chunks.
func TestWhatIsSentIsWhatIsRead(t *testing.T) {
	for name, args := range map[string]string{
		"H.264 and AAC": picture + tone + x264 + aac,
		"H.265":         picture + x265,
		"AV1":           tinyAV1,
		"AAC":           tone + aac,
	} {
		for _, way := range []string{flvtest.Legacy, flvtest.Enhanced, flvtest.Timeless} {
			for framing, answer := range map[string]func([]byte) []byte{
				"closing":  closing,
				"download": download,
				"chunked":  func(b []byte) []byte { return chunked(b, 1, 5000, 13, 1460) },
			} {
				t.Run(name+" "+way+" "+framing, func(t *testing.T) {
					c := clip(t, args)
					s := open(t, driver(answer(film(t, c, way))), address, hal.Options{})
					require.Equal(t, framing != "download", s.Live())
					frames, streams, err := all(t, s)
					if framing == "download" {
						require.Equal(t, io.EOF, err)
					} else {
						brokenOff(t, err)
					}
					require.Len(t, streams, 1)
					require.Len(t, streams[0].Tracks, len(c.Stream.Tracks))
					for _, track := range streams[0].Tracks {
						require.NoError(t, haltest.Track(track))
					}
					require.Len(t, frames, len(c.Units))
					for i, f := range frames {
						u := c.Units[i]
						require.Equal(t, u.Track, f.Track)
						require.Equal(t, u.Key, f.Key, "frame %d", i)
						require.False(t, f.Gap)
						require.InDelta(t, u.DTS-c.Units[0].DTS, f.DTS, float64(time.Millisecond), "frame %d", i)
						require.InDelta(t, u.PTS-c.Units[0].DTS, f.PTS, float64(time.Millisecond), "frame %d", i)
						require.Equal(t, string(u.Bytes), f.Bytes, "frame %d", i)
					}
					st := s.SourceStats()
					require.EqualValues(t, len(frames), st.Frames)
					require.Zero(t, st.Malformed+st.Dropped+st.Recovered+st.Lost, st.Fault)
				})
			}
		}
	}
}
