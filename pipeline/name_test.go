package pipeline_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/pipeline"
)

// Names fit in paths, URLs and metrics, whatever byte is tried at the beginning or later.
func TestCheckName(t *testing.T) {
	want := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)
	names := []string{"", "..", strings.Repeat("a", 64), strings.Repeat("a", 65), "gate\n", "über"}
	for c := range 256 {
		names = append(names, string([]byte{byte(c)}), string([]byte{'a', byte(c)}))
	}
	for _, name := range names {
		require.Equal(t, want.MatchString(name), pipeline.CheckName(name) == nil, "%q", name)
	}
}
