package cloud

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// C9: a name says all that a playlist needs, and nothing else passes for one.
func FuzzName(f *testing.F) {
	good := name{
		folder: "000000000001-20300102T03Z", number: 7, start: time.UnixMilli(1_893_553_445_678).UTC(), length: 4001 * time.Millisecond,
		continues: true, full: true, head: strings.Repeat("a", hashDigits), hash: strings.Repeat("0", hashDigits),
	}
	back, ok := parseName(good.folder, good.base())
	require.True(f, ok)
	require.Equal(f, good, back)
	f.Add(good.base())
	f.Add(strings.Replace(good.base(), "-cf-", "-xx-", 1))
	f.Add(strings.Replace(good.base(), "000000000007", "7", 1))
	f.Add("../" + good.base())
	f.Add(strings.Replace(good.base(), "aaaa", "a/\na", 1))
	f.Fuzz(func(t *testing.T, text string) {
		n, ok := parseName("x", text)
		if ok {
			require.Equal(t, text, n.base())
			require.NotContains(t, text, "/")
			require.NotContains(t, text, "\n")
		}
	})
}
