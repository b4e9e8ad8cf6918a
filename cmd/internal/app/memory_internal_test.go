package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The least of what the machine has and what its control groups allow is what there is.
func TestMemoryIsTheLeastThatIsAllowed(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"nobody says", nil, 0},
		{"the machine's", map[string]string{"proc/meminfo": "MemTotal:        1000 kB\nMemFree: 1 kB\n"}, 1000 << 10},
		{"a group's", map[string]string{
			"proc/meminfo": "MemTotal:        1000 kB\n", "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "500000\n",
		}, 500000},
		{"nonsense", map[string]string{"proc/meminfo": "MemTotal: x kB\n", "proc/self/cgroup": "0::../..\n"}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range tc.files {
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o750))
				require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
			}
			require.Equal(t, tc.want, memoryOf(root))
		})
	}
}
