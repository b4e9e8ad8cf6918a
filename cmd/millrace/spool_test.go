package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// R7, C3: the spool has its row in the disk budget, which is held by giving up what waits there
// where no recording is left; the time line tells what the store lacks for it.
func TestTheDiskBudgetHoldsTheSpool(t *testing.T) {
	t.Parallel()
	dir, api := t.TempDir(), address(t)
	config := fmt.Sprintf(`
data: rec
disk: {max_bytes: 10M}
store: {kind: s3, endpoint: "http://%s", bucket: b, path_style: true, credentials: {access_key: a, secret_key: b}}
spool: {dir: spool, max_bytes: 100M}
channels:
  - name: gate
    source: "synth://?size=640x360&gop=5&bitrate=12M"
    cloud: {package: 1s}
    live: {enabled: false}
    record: {segment_duration: 2s}
`, address(t)) // where nobody listens
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m.yml"), []byte(config), 0o600))
	r := up(t, dir, api, "--config", "m.yml")
	require.Eventually(t, func() bool {
		return strings.Contains(call(t, dir, "timeline", "gate", "--api", api).out, "Not in the store:")
	}, waitLong, 300*time.Millisecond, "%s", &r.err)
	line := call(t, dir, "timeline", "gate", "--api", api)
	require.Contains(t, line.out, "the disk budget")
	disk := call(t, dir, "disk", "--api", api)
	require.Regexp(t, `\(spool\) +\S+ GB +0.10 GB +\S*rec/spool`, disk.out)
	require.Contains(t, disk.out, "Beside that, in no limit but what stays free:\n  catalog, journals and logs")
	require.Contains(t, call(t, dir, "cloud", "status", "--api", api).out, "gate     on")
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, finish(t, r).code)
	disk = call(t, dir, "disk", "--config", "m.yml")
	require.Zero(t, disk.code, disk.err)
	require.Contains(t, disk.out, "(spool)")
	require.Contains(t, r.err.String(), "given up in the spool")
}
