package s3test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/upload"
)

// Contract is what every store keeps. It needs one that is empty.
func Contract(t *testing.T, s upload.Store) {
	t.Helper()
	ctx := t.Context()
	t.Run("an object that is put is there", func(t *testing.T) {
		_, found, err := s.Exists(ctx, "a/one.txt")
		require.NoError(t, err)
		require.False(t, found)
		require.NoError(t, s.Put(ctx, "a/one.txt", "text/plain", upload.Bytes([]byte("first"))))
		size, found, err := s.Exists(ctx, "a/one.txt")
		require.NoError(t, err)
		require.True(t, found)
		require.EqualValues(t, 5, size)
	})
	t.Run("the same bytes again count as stored", func(t *testing.T) {
		used := upload.Bytes([]byte("first"))
		_, err := used.Seek(3, io.SeekStart)
		require.NoError(t, err)
		require.NoError(t, s.Put(ctx, "a/one.txt", "text/plain", used))
	})
	t.Run("other bytes at a key that is taken are refused and change nothing", func(t *testing.T) {
		err := s.Put(ctx, "a/one.txt", "text/plain", upload.Bytes([]byte("other")))
		require.ErrorContains(t, err, "another object lies at the key")
		var p interface{ Permanent() bool }
		require.ErrorAs(t, err, &p)
		require.True(t, p.Permanent())
		require.NoError(t, s.Put(ctx, "a/one.txt", "text/plain", upload.Bytes([]byte("first"))))
	})
	t.Run("replace takes the place of what is there", func(t *testing.T) {
		require.NoError(t, s.Replace(ctx, "a/list.m3u8", "", upload.Bytes([]byte("1"))))
		require.NoError(t, s.Replace(ctx, "a/list.m3u8", "", upload.Bytes([]byte("1, 2"))))
		size, _, err := s.Exists(ctx, "a/list.m3u8")
		require.NoError(t, err)
		require.EqualValues(t, 4, size)
	})
	t.Run("an empty object is one", func(t *testing.T) {
		require.NoError(t, s.Put(ctx, "a/empty", "", upload.Bytes([]byte(""))))
		size, found, err := s.Exists(ctx, "a/empty")
		require.NoError(t, err)
		require.True(t, found)
		require.Zero(t, size)
	})
	t.Run("a list is in the order of keys and ends where its reader ends it", func(t *testing.T) {
		for _, key := range []string{"b/2", "b/10", "b.txt", "b/1/x", "ü +%/z"} {
			require.NoError(t, s.Put(ctx, key, "", upload.Bytes([]byte(key))))
		}
		require.Equal(t, []string{"a/empty", "a/list.m3u8", "a/one.txt", "b.txt", "b/1/x", "b/10", "b/2", "ü +%/z"}, keys(ctx, t, s, ""))
		require.Equal(t, []string{"b/1/x", "b/10"}, keys(ctx, t, s, "b/1"))
		require.Empty(t, keys(ctx, t, s, "nothing"))
		enough := errors.New("enough")
		require.ErrorIs(t, s.List(ctx, "", func(string, int64) error { return enough }), enough)
	})
	t.Run("a context that has ended is the error", func(t *testing.T) {
		ended, cancel := context.WithCancelCause(ctx)
		why := errors.New("no more")
		cancel(why)
		require.ErrorIs(t, s.Put(ended, "c", "", upload.Bytes([]byte("c"))), why)
	})
}

func keys(ctx context.Context, t *testing.T, s upload.Store, prefix string) []string {
	t.Helper()
	all := []string{}
	require.NoError(t, s.List(ctx, prefix, func(key string, _ int64) error {
		all = append(all, key)
		return nil
	}))
	return all
}
