package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/config"
)

func TestEveryKeyOfUploadsIsRead(t *testing.T) { // A3
	text := `
store:
  kind: s3
  endpoint: https://s3.example.com:9000
  bucket: cameras
  region: eu-west-1
  prefix: site-7/
  path_style: true
  ca: /etc/ca.pem
  credentials: {access_key: AK, secret_key: "${GATE_PASSWORD}", session_token: file:/run/secrets/gate}
  parallel: 20
  retries: 0
  memory: 128Mi
uplink:
  bytes_per_second: 2M
  hours:
    - {from: "08:00", to: "18:30", bytes_per_second: 500k, hold: [snapshot, backfill]}
    - {from: "22:00", to: "24:00", hold: backfill}
defaults:
  frames: {group: 10, enabled: false}
channels:
  - name: gate
    source: synth://
    frames: {per_second: 2.5, quality: 70, log: gate.jsonl}
  - name: yard
    source: synth://
`
	c, err := config.Parse("m.yml", []byte(text), env())
	require.NoError(t, err)
	require.Equal(t, config.Store{
		Kind: "s3", Endpoint: "https://s3.example.com:9000", Bucket: "cameras", Region: "eu-west-1", Prefix: "site-7/", Style: "path", CA: "/etc/ca.pem",
		Credentials: config.Credentials{AccessKey: "AK", SecretKey: password, SessionToken: password}, Parallel: 20, Retries: 0, Memory: 128 << 20,
	}, c.Store)
	require.Equal(t, config.Uplink{BytesPerSecond: 2_000_000, Hours: []config.Hours{
		{From: 8 * time.Hour, To: 18*time.Hour + 30*time.Minute, BytesPerSecond: 500_000, Hold: []string{"snapshot", "backfill"}},
		{From: 22 * time.Hour, To: 24 * time.Hour, Hold: []string{"backfill"}},
	}}, c.Uplink)
	require.Equal(t, config.Frames{Enabled: true, Every: 1, PerSecond: 2.5, Group: 10, Quality: 70, Log: "gate.jsonl"}, c.Channels[0].Frames)
	require.False(t, c.Channels[1].Frames.Enabled)
	require.Equal(t, "xxxxx", c.Scrub(password), "no log shows the key")
}

// Without a word about it the store is a directory in the data folder, and no channel's pictures go up.
func TestTheStoreIsADirectory(t *testing.T) {
	c, err := config.Parse("m.yml", []byte("data: /srv\n"+with("    frames: {every: 5}\n  - name: yard\n    source: synth://\n")), env())
	require.NoError(t, err)
	require.Equal(t, "/srv/store", c.Store.Folder(c.Data))
	require.True(t, c.Channels[0].Frames.Enabled)
	require.False(t, c.Channels[1].Frames.Enabled)
}

func brokenUploads() []breach {
	return []breach{
		{
			"a directory with what goes with S3", "store: {bucket: b, region: r}\n" + with(""), `m.yml:1:9: store.bucket: goes with kind s3, this store is directory
m.yml:1:20: store.region: goes with kind s3, this store is directory`,
		},
		{
			"S3 without a bucket", "store: {kind: s3, dir: x}\n" + with(""), `m.yml:1:9: store: is s3 and has no bucket: bucket: NAME
m.yml:1:19: store.dir: goes with kind directory, this store is s3`,
		},
		{
			"an unknown store", "store: {kind: tape, retrys: 3, parallel: 0}\n" + with(""), `m.yml:1:15: store.kind: is "tape": one of directory, s3
m.yml:1:21: store: unknown key "retrys": do you mean retries?
m.yml:1:42: store.parallel: is 0: a whole number from 1 to 1024`,
		},
		{
			"credentials twice", "store: {kind: s3, bucket: b, credentials: {access_key: a, secret_key: hunter2, file: /x}}\n" + with(""), `m.yml:1:44: store.credentials: has more than one source of credentials: access_key and secret_key, or file, or from: environment or role`,
		},
		{
			"half of the credentials", "store: {kind: s3, bucket: b, credentials: {secret_key: hunter2}}\n" + with(""), `m.yml:1:44: store.credentials: needs both access_key and secret_key`,
		},
		{
			"credentials from a file that is not named", "store: {kind: s3, bucket: b, credentials: {from: file}}\n" + with(""), `m.yml:1:44: store.credentials: has no file: file: /path/to/credentials`,
		},
		{
			"hours", "uplink:\n  bytes_per_second: 3\n  hours:\n    - {from: \"25:00\", to: \"8\"}\n    - {from: \"08:00\"}\n    - {from: \"08:00\", to: \"08:00\"}\n    - {from: \"08:00\", to: \"09:00\", hold: [night]}\n" + with(""), `m.yml:2:21: uplink.bytes_per_second: is "3": bytes such as 64M, 1G or 512Ki (k, M, G: thousands; Ki, Mi, Gi: 1024s), from 1k to 100G
m.yml:4:14: uplink.hours[0].from: is "25:00": a time of the day in quotes, from "00:00" to "24:00"
m.yml:4:27: uplink.hours[0].to: is "8": a time of the day in quotes, from "00:00" to "24:00"
m.yml:5:8: uplink.hours[1]: needs both from and to: from: "22:00", to: "06:00"
m.yml:6:8: uplink.hours[2]: ends when it begins: "00:00" to "24:00" is all day
m.yml:7:43: uplink.hours[3].hold[0]: is "night": one of event, full-time, snapshot, backfill`,
		},
		{
			"frames", with("    frames: {every: 2, per_second: 0, group: 0}\n  - name: yard\n    source: synth://\n    frames: {every: 2, per_second: 2}\n"), `m.yml:4:24: channels[0].frames.per_second: goes without every: each n-th picture, or so many a second
m.yml:4:36: channels[0].frames.per_second: is 0: a number from 0.001 to 1000, such as 2 or 0.5
m.yml:4:46: channels[0].frames.group: is 0: a whole number from 1 to 10000
m.yml:7:24: channels[1].frames.per_second: goes without every: each n-th picture, or so many a second`,
		},
	}
}

func TestBrokenUploads(t *testing.T) { // A3
	for _, tc := range brokenUploads() {
		t.Run(tc.name, func(t *testing.T) {
			_, err := config.Parse("m.yml", []byte(tc.text), env())
			var problems config.FileError
			require.ErrorAs(t, err, &problems)
			require.Equal(t, tc.want, err.Error())
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}
