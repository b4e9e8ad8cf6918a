package packtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Browse has Chromium open a page, until what it returns is called.
func Browse(t testing.TB, page string) (end func()) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is missing: apt-get install chromium")
	}
	profile, err := os.MkdirTemp("", "millrace-browser-") //nolint:usetesting // it is removed when the last of the browser's processes is gone
	require.NoError(t, err)
	browser := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--autoplay-policy=no-user-gesture-required", "--user-data-dir="+profile, "--remote-debugging-port=0", page)
	browser.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, browser.Start())
	return func() {
		_ = syscall.Kill(-browser.Process.Pid, syscall.SIGKILL) //nolint:errcheck // it may have ended
		_ = browser.Wait()                                      //nolint:errcheck // it was killed
		require.Eventually(t, func() bool { return os.RemoveAll(profile) == nil }, time.Minute, 10*time.Millisecond)
	}
}

const hlsVersion = "1.7.4"

// HLSJS returns the file of hls.js, the player that most web pages use, at exactly the pinned version. Where it
// is missing it is fetched into the cache, once; where it cannot be had the test is skipped.
func HLSJS(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	folder := filepath.Join(cache, "millrace", "hls.js-"+hlsVersion)
	file := filepath.Join(folder, "hls.min.js")
	if _, err = os.Stat(file); err == nil {
		return file
	}
	if _, err = exec.LookPath("npm"); err != nil {
		t.Skip("npm is missing: apt-get install npm")
	}
	require.NoError(t, os.MkdirAll(folder, 0o750))
	aside, err := os.MkdirTemp(folder, "new-") //nolint:usetesting // it is renamed within one file system
	require.NoError(t, err)
	fetch := exec.CommandContext(t.Context(), "npm", "pack", "--silent", "hls.js@"+hlsVersion)
	fetch.Dir = aside
	if said, failed := fetch.CombinedOutput(); failed != nil {
		t.Skipf("hls.js cannot be had: %s", said)
	}
	said, err := exec.CommandContext(t.Context(), "tar", "-xzf", filepath.Join(aside, "hls.js-"+hlsVersion+".tgz"), "-C", aside, "package/dist/hls.min.js").CombinedOutput()
	require.NoError(t, err, "%s", said)
	require.NoError(t, os.Rename(filepath.Join(aside, "package", "dist", "hls.min.js"), file))
	require.NoError(t, os.RemoveAll(aside))
	return file
}
