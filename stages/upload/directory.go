package upload

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"
)

// partial is the folder in which an object lies until it is whole.
const partial = ".partial/"

// Directory is a Store in a directory: each object is a file, its key the path. A file appears
// whole and synced to the disk, or not at all; no key leads out of the directory, symbolic links
// included. It serves one process at a time.
type Directory struct {
	path string
	root *os.Root
}

var _ Store = (*Directory)(nil)

// OpenDirectory returns the store in the directory, which is made where it is missing. What an
// earlier process left unfinished there is removed.
func OpenDirectory(dir string) (*Directory, error) {
	full, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("the store's folder %s: %w", dir, err)
	}
	d := &Directory{path: full}
	if err = os.MkdirAll(full, 0o750); err != nil {
		return nil, d.wrong("", err)
	}
	if d.root, err = os.OpenRoot(full); err != nil {
		return nil, d.wrong("", err)
	}
	if err = errors.Join(d.root.RemoveAll(path.Clean(partial)), d.root.MkdirAll(path.Clean(partial), 0o750)); err != nil {
		return nil, errors.Join(d.wrong("", err), d.root.Close())
	}
	return d, nil
}

// Close gives the directory back; the store cannot be used any more.
func (d *Directory) Close() error { return d.root.Close() }

// Put implements Store.
func (d *Directory) Put(ctx context.Context, key, _ string, body *io.SectionReader) error {
	return d.store(ctx, key, body, func(temp string) error {
		err := d.root.Link(temp, key)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		same, err := d.same(key, body)
		if err == nil && !same {
			return &Error{Kind: Conflict, Where: d.path, Key: key}
		}
		return err
	})
}

// Replace implements Store.
func (d *Directory) Replace(ctx context.Context, key, _ string, body *io.SectionReader) error {
	return d.store(ctx, key, body, func(temp string) error { return d.root.Rename(temp, key) })
}

// store writes a whole file beside all others and gives it its place.
func (d *Directory) store(ctx context.Context, key string, body *io.SectionReader, place func(temp string) error) (err error) {
	if err = CheckKey(key); err != nil {
		return &Error{Kind: Invalid, Where: d.path, Err: err}
	}
	temp := partial + rand.Text()
	defer func() {
		if gone := d.root.Remove(temp); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, d.wrong(key, gone))
		}
	}()
	if err = d.write(ctx, temp, body); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return d.wrong(key, err)
	}
	folder := path.Dir(key)
	made, err := d.folders(folder)
	if err == nil {
		err = place(temp)
	}
	if err == nil {
		err = d.sync(append(made, folder)...)
	}
	return d.wrong(key, err)
}

// folders makes those that are missing and returns whose entries have changed by it.
func (d *Directory) folders(folder string) (changed []string, err error) {
	for at := folder; at != "."; at = path.Dir(at) {
		if _, err = d.root.Stat(at); err == nil {
			break
		}
		changed = append(changed, path.Dir(at))
	}
	return changed, d.root.MkdirAll(folder, 0o750)
}

// write makes a file and syncs it.
func (d *Directory) write(ctx context.Context, name string, body *io.SectionReader) (err error) {
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(f, reading(ctx, body))
	switch {
	case err != nil:
		return err
	case n != body.Size():
		return fmt.Errorf("the object has %d bytes where %d were promised", n, body.Size())
	}
	return f.Sync()
}

// reading is the body from its beginning, until ctx is done.
func reading(ctx context.Context, body *io.SectionReader) io.Reader {
	return &until{io.NewSectionReader(body, 0, body.Size()), ctx.Done(), func() error { return context.Cause(ctx) }}
}

type until struct {
	io.Reader
	done <-chan struct{}
	why  func() error
}

func (u *until) Read(p []byte) (int, error) {
	select {
	case <-u.done:
		return 0, u.why()
	default:
		return u.Reader.Read(p)
	}
}

// sync makes what is named in folders outlast a power cut.
func (d *Directory) sync(folders ...string) error {
	for _, folder := range folders {
		f, err := d.root.Open(folder)
		if err != nil {
			return err
		}
		if err = errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// same says whether the bytes at key are the body's.
func (d *Directory) same(key string, body *io.SectionReader) (_ bool, err error) {
	f, err := d.root.Open(key)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil || info.Size() != body.Size() {
		return false, err
	}
	there, ours := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); at < info.Size(); at += int64(len(there)) {
		n := int(min(int64(len(there)), info.Size()-at))
		if _, err = f.ReadAt(there[:n], at); err != nil {
			return false, err
		}
		if _, err = body.ReadAt(ours[:n], at); err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if !bytes.Equal(there[:n], ours[:n]) {
			return false, nil
		}
	}
	return true, nil
}

// Exists implements Store.
func (d *Directory) Exists(_ context.Context, key string) (size int64, found bool, err error) {
	if err = CheckKey(key); err != nil {
		return 0, false, &Error{Kind: Invalid, Where: d.path, Err: err}
	}
	info, err := d.root.Stat(key)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return 0, false, nil
	case err != nil:
		return 0, false, d.wrong(key, err)
	}
	return info.Size(), info.Mode().IsRegular(), nil
}

// List implements Store.
func (d *Directory) List(ctx context.Context, prefix string, each func(key string, size int64) error) error {
	return d.list(ctx, ".", prefix, each)
}

// list walks a folder in the order of whole keys, in which a/b stands behind a.b.
func (d *Directory) list(ctx context.Context, folder, prefix string, each func(string, int64) error) error {
	f, err := d.root.Open(folder)
	if err != nil {
		return d.wrong("", err)
	}
	entries, err := f.ReadDir(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return d.wrong("", err)
	}
	order := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	sort.Slice(entries, func(i, j int) bool { return order(entries[i]) < order(entries[j]) })
	for _, e := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err = d.entry(ctx, path.Join(folder, e.Name()), e, prefix, each); err != nil {
			return err
		}
	}
	return nil
}

func (d *Directory) entry(ctx context.Context, key string, e fs.DirEntry, prefix string, each func(string, int64) error) error {
	switch {
	case e.IsDir():
		if whole := key + "/"; whole == partial || !strings.HasPrefix(whole, prefix) && !strings.HasPrefix(prefix, whole) {
			return nil
		}
		return d.list(ctx, key, prefix, each)
	case !e.Type().IsRegular() || !strings.HasPrefix(key, prefix):
		return nil
	}
	info, err := e.Info()
	switch {
	case errors.Is(err, fs.ErrNotExist): // gone meanwhile
		return nil
	case err != nil:
		return d.wrong(key, err)
	}
	return each(key, info.Size())
}

// Presign implements Store.
func (d *Directory) Presign(_ context.Context, key string, _ time.Duration) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", &Error{Kind: Invalid, Where: d.path, Err: err}
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(d.path, filepath.FromSlash(key)))}).String(), nil
}

// wrong says what an error of the file system means.
func (d *Directory) wrong(key string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Kind: Failed, Where: d.path, Key: key, Err: err}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Kind = DiskFull
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Kind = ReadOnly
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR), errors.Is(err, fs.ErrExist):
		e.Kind = Conflict
	case errors.Is(err, fs.ErrNotExist):
		e.Kind = NoBucket
	case strings.Contains(err.Error(), "path escapes"):
		e.Kind = Invalid
	}
	return e
}
