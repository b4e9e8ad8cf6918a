package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/config"
)

func TestSnapshots(t *testing.T) { // S1, S2
	text := `
snapshots: {interval: 5m, receiver: "https://bob:${GATE_PASSWORD}@hub.example/in", base64: true, quality: 60, width: 640}
defaults: {snapshot: {enabled: false}}
channels:
  - name: gate
    source: synth://
    snapshot: {enabled: true, url: "http://bob:${GATE_PASSWORD}@10.0.0.9/snap.jpg?ch=1"}
  - name: yard
    source: synth://
`
	c, err := config.Parse("m.yml", []byte(text), env())
	require.NoError(t, err)
	require.Equal(t, config.Snapshots{
		Interval: 5 * time.Minute, Base64: true, Quality: 60, Width: 640,
		Receiver: config.Receiver{URL: "https://bob:s3cr3t%3Ap%40ss%2Fword@hub.example/in", Shown: "https://bob:xxxxx@hub.example/in"},
	}, c.Snapshots)
	require.Equal(t, config.Snapshot{Enabled: true, URL: "http://bob:s3cr3t%3Ap%40ss%2Fword@10.0.0.9/snap.jpg?ch=1"}, c.Channels[0].Snapshot)
	require.Equal(t, config.Snapshot{}, c.Channels[1].Snapshot)

	for text, want := range map[string]config.Snapshots{
		"":                                      {},
		"snapshots: {quality: 50}\n":            {Quality: 50},
		"snapshots: {receiver: store}\n":        {Interval: time.Minute},
		"snapshots: {interval: 60s}\n":          {Interval: time.Minute},
		"snapshots: {receiver: 'http://h/a'}\n": {Interval: time.Minute, Receiver: config.Receiver{URL: "http://h/a", Shown: "http://h/a"}},
	} {
		c, err := config.Parse("m.yml", []byte(text+with("")), env())
		require.NoError(t, err, text)
		require.Equal(t, want, c.Snapshots, text)
		require.True(t, c.Channels[0].Snapshot.Enabled)
	}
}

func TestBrokenSnapshots(t *testing.T) { // A3, S1
	for text, want := range map[string]string{
		"snapshots: {interval: 59s}\n" + with(""):                          `m.yml:1:23: snapshots.interval: is "59s": a time with its unit, such as 500ms, 90s, 10m or 1h30m, from 1m to 24h`,
		"snapshots: {receiver: hub}\n" + with(""):                          `m.yml:1:23: snapshots.receiver: is "hub": store, or a URL that begins with http:// or https://`,
		"snapshots: {receiver: 'ftp://bob:hunter2@hub'}\n" + with(""):      `m.yml:1:23: snapshots.receiver: is "ftp://bob:xxxxx@hub": is "ftp": a URL that begins with http:// or https://: store, or a URL that begins with http:// or https://`,
		"snapshots: {interval: 1m, base64: true}\n" + with(""):             `m.yml:1:27: snapshots.base64: goes with a receiver that is a URL: the store keeps the pictures as they are`,
		"snapshots: {width: 4, quality: 0}\n" + with(""):                   "m.yml:1:20: snapshots.width: is 4: a whole number from 16 to 16384\nm.yml:1:32: snapshots.quality: is 0: a whole number from 1 to 100",
		with("    snapshot: {url: 'rtsp://10.0.0.9/x', enable: true}\n"):   "m.yml:4:21: channels[0].snapshot.url: is \"rtsp://10.0.0.9/x\": is \"rtsp\": a URL that begins with http:// or https://: the camera's snapshot page, such as http://192.168.1.20/snapshot.jpg\nm.yml:4:42: channels[0].snapshot: unknown key \"enable\": do you mean enabled?",
		with("    snapshot: {url: 'http://bob:${NOPE}@10.0.0.9/x.jpg'}\n"): `m.yml:4:33: channels[0].snapshot.url: the environment variable NOPE is not set: set it for the program that reads this file`,
	} {
		_, err := config.Parse("m.yml", []byte(text), env())
		require.EqualError(t, err, want)
	}
}
