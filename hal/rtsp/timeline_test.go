package rtsp_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal/rtsp"
)

func TestDecodingTimes(t *testing.T) {
	for _, tc := range []struct {
		name      string
		depth     int
		known     bool
		pts, want []int
	}{
		{"in order they are the presentation times", 0, true, []int{0, 40, 80}, []int{0, 40, 80}},
		{
			"I P b b: one picture waits", 1, true,
			[]int{0, 120, 40, 80, 240, 160, 200},
			[]int{-40, 0, 40, 80, 120, 160, 200},
		},
		{
			"a pyramid: two wait", 2, true,
			[]int{0, 160, 80, 40, 120, 320, 240, 200, 280},
			[]int{-80, -40, 0, 40, 80, 120, 160, 200, 240},
		},
		{
			"an encoder that does not say is found out, and nothing steps back", 0, false,
			[]int{0, 120, 40, 80, 240, 160, 200, 360, 280, 320},
			[]int{0, 120, 120, 120, 120, 160, 200, 240, 280, 320},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, rtsp.Reorder(tc.depth, tc.known, tc.pts))
		})
	}
}

// sound puts a packet of µ-law at an RTP time.
func sound(t *testing.T, d *rtsp.Desk, track int, seq uint16, ts uint32, at time.Duration) {
	t.Helper()
	p := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: ts}, Payload: fill(160)}
	raw, err := p.Marshal()
	require.NoError(t, err)
	d.Put(track, raw, at)
}

func pcm(n int) []string { return slices.Repeat([]string{sdpPCMU}, n) }

func TestTimeStamps(t *testing.T) {
	t.Run("the RTP clock turns over", func(t *testing.T) {
		d := desk(t, pcm(1)...)
		for i := range 5 {
			sound(t, d, 0, uint16(65534+i), uint32(int64(1)<<32-320+160*int64(i)), time.Duration(i)*20*time.Millisecond)
		}
		for i, f := range take(d) {
			require.Equal(t, time.Duration(i)*20*time.Millisecond, f.dts)
			require.False(t, f.gap)
		}
	})
	t.Run("a clock set anew goes on where arrival says", func(t *testing.T) {
		d := desk(t, pcm(1)...)
		sound(t, d, 0, 0, 1000, 0)
		sound(t, d, 0, 1, 900_000_000, time.Second)
		sound(t, d, 0, 2, 900_000_160, time.Second+20*time.Millisecond)
		got := take(d)
		require.Len(t, got, 3)
		require.Equal(t, time.Second, got[1].dts)
		require.True(t, got[1].gap)
		require.Equal(t, time.Second+20*time.Millisecond, got[2].dts)
	})
	t.Run("a camera that starts over keeps the run's time", func(t *testing.T) {
		d := desk(t, pcm(1)...)
		sound(t, d, 0, 0, 1000, 0)
		p := &rtp.Packet{Header: rtp.Header{Version: 2, SSRC: 7, SequenceNumber: 500, Timestamp: 1010}, Payload: fill(160)}
		raw, err := p.Marshal()
		require.NoError(t, err)
		d.Put(0, raw, 3*time.Second)
		got := take(d)
		require.Len(t, got, 2)
		require.Equal(t, 3*time.Second, got[1].dts)
		require.True(t, got[1].gap)
	})
	t.Run("RTP-Info places tracks that arrive late", func(t *testing.T) {
		d := desk(t, pcm(2)...)
		d.Info(0, 5000)
		d.Info(1, 70000)
		sound(t, d, 0, 0, 5000, 0)
		sound(t, d, 1, 0, 70160, 90*time.Millisecond)
		require.Equal(t, 20*time.Millisecond, take(d)[1].dts)
	})
	t.Run("RTP-Info that contradicts the arrival is not believed", func(t *testing.T) {
		d := desk(t, pcm(2)...)
		d.Info(0, 5000)
		d.Info(1, 70000)
		sound(t, d, 0, 0, 5000, 0)
		sound(t, d, 1, 0, 70000+9*8000, 90*time.Millisecond)
		require.Equal(t, 90*time.Millisecond, take(d)[1].dts)
	})
	t.Run("without either, arrival places them", func(t *testing.T) {
		d := desk(t, pcm(2)...)
		sound(t, d, 0, 0, 5000, 0)
		sound(t, d, 1, 0, 70160, 90*time.Millisecond)
		require.Equal(t, 90*time.Millisecond, take(d)[1].dts)
	})
}

// TestSenderReports: H4, NTP time. A second track arrived 150 ms late; the reports say that both
// belong together.
func TestSenderReports(t *testing.T) {
	for _, late := range []time.Duration{150 * time.Millisecond, -150 * time.Millisecond} {
		d := desk(t, pcm(2)...)
		_, ok := d.S.NTP(0, 0)
		require.False(t, ok, "no report yet")
		first, second := 200*time.Millisecond, 200*time.Millisecond
		if late > 0 {
			second += late
		} else {
			first -= late
		}
		for i := range 200 { // 4 s
			step := time.Duration(i) * 20 * time.Millisecond
			if late > 0 {
				sound(t, d, 0, uint16(i), uint32(160*i), first+step)
				sound(t, d, 1, uint16(i), uint32(160*i), second+step)
			} else {
				sound(t, d, 1, uint16(i), uint32(160*i), second+step)
				sound(t, d, 0, uint16(i), uint32(160*i), first+step)
			}
			if i == 50 { // both clocks stood at 8000 when the camera's clock was 3,900,000,000 s
				d.Report(0, 3_900_000_000*time.Second, 8000)
				d.Report(1, 3_900_000_000*time.Second, 8000)
			}
		}
		var tracks [2][]time.Duration
		for _, f := range d.Take() {
			tracks[f.Track] = append(tracks[f.Track], f.Stamp.DTS)
			f.Release()
		}
		require.True(t, slices.IsSorted(tracks[0]))
		require.True(t, slices.IsSorted(tracks[1]))
		n, m := len(tracks[0])-1, len(tracks[1])-1
		require.InDelta(t, tracks[0][n].Milliseconds(), tracks[1][m].Milliseconds(), 5, "aligned")
		for i := 1; i < len(tracks[0]); i++ {
			require.Equal(t, 20*time.Millisecond, tracks[0][i]-tracks[0][i-1], "the reference is never moved")
		}
		for i := 1; i < len(tracks[1]); i++ {
			step := tracks[1][i] - tracks[1][i-1]
			require.InDelta(t, 20, float64(step)/1e6, 2.1, "slewed, not jumped")
		}
		at, ok := d.S.NTP(0, tracks[0][n])
		require.True(t, ok)
		// 199 packets of 20 ms; the report was for the one at 1 s.
		want := time.Unix(3_900_000_000-2_208_988_800, 0).Add(199*20*time.Millisecond - time.Second)
		require.WithinDuration(t, want, at, time.Millisecond)
	}
	t.Run("reports that put the tracks far apart are not used", func(t *testing.T) {
		d := desk(t, pcm(2)...)
		sound(t, d, 0, 0, 0, 0)
		sound(t, d, 1, 0, 0, 0)
		d.Report(0, 3_900_000_000*time.Second, 0)
		d.Report(1, 3_900_000_100*time.Second, 0)
		sound(t, d, 1, 1, 160, 0)
		got := take(d)
		require.Equal(t, 20*time.Millisecond, got[len(got)-1].dts)
	})
}
