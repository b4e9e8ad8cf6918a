package upload

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Store keeps objects under keys. Its errors are of type *Error, but for those of a context
// that ended. It is safe for concurrent use.
type Store interface {
	// Put stores an object at a key where none lies yet. The body is read from its beginning,
	// more than once where need be, and is the caller's again when Put returns. Where the same
	// bytes lie at the key already that counts as stored, so that an attempt that is repeated
	// never makes a second object; other bytes there are an error of the kind Conflict.
	Put(ctx context.Context, key, contentType string, body *io.SectionReader) error
	// Replace stores an object in place of the one at key, if there is one. A reader sees the
	// old one or the new one, whole.
	Replace(ctx context.Context, key, contentType string, body *io.SectionReader) error
	// Exists returns the size of the object at key, and whether there is one.
	Exists(ctx context.Context, key string) (size int64, found bool, err error)
	// List calls each for every object whose key begins with prefix, in the order of their keys,
	// until one call fails, and returns that error as it is.
	List(ctx context.Context, prefix string, each func(key string, size int64) error) error
	// Presign returns a URL by which the object can be read for so long without credentials (a
	// directory needs none); with 0 it is the plain URL, for who has them. Nothing is asked of
	// the store's server.
	Presign(ctx context.Context, key string, valid time.Duration) (string, error)
}

// Bytes returns a body that lies in memory.
func Bytes(b []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))
}

// maxKey is S3's own limit in bytes.
const maxKey = 1024

// maxName is how long a part of a key between slashes may be: a file's name in a directory.
const maxName = 255

// CheckKey says what is wrong with a key. A good one is a path of names between single slashes,
// none of them "." or "..", without control characters, and so means the same in every store.
func CheckKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("an object without a key")
	case len(key) > maxKey:
		return fmt.Errorf("the key %.40q… is longer than %d bytes", key, maxKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("the key %q is not UTF-8", key)
	case strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return fmt.Errorf("the key %q has a control character or a backslash", key)
	}
	for name := range strings.SplitSeq(key, "/") {
		switch {
		case name == "" || name == "." || name == "..":
			return fmt.Errorf("the key %q: it must be names between single slashes, none of them a dot or two", key)
		case len(name) > maxName:
			return fmt.Errorf("the key %q has a name of more than %d bytes", key, maxName)
		}
	}
	if strings.HasPrefix(key, partial) {
		return fmt.Errorf("the key %q begins with %s, where what is under way lies", key, partial)
	}
	return nil
}
