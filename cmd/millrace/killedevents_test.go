package main_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/upload/s3test"
)

// Issue 5: a program that is killed at any instant loses no message and no picture of an event
// that it had accepted: each is in the bucket, byte for byte, and the spool is empty then.
func TestKilledBeforeAnEventIsInTheStore(t *testing.T) {
	trials := 2
	if os.Getenv("MILLRACE_TORTURE") != "" {
		trials = 50
	}
	g := s3test.Start(t)
	proxy, _ := s3test.NewProxy(t, g.Address, false)
	proxy.Delay(700 * time.Millisecond)
	dir, api := t.TempDir(), address(t)
	config := fmt.Sprintf(`data: rec
store: {kind: s3, endpoint: %q, bucket: %s, path_style: true, credentials: {access_key: %s, secret_key: %q}}
spool: {dir: spool}
channels:
  - name: gate
    source: 'synth://?size=320x180&gop=5'
    record: {enabled: false}
    live: {enabled: false}
    cloud: {full_time: false, events: true}
    events: {interval: 4s, minimum: 4s}
`, proxy.URL, s3test.Bucket, s3test.Access, s3test.Secret)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m.yml"), []byte(config), 0o600))
	accepted, caught := map[string]string{}, 0
	for range trials {
		r := up(t, dir, api, "--config", "m.yml")
		for _, source := range []string{"motion", "person", "sound", "5", "6"} {
			got := call(t, dir, "event", "gate", "--type", source, "--api", api)
			require.Zero(t, got.code, got.err)
		}
		require.Eventually(t, func() bool { return len(lettersIn(t, dir)) > 0 }, waitLong, waitStep, "%s", &r.err)
		pause(time.Duration(rand.Int64N(int64(2 * time.Second))))
		require.NoError(t, r.cmd.Process.Kill())
		_ = r.cmd.Wait() //nolint:errcheck // it was killed
		left := lettersIn(t, dir)
		caught += len(left)
		for _, path := range left {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			_, name, _ := strings.Cut(filepath.Base(path), "~")
			accepted["gate/events/"+name] = string(text)
		}
	}
	require.Positive(t, caught, "no kill came while a message was on its way")
	proxy.Delay(0) // one goes after the other: hundreds would take minutes
	r := up(t, dir, api, "--config", "m.yml")
	require.Eventually(t, func() bool { return len(lettersIn(t, dir)) == 0 }, waitLong, waitStep, "%s", &r.err)
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, finish(t, r).code)
	for key, body := range accepted {
		text, err := os.ReadFile(filepath.Join(g.Folder, key))
		require.NoError(t, err)
		require.Equal(t, body, string(text), "byte for byte")
		if strings.HasSuffix(key, ".json") {
			var line struct{ Channel, Source string }
			require.NoError(t, json.Unmarshal(text, &line))
			require.Equal(t, "gate", line.Channel)
			require.NotEmpty(t, line.Source)
		}
	}
	t.Logf("%d kills, %d messages and pictures on their way then", trials, caught)
}

// lettersIn are the messages and pictures in the spool.
func lettersIn(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "rec", "spool", "gate", "letters", "0*"))
	require.NoError(t, err)
	return all
}
