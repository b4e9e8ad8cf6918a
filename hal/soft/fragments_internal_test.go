package soft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzFragments: what a process writes is bounded, in whatever pieces it comes.
func FuzzFragments(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x18moof\x00\x00\x00\x10tfdt\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x0amdatJP"), 3)
	f.Add([]byte("\x00\x00\x00\x1cmoof\x00\x00\x00\x14tfdt\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x0amdatJP"), 100)
	f.Add([]byte("\xff\xff\xff\xffmdat"), 1)
	f.Add([]byte("\x00\x00\x00\x08moof"), 1)
	f.Fuzz(func(t *testing.T, all []byte, piece int) {
		got, total := 0, len(all)
		p := &fragments{each: func(_ uint64, file []byte) error {
			got += len(file)
			return nil
		}}
		for piece = max(1, piece); len(all) > 0; {
			n := min(piece, len(all))
			if _, err := p.Write(all[:n]); err != nil {
				return
			}
			all = all[n:]
		}
		require.LessOrEqual(t, got+len(p.rest), total, "nothing is kept twice")
	})
}

// A fragment is one picture with its time, however the pieces fall.
func TestFragments(t *testing.T) {
	stream := []byte("\x00\x00\x00\x08ftyp\x00\x00\x00\x1cmoof\x00\x00\x00\x14tfdt\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x0amdatJP" +
		"\x00\x00\x00\x18moof\x00\x00\x00\x10tfdt\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x0bmdatJPG")
	for piece := 1; piece <= len(stream); piece++ {
		var got []string
		var times []uint64
		p := &fragments{each: func(at uint64, file []byte) error {
			got, times = append(got, string(file)), append(times, at)
			return nil
		}}
		for at := 0; at < len(stream); at += piece {
			_, err := p.Write(stream[at:min(at+piece, len(stream))])
			require.NoError(t, err)
		}
		require.Equal(t, []string{"JP", "JPG"}, got)
		require.Equal(t, []uint64{7, 9}, times)
	}
	_, err := (&fragments{}).Write([]byte("\x00\x00\x00\x08moof"))
	require.ErrorContains(t, err, "without its time")
	_, err = (&fragments{}).Write([]byte("\x7f\x00\x00\x08moof"))
	require.ErrorContains(t, err, "a box of")
}

// A quality means about what it does for the library's encoder: a better one never a coarser step.
func TestQuantiser(t *testing.T) {
	require.Equal(t, 3, quantiser(80))
	require.Equal(t, 2, quantiser(100))
	require.Equal(t, 8, quantiser(50))
	require.Equal(t, 31, quantiser(1))
	for q := 2; q <= 100; q++ {
		require.LessOrEqual(t, quantiser(q), quantiser(q-1))
	}
}
