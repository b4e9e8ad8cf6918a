package app

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// paceCollector has the garbage collector run when the heap has grown by a quarter. Frames, which
// come by the thousand a second, lie outside of it or are used again: a collection is due every
// quarter of a minute or so, and twice the heap would be memory that nobody needs. Whoever sets
// GOGC decides.
func paceCollector() {
	const percent = 25
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// limitMemory has the garbage collector work harder before memory runs out, not after: above three
// quarters of what this machine or control group has. Frames do not count, they lie outside the
// heap; what does is small. Whoever
// sets GOMEMLIMIT decides. It returns the limit, 0 where there is none.
func limitMemory(root string) int64 {
	if os.Getenv("GOMEMLIMIT") != "" {
		return 0
	}
	all := memoryOf(root)
	if all == 0 {
		return 0
	}
	limit := all / 4 * 3
	debug.SetMemoryLimit(limit)
	return limit
}

// memoryOf is what the system below root lets this process have, in bytes; 0 where it does not say.
func memoryOf(root string) (least int64) {
	atMost := func(n int64, err error) {
		if err == nil && n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	if text, err := os.ReadFile(filepath.Join(root, "proc/meminfo")); err == nil {
		_, rest, _ := strings.Cut(string(text), "MemTotal:")
		line, _, _ := strings.Cut(rest, "\n")
		n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "kB")), 10, 64)
		atMost(n<<10, err)
	}
	group := ""
	if text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup")); err == nil {
		for line := range strings.Lines(string(text)) {
			if path, ok := strings.CutPrefix(line, "0::"); ok { // version 2
				group = strings.TrimSpace(path)
			}
		}
	}
	for dir := filepath.Join("/", group); ; dir = filepath.Dir(dir) {
		if text, err := os.ReadFile(filepath.Join(root, "sys/fs/cgroup", dir, "memory.max")); err == nil {
			atMost(strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)) // "max" is no number
		}
		if dir == "/" {
			return least
		}
	}
}
