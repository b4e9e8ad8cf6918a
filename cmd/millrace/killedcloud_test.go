package main_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/cloud"
	"github.com/millrace-video/millrace/stages/upload/s3test"
)

// Issue 5, must show 4: a program that is killed at any instant while it uploads loses no package
// that it had accepted: each is in the bucket once, byte for byte, and in its hour's playlist.
func TestKilledWhileUploading(t *testing.T) {
	trials := 3
	if os.Getenv("MILLRACE_TORTURE") != "" {
		trials = 100
	}
	g := s3test.Start(t)
	proxy, _ := s3test.NewProxy(t, g.Address, false)
	proxy.Delay(1500 * time.Millisecond)
	dir := t.TempDir()
	config := fmt.Sprintf(`data: rec
store: {kind: s3, endpoint: %q, bucket: %s, path_style: true, credentials: {access_key: %s, secret_key: %q}}
spool: {dir: spool}
defaults: {record: {enabled: false}, live: {enabled: false}, cloud: {package: 1s}}
rtsp: {enabled: false}
channels:
  - {name: gate, source: 'synth://?size=320x180&gop=5&bitrate=2M'}
  - {name: yard, source: 'synth://?size=320x180&gop=5&seed=7'}
`, proxy.URL, s3test.Bucket, s3test.Access, s3test.Secret)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m.yml"), []byte(config), 0o600))
	accepted, caught := map[string]bool{}, 0
	for range trials {
		r := start(t, dir, "run", "--config", "m.yml", "--listen", "127.0.0.1:0")
		require.Eventually(t, func() bool { return len(spooled(t, dir)) > 0 }, waitLong, waitStep, &r.err)
		pause(time.Second + time.Duration(rand.Int64N(int64(2*time.Second))))
		require.NoError(t, r.cmd.Process.Kill())
		_ = r.cmd.Wait() //nolint:errcheck // it was killed
		left := spooled(t, dir)
		caught += len(left)
		for _, key := range append(left, packagesIn(t, g)...) {
			accepted[key] = true
		}
	}
	require.Positive(t, caught, "no kill came while a package was on its way")
	api := address(t)
	r := up(t, dir, api, "--config", "m.yml")
	require.Eventually(t, func() bool {
		var s cloud.Status
		require.NoError(t, json.Unmarshal([]byte(call(t, dir, "cloud", "status", "--api", api, "--json").out), &s))
		return !slices.ContainsFunc(s.Channels, func(c cloud.ChannelStatus) bool { return c.Stored < 2 || c.Backlog > 0 })
	}, waitLong, 200*time.Millisecond, &r.err)
	require.Contains(t, call(t, dir, "cloud", "status", "--api", api).out, "yard     on")
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, finish(t, r).code)
	require.Empty(t, spooled(t, dir))
	there := packagesIn(t, g)
	for key := range accepted {
		require.Contains(t, there, key)
	}
	seen := map[string]bool{}
	for _, key := range there {
		base := strings.TrimSuffix(filepath.Base(key), ".m4s")
		parts := strings.Split(base, "-")
		channel, number := strings.Split(key, "/")[0], parts[0]
		require.False(t, seen[channel+number], "%s is there twice", key)
		seen[channel+number] = true
		body, err := os.ReadFile(filepath.Join(g.Folder, key))
		require.NoError(t, err)
		sum := sha256.Sum256(body)
		require.Equal(t, parts[5], hex.EncodeToString(sum[:8]), "byte for byte")
	}
	for _, key := range there { // what goes on from another package has that one beside it
		parts := strings.Split(filepath.Base(key), "-")
		n, err := strconv.Atoi(parts[0])
		require.NoError(t, err)
		if parts[3][0] == 'c' {
			require.True(t, seen[strings.Split(key, "/")[0]+fmt.Sprintf("%012d", n-1)], "the package before %s is lost", key)
		}
	}
	var listed []string
	lists, err := filepath.Glob(filepath.Join(g.Folder, "*", "full", "*.m3u8"))
	require.NoError(t, err)
	for _, list := range lists {
		text, err := os.ReadFile(list)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if line[0] != '#' {
				key, err := filepath.Rel(g.Folder, filepath.Join(filepath.Dir(list), strings.TrimSpace(line)))
				require.NoError(t, err)
				listed = append(listed, key)
			}
		}
	}
	require.ElementsMatch(t, there, listed, "each is in a playlist, once")
	t.Logf("%d kills, %d packages on their way then, %d in the bucket", trials, caught, len(there))
}

// spooled are the keys of the packages in the spool.
func spooled(t *testing.T, dir string) (keys []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "rec", "spool", "*", "packages", "0*"))
	require.NoError(t, err)
	for _, path := range paths {
		folder, base, _ := strings.Cut(filepath.Base(path), "~")
		keys = append(keys, filepath.Join(filepath.Base(filepath.Dir(filepath.Dir(path))), "media", folder, base))
	}
	return keys
}

// packagesIn are the keys of those in the bucket.
func packagesIn(t *testing.T, g *s3test.Gateway) (keys []string) {
	t.Helper()
	for key := range g.Objects(t) {
		if strings.HasSuffix(key, ".m4s") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
