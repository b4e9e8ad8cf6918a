package upload_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/upload"
	"github.com/millrace-video/millrace/stages/upload/s3test"
)

func directory(t *testing.T) (*upload.Directory, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	d, err := upload.OpenDirectory(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d, dir
}

// U2: the directory keeps every promise of a store.
func TestDirectoryIsAStore(t *testing.T) {
	d, _ := directory(t)
	s3test.Contract(t, d)
}

// No key and no symbolic link leads out of the directory.
func TestNoKeyLeavesTheDirectory(t *testing.T) {
	d, dir := directory(t)
	outside := t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "door")))
	for _, key := range append(hostileKeys(), "door/x") {
		err := d.Put(t.Context(), key, "", upload.Bytes([]byte("x")))
		require.Error(t, err, key)
		require.ErrorIs(t, d.Replace(t.Context(), key, "", upload.Bytes([]byte("x"))), err2kind(err), key)
	}
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Empty(t, entries)
	above, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Len(t, above, 1)
}

func err2kind(err error) error {
	if errors.Is(err, upload.ErrRefused) {
		return upload.ErrRefused
	}
	return err
}

func hostileKeys() []string {
	return []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\x00b", "a\nb", "a\\b", "\xff",
		strings.Repeat("a", 256), strings.Repeat("a/", 600) + "a", ".partial/x",
	}
}

// A key that is taken means a file inside the directory.
func FuzzCheckKey(f *testing.F) {
	for _, key := range append(hostileKeys(), "a", "a/b.jpg", "é/ü", "a b/c+d%2f") {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if upload.CheckKey(key) == nil {
			require.True(t, filepath.IsLocal(key), "%q", key)
			require.Equal(t, key, filepath.ToSlash(filepath.Clean(key)))
		}
	})
}

// What a process that was killed left is no object, and is gone at the next start.
func TestWhatWasLeftUnfinishedIsRemoved(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".partial"), 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".partial", "half"), []byte("half"), 0o600))
	d, err := upload.OpenDirectory(dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	require.NoError(t, d.List(t.Context(), "", func(key string, _ int64) error { return errors.New(key) }))
	require.NoFileExists(t, filepath.Join(dir, ".partial", "half"))
}

// An attempt that is cut off leaves nothing behind.
func TestACancelledPutLeavesNothing(t *testing.T) {
	d, dir := directory(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	body := io.NewSectionReader(cutting{func() { cancel(stop) }}, 0, 1<<20)
	require.ErrorIs(t, d.Put(ctx, "a", "", body), stop)
	entries, err := os.ReadDir(filepath.Join(dir, ".partial"))
	require.NoError(t, err)
	require.Empty(t, entries)
	require.NoFileExists(t, filepath.Join(dir, "a"))
}

// cutting is a body during whose reading something happens.
type cutting struct{ do func() }

func (c cutting) ReadAt(p []byte, _ int64) (int, error) {
	c.do()
	return len(p), nil
}
