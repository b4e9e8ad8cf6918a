package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// A2: the two commands that the README promises are there, and each does its set-up before its job.
func TestTheTwoCommands(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	for command, steps := range map[string][]string{
		"make run":  {"go build", "millrace run"},
		"make test": {".ci/packages", "go test -race"},
	} {
		require.Contains(t, string(readme), "\n"+command, "the README names it")
		target := strings.TrimPrefix(command, "make ")
		out, err := exec.CommandContext(t.Context(), "make", target, "--dry-run", "--no-print-directory", "-C", root).CombinedOutput()
		require.NoError(t, err, "%s", out)
		rest := string(out)
		for _, step := range steps {
			_, after, found := strings.Cut(rest, step)
			require.True(t, found, "%s: %q in its turn, in:\n%s", command, step, out)
			rest = after
		}
	}
}

// A2: whoever may not install packages is told which are missing and what to run.
func TestPackagesSaysWhatIsMissing(t *testing.T) {
	tools := t.TempDir()
	fake := func(name, script string) {
		require.NoError(t, os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700)) //nolint:gosec // it is to be run
	}
	fake("dpkg-query", `case "$*" in *ffmpeg*) exit 1 ;; *) echo installed ;; esac`)
	fake("id", "echo 1000")
	script, err := filepath.Abs(filepath.Join(root, ".ci", "packages"))
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "bash", script)
	cmd.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "MILLRACE_PACKAGES=")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "missing: ffmpeg\n")
	require.Contains(t, string(out), "sudo apt-get install -y --no-install-recommends ffmpeg\n")
}

// A3: the README's configuration is one that the program takes.
func TestTheReadmesConfiguration(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	_, after, found := strings.Cut(string(readme), "```yaml\n")
	require.True(t, found)
	text, _, found := strings.Cut(after, "```")
	require.True(t, found)
	file := filepath.Join(t.TempDir(), "millrace.yml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	cmd := exec.CommandContext(t.Context(), "go", "run", "./cmd/millrace", "check", "--config", file)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GATE_PASSWORD=hidden")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "3 channels")
	require.NotContains(t, string(out), "hidden")
}
