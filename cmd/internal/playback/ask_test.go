package playback_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/cmd/internal/playback"
	"github.com/millrace-video/millrace/cmd/internal/playback/playbacktest"
)

var (
	_ playback.Library = (*catalog.Catalog)(nil)
	_ playback.Library = (*playback.Folder)(nil)
	_ playback.Library = (*playbacktest.Shelf)(nil)
)

func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// asks are queries and the range that each means; "" where it means none.
func asks() []struct{ query, means string } {
	return []struct{ query, means string }{
		{"from=-10m", "11:50:00 12:00:00"},
		{"from=-10m&to=now", "11:50:00 12:00:00"},
		{"from=-1h30m&to=-1h", "10:30:00 11:00:00"},
		{"from=now&to=%2B5s", "12:00:00 12:00:05"},
		{"from=2026-03-01T11:00:00Z", "11:00:00 12:00:00"},
		{"from=2026-03-01T13:00:00%2B02:00", "11:00:00 12:00:00"},
		{"from=2026-03-01T13:00:00+02:00", "11:00:00 12:00:00"}, // a + that nobody escaped
		{"from=2026-03-01T11:00:00.25Z", "11:00:00.25 12:00:00"},
		{"from=1772362800", "11:00:00 12:00:00"},
		{"from=1772362800.5&to=1772362801", "11:00:00.5 11:00:01"},
		{"from=1772362800.000000001", "11:00:00.000000001 12:00:00"},
		{"from=-10m&file=7", "11:50:00 12:00:00"},
		{"", ""},
		{"from=", ""},
		{"to=now", ""},
		{"from=10m", ""},
		{"from=now", ""},
		{"from=-10m&to=-20m", ""},
		{"from=-10m&from=-20m", ""},
		{"from=-10m&till=now", ""},
		{"from=-10m&file=0", ""},
		{"from=-10m&file=-1", ""},
		{"from=yesterday", ""},
		{"from=1772362800.-5", ""},
		{"from=1772362800.1234567891", ""},
		{"from=9223372036854775807", ""},
		{"from=-1000000h", ""},
		{"from=2201-01-01T00:00:00Z", ""},
		{"from=1969-01-01T00:00:00Z", ""},
	}
}

func TestARangeIsAskedForInAnyOfThreeWays(t *testing.T) { // R6
	const clock = "15:04:05.999999999"
	for _, tc := range asks() {
		t.Run(tc.query, func(t *testing.T) {
			query, err := url.ParseQuery(tc.query)
			require.NoError(t, err)
			a, err := playback.ParseAsk("gate", query, now())
			if tc.means == "" {
				require.ErrorIs(t, err, playback.ErrAsk)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.means, a.From.UTC().Format(clock)+" "+a.To.UTC().Format(clock))
		})
	}
}

// FuzzParseAsk asks anything: what is not refused is a range whose ends are labels.
func FuzzParseAsk(f *testing.F) {
	for _, tc := range asks() {
		f.Add(tc.query)
	}
	f.Fuzz(func(t *testing.T, text string) {
		query, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		a, err := playback.ParseAsk("gate", query, now(), "format")
		if err != nil {
			require.ErrorIs(t, err, playback.ErrAsk)
			require.Less(t, len(err.Error()), 500)
			return
		}
		require.Less(t, a.From.UnixNano(), a.To.UnixNano())
		require.GreaterOrEqual(t, a.From.UnixNano(), int64(0))
	})
}
