// Package s3test gives tests a real S3 server, versitygw, and a proxy before it that delays and
// breaks what passes.
package s3test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Who signs in, and where.
const (
	Access = "millrace-test"
	Secret = "t0p-s3cret-Key/of+tests"
	Region = "us-east-1"
	Bucket = "cameras"
	Domain = "s3.test" // of the virtual-host style: http://cameras.s3.test
)

const (
	module  = "github.com/versity/versitygw/cmd/versitygw"
	version = "v1.8.0"
)

// Gateway is a running server with one bucket.
type Gateway struct {
	Address string // HOST:PORT, plain HTTP
	Folder  string // the bucket's objects as files
}

// Binary returns the path of the server at exactly the pinned version. Where it is missing it is
// built into the cache, once; .ci/packages does so before the tests.
func Binary(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	folder := filepath.Join(cache, "millrace", "versitygw-"+version)
	binary := filepath.Join(folder, "versitygw")
	if _, err = os.Stat(binary); err == nil {
		return binary
	}
	aside := t.TempDir()
	install := exec.CommandContext(t.Context(), "go", "install", module+"@"+version)
	install.Env = append(os.Environ(), "GOFLAGS=", "GOBIN="+aside)
	said, err := install.CombinedOutput()
	require.NoError(t, err, "go install %s@%s: %s", module, version, said)
	require.NoError(t, os.MkdirAll(folder, 0o750))
	built, err := os.ReadFile(filepath.Join(aside, "versitygw"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(aside, "copy"), built, 0o750)) //nolint:gosec // a program
	if os.Rename(filepath.Join(aside, "versitygw"), binary) != nil {             // another file system
		require.NoError(t, os.WriteFile(binary, built, 0o750)) //nolint:gosec // a program
	}
	return binary
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Gateway {
	t.Helper()
	binary := Binary(t)
	root := t.TempDir()
	g := &Gateway{Address: free(t), Folder: filepath.Join(root, Bucket)}
	require.NoError(t, os.Mkdir(g.Folder, 0o750))
	ctx, cancel := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, binary, "--access", Access, "--secret", Secret, "--region", Region, "--port", g.Address,
		"--keep-alive", "--quiet", "--virtual-domain", Domain, "posix", root)
	log, err := os.Create(filepath.Join(t.TempDir(), "versitygw.log"))
	require.NoError(t, err)
	server.Stdout, server.Stderr = log, log
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		cancel()
		_ = server.Wait() //nolint:errcheck // it was killed
		_ = log.Close()   //nolint:errcheck // nobody reads it
	})
	require.Eventually(t, func() bool {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", g.Address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, time.Minute, 20*time.Millisecond, "versitygw does not listen")
	return g
}

// free returns an address at which nobody listens.
func free(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

// Objects returns the keys in the bucket with their sizes, as the disk has them.
func (g *Gateway) Objects(t testing.TB) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	require.NoError(t, filepath.WalkDir(g.Folder, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if e.Name() == ".sgwtmp" { // what is under way
				return filepath.SkipDir
			}
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		key, err := filepath.Rel(g.Folder, path)
		all[key] = info.Size()
		return err
	}))
	return all
}

// IsPut says whether a request uploads an object or a part.
func IsPut(r *http.Request) bool { return r.Method == http.MethodPut }
