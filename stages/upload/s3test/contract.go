package s3test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Store is what the contract is about: upload.Store.
type Store interface {
	Put(ctx context.Context, key, contentType string, body *io.SectionReader) error
	Replace(ctx context.Context, key, contentType string, body *io.SectionReader) error
	Exists(ctx context.Context, key string) (size int64, found bool, err error)
	List(ctx context.Context, prefix string, each func(key string, size int64) error) error
	Presign(ctx context.Context, key string, valid time.Duration) (string, error)
}

func body(text string) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader([]byte(text)), 0, int64(len(text)))
}

// Contract is what every store keeps. It needs one that is empty.
func Contract(t *testing.T, s Store) {
	t.Helper()
	ctx := t.Context()
	t.Run("an object that is put is there", func(t *testing.T) {
		_, found, err := s.Exists(ctx, "a/one.txt")
		require.NoError(t, err)
		require.False(t, found)
		require.NoError(t, s.Put(ctx, "a/one.txt", "text/plain", body("first")))
		size, found, err := s.Exists(ctx, "a/one.txt")
		require.NoError(t, err)
		require.True(t, found)
		require.EqualValues(t, 5, size)
	})
	t.Run("the same bytes again count as stored", func(t *testing.T) {
		used := body("first")
		_, err := used.Seek(3, io.SeekStart)
		require.NoError(t, err)
		require.NoError(t, s.Put(ctx, "a/one.txt", "text/plain", used))
	})
	t.Run("other bytes at a key that is taken are refused and change nothing", func(t *testing.T) {
		err := s.Put(ctx, "a/one.txt", "text/plain", body("other"))
		require.ErrorContains(t, err, "another object lies at the key")
		var p interface{ Permanent() bool }
		require.ErrorAs(t, err, &p)
		require.True(t, p.Permanent())
		require.NoError(t, s.Put(ctx, "a/one.txt", "text/plain", body("first")))
	})
	t.Run("replace takes the place of what is there", func(t *testing.T) {
		require.NoError(t, s.Replace(ctx, "a/list.m3u8", "", body("1")))
		require.NoError(t, s.Replace(ctx, "a/list.m3u8", "", body("1, 2")))
		size, _, err := s.Exists(ctx, "a/list.m3u8")
		require.NoError(t, err)
		require.EqualValues(t, 4, size)
	})
	t.Run("an empty object is one", func(t *testing.T) {
		require.NoError(t, s.Put(ctx, "a/empty", "", body("")))
		size, found, err := s.Exists(ctx, "a/empty")
		require.NoError(t, err)
		require.True(t, found)
		require.Zero(t, size)
	})
	t.Run("a list is in the order of keys and ends where its reader ends it", func(t *testing.T) {
		for _, key := range []string{"b/2", "b/10", "b.txt", "b/1/x", "ü +%/z"} {
			require.NoError(t, s.Put(ctx, key, "", body(key)))
		}
		require.Equal(t, []string{"a/empty", "a/list.m3u8", "a/one.txt", "b.txt", "b/1/x", "b/10", "b/2", "ü +%/z"}, keys(t, s, ""))
		require.Equal(t, []string{"b/1/x", "b/10"}, keys(t, s, "b/1"))
		require.Empty(t, keys(t, s, "nothing"))
		enough := errors.New("enough")
		require.ErrorIs(t, s.List(ctx, "", func(string, int64) error { return enough }), enough)
	})
	t.Run("a context that has ended is the error", func(t *testing.T) {
		ended, cancel := context.WithCancelCause(ctx)
		why := errors.New("no more")
		cancel(why)
		require.ErrorIs(t, s.Put(ended, "c", "", body("c")), why)
	})
}

func keys(t *testing.T, s Store, prefix string) []string {
	t.Helper()
	all := []string{}
	require.NoError(t, s.List(t.Context(), prefix, func(key string, _ int64) error {
		all = append(all, key)
		return nil
	}))
	return all
}
