package bench

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// thisMachine is what the kernel says of it; what it does not say is left empty.
func thisMachine() Machine {
	m := Machine{Cores: runtime.GOMAXPROCS(0), OS: runtime.GOOS, Arch: runtime.GOARCH}
	m.CPU = field("/proc/cpuinfo", "model name")
	if m.CPU == "" { // a board
		if text, err := os.ReadFile("/proc/device-tree/model"); err == nil {
			m.CPU = strings.Trim(string(text), "\x00\n ")
		}
	}
	if kilobytes, err := strconv.ParseInt(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"), 10, 64); err == nil {
		m.Memory = kilobytes << 10
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	return m
}

// field is the first value of a name in a file of "name : value" lines.
func field(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// versions are ours, Go's, and those of the peers that are found.
func versions(ctx context.Context, ours string, peers []string) []Version {
	all := []Version{{"millrace", ours}, {"go", strings.TrimPrefix(runtime.Version(), "go")}}
	for _, peer := range peers {
		if v := versionOf(ctx, peer); v != "" {
			all = append(all, Version{peer, v})
		}
	}
	return all
}

// versionOf asks a program on PATH, which may be anything: what it says is cut short.
func versionOf(ctx context.Context, program string) string {
	path, err := exec.LookPath(program)
	if err != nil {
		return ""
	}
	option := "--version"
	if program == "ffmpeg" {
		option = "-version"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, option).Output()
	if err != nil {
		return "of unknown version"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	line = strings.TrimPrefix(strings.TrimPrefix(line, program+" "), "version ")
	line, _, _ = strings.Cut(line, " Copyright")
	return line[:min(len(line), 60)]
}
