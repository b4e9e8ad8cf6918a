package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnEventByTheCommandLine(t *testing.T) { // C6, C7, A1
	t.Parallel()
	dir, api := t.TempDir(), address(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m.yml"), []byte(`
data: rec
channels:
  - {name: gate, source: "synth://", events: {interval: 4s, minimum: 4s, pre: 2s}}
  - {name: yard, source: "synth://", events: {enabled: false}}
`), 0o600))
	r := up(t, dir, api, "--config", "m.yml")
	event := func(args ...string) result {
		return call(t, dir, append(append([]string{"event"}, args...), "--api", api)...)
	}
	require.Contains(t, event("gate").out, "gate: no event\n")
	at := time.Now().Add(-time.Second).UTC().Format("2006-01-02T15:04:05.000Z")
	got := event("gate", "--type", "person", "--at", at)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "event 1 is open, recording")
	require.Eventually(t, func() bool {
		out := event("gate").out
		return strings.Contains(out, "person") && strings.Contains(out, at) && strings.Contains(out, "recorded, part 1")
	}, waitLong, waitStep)
	require.Contains(t, event("gate", "--json").out, `"kind": "recording"`)
	got = event("yard", "--type", "5")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "events.enabled is false")
	got = event("nobody", "--type", "5")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, `channel "nobody": no such channel`)
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, finish(t, r).code)
	text, err := os.ReadFile(filepath.Join(dir, "rec", "gate", "events.jsonl"))
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(text), "\n"), "%s", text)
}
