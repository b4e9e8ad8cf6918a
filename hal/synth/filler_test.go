package synth_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// A filler is user data (SEI) that says its own size, whatever that is.
func TestAFillerIsAsLongAsItSays(t *testing.T) { // H7
	seen := map[int]bool{}
	for rate := range 300 { // each makes a picture a byte longer
		src := open(t, fmt.Sprintf("synth://?size=160x112&rate=25&gop=2&frames=2&audio=none&pace=fast&bitrate=%d", 400_000+200*rate), hal.Options{})
		readAll(t, src, func(f hal.Frame) {
			walk := nal.Prefixed(f.Buf.Bytes())
			u, ok := walk.Next()
			require.True(t, ok)
			if u[0]&31 != 6 {
				return
			}
			body, size, n := u[2:], 0, 0
			for body[n] == 255 {
				size, n = size+255, n+1
			}
			size += int(body[n])
			require.Equal(t, len(body), n+1+size+1, "a filler of %d bytes", len(u))
			seen[len(u)%256] = true
		})
	}
	require.Greater(t, len(seen), 128, "fillers of many lengths")
}
