package file_test

import (
	"testing"

	"github.com/millrace-video/millrace/hal"
)

// BenchmarkRead is one frame from a file in the page cache to the arena and back.
func BenchmarkRead(b *testing.B) {
	for _, name := range []string{"long.mp4", "long-frag.mp4", "long.ts", "long.h264"} {
		b.Run(name, func(b *testing.B) {
			src := openURL(b, "file://"+media(b, name)+"?pace=fast&loop=1", hal.Options{})
			bytes := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				f, err := src.Read(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				bytes += int64(f.Buf.Len())
				f.Release()
			}
			b.SetBytes(bytes / int64(b.N))
		})
	}
}
