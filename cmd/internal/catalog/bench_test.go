package catalog_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
)

// BenchmarkTimeline asks for a day of a channel with a month.
func BenchmarkTimeline(b *testing.B) {
	data := b.TempDir()
	channels := fillYears(b, data, 1, 30)
	c, err := catalog.Open(catalog.Config{Data: data, Channels: channels})
	require.NoError(b, err)
	from := time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		line, err := c.Timeline("cam00", from, from.AddDate(0, 0, 1))
		if err != nil || len(line.Segments) != 144 {
			b.Fatal(len(line.Segments), err)
		}
	}
}
