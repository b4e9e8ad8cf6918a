package cloud

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// C2: a frame waits for the other track until its own track's reorder buffer is full: half of a
// package's size for video, a tenth for audio. Here a package is 1,000 bytes.
func TestReorderBuffers(t *testing.T) {
	for _, tc := range []struct {
		name     string
		in, want string // v video, a audio; its DTS in tenths of a second, and its bytes
	}{
		{"in the order of their times", "v0:10 v1:10 a0:10 v2:10 a1:10", "v0 a0 v1 a1"},
		{"video waits up to half a package", "a0:10 v1:250 v2:250", "a0"},
		{"and no longer", "a0:10 v1:250 v2:250 v3:10", "a0 v1 v2 v3"},
		{"audio waits up to a tenth", "v0:10 a1:50 a2:50", "v0"},
		{"and no longer", "v0:10 a1:50 a2:50 a3:10", "v0 a1 a2 a3"},
		{"nobody waits for longer than a package", "v0:10 v20:10 v40:10 v41:10", "v0 v20 v40 v41"},
		{"who was waited for in vain is not waited for", "v0:501 v1:10", "v0 v1"},
		{"until it comes again", "v0:501 v1:10 a0:10 v3:10 a2:10", "v0 v1 a0 a2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			arena := pool.NewArena(pool.ArenaConfig{})
			var out []string
			a := aligner{out: func(f hal.Frame) error {
				out = append(out, fmt.Sprintf("%c%d", "va"[f.Track], f.Stamp.DTS/(100*time.Millisecond)))
				f.Release()
				return nil
			}}
			s := &hal.Stream{Tracks: []hal.Track{{Codec: hal.H264}, {Codec: hal.AAC}}}
			a.reset(s, func(int) bool { return true }, 0, 1000, 4*time.Second)
			for word := range strings.FieldsSeq(tc.in) {
				var kind byte
				var at, size int
				_, err := fmt.Sscanf(word, "%c%d:%d", &kind, &at, &size)
				require.NoError(t, err)
				b, err := arena.Get(size)
				require.NoError(t, err)
				require.NoError(t, a.add(hal.Frame{
					Buf: b, Stream: s, Track: strings.IndexByte("va", kind), Stamp: hal.Stamp{DTS: time.Duration(at) * 100 * time.Millisecond},
				}))
			}
			require.Equal(t, tc.want, strings.Join(out, " "))
			a.discard()
			require.Zero(t, arena.Stats().Held)
		})
	}
}
