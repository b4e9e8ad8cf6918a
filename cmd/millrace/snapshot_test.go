package main_test

import (
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSnapshotSavesAPicture(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "m.yml")
	require.NoError(t, os.WriteFile(file, []byte("rtsp: {enabled: false}\nchannels: {gate: {source: 'synth://?size=320x240&audio=none', record: {enabled: false}}, yard: {source: 'synth://?fail=open', record: {enabled: false}}}\n"), 0o600))
	api := address(t)
	r := up(t, dir, api, "--config", file)
	picture := filepath.Join(dir, "gate.jpg")
	require.Eventually(t, func() bool {
		return call(t, dir, "snapshot", "gate", "--api", api, "-o", picture, "--width", "160").code == 0
	}, time.Minute, 20*time.Millisecond)
	f, err := os.Open(picture)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	img, err := jpeg.DecodeConfig(f)
	require.NoError(t, err)
	require.Equal(t, 160, img.Width)

	out := call(t, dir, "snapshot", "gate", "--api", api, "-o", "-")
	require.Zero(t, out.code, out.err)
	require.True(t, strings.HasPrefix(out.out, "\xff\xd8"), "no JPEG on standard output")

	bad := call(t, dir, "snapshot", "yard", "--api", api, "-o", picture)
	require.Equal(t, 1, bad.code)
	require.Contains(t, bad.err, "channel yard is waiting: ")
	require.Equal(t, 2, call(t, dir, "snapshot", "gate", "--api", api, "-o", picture, "--width", "3").code)
	require.FileExists(t, picture, "what is there stays")
	left, err := filepath.Glob(filepath.Join(dir, ".snapshot-*"))
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, finish(t, r).code)
}

// S1, S3: the simulation keeps its promises and says what is simulated.
func TestBenchSnapshots(t *testing.T) {
	r := call(t, t.TempDir(), "bench", "snapshots", "--intervals", "5")
	require.Zero(t, r.code, r.err)
	require.Contains(t, r.out, "Simulated: channels that come and go, and the time")
	r = call(t, t.TempDir(), "bench", "snapshots", "--intervals", "5", "--json")
	require.Contains(t, r.out, "\n  \"held\": true")
	require.Equal(t, 2, call(t, t.TempDir(), "bench", "snapshots", "--interval", "10s").code)
}
