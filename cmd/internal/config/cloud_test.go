package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/config"
)

func TestEveryKeyOfCloudIsRead(t *testing.T) { // A3
	text := `
data: /srv
spool: {dir: waiting, max_bytes: 20G}
defaults:
  cloud: {package: 6s, full_time: false}
channels:
  - name: gate
    source: synth://
    cloud: {events: true, package_bytes: measured}
  - name: yard
    source: synth://
    cloud: {enabled: false}
  - name: lane
    source: synth://
    cloud: {full_time: true, package_bytes: 1Mi}
`
	c, err := config.Parse("m.yml", []byte(text), env())
	require.NoError(t, err)
	dir, spool := c.Spool.Folder(c.Data)
	require.Equal(t, "/srv/waiting", dir)
	require.True(t, spool)
	require.Equal(t, int64(20_000_000_000), c.Spool.MaxBytes)
	require.Equal(t, config.Cloud{Enabled: true, Events: true, Package: 6 * time.Second}, c.Channels[0].Cloud)
	require.False(t, c.Channels[1].Cloud.Enabled)
	require.Equal(t, config.Cloud{Enabled: true, FullTime: true, Package: 6 * time.Second, PackageBytes: 1 << 20}, c.Channels[2].Cloud)
}

// Without a word about it nothing of a channel's stream goes to the store, and there is no spool.
func TestNoCloudStorage(t *testing.T) {
	c, err := config.Parse("m.yml", []byte("data: /srv\n"+with("    cloud: {}\n  - name: yard\n    source: synth://\n")), env())
	require.NoError(t, err)
	require.Equal(t, config.Cloud{Enabled: true, FullTime: true, Package: 4 * time.Second, PackageBytes: 512 << 10}, c.Channels[0].Cloud)
	require.False(t, c.Channels[1].Cloud.Enabled)
	dir, spool := c.Spool.Folder(c.Data)
	require.Equal(t, "/srv/.cloud", dir)
	require.False(t, spool)
}

func TestBrokenCloud(t *testing.T) { // A3
	for _, tc := range []breach{
		{"a spool without a folder", "spool: {max_bytes: 1G}\n" + with(""), `m.yml:1:9: spool: has no dir: dir: spool is a folder beside the recordings`},
		{"a package too long", with("    cloud: {package: 2m}\n"), `m.yml:4:22: channels[0].cloud.package: is "2m": a time with its unit, such as 500ms, 90s, 10m or 1h30m, from 1s to 1m`},
		{"a package too small", with("    cloud: {package_bytes: 1Ki}\n"), `m.yml:4:28: channels[0].cloud.package_bytes: is "1Ki": measured, or bytes such as 512Ki or 1M, from 16Ki to 1Gi`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := config.Parse("m.yml", []byte(tc.text), env())
			require.Error(t, err)
			require.Equal(t, tc.want, err.Error())
		})
	}
}
