package catalog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

var (
	// ErrInUse says that another program has the catalog open.
	ErrInUse = errors.New("another millrace has the catalog open")
	// ErrUnavailable says that the catalog cannot be read now: its disk is gone, or fails.
	ErrUnavailable = errors.New("the catalog is not available")

	errDamaged = errors.New("the catalog is damaged")
)

const (
	fileMode = 0o644
	dirMode  = 0o755
	lockWait = time.Second
	layout   = "1" // of the database
)

// The buckets. Those of a channel stand in one named after it.
const (
	bucketMeta     = "meta"
	bucketAnchors  = "anchors"
	bucketChannels = "channels"

	bucketItems  = "items"
	bucketWalls  = "walls"
	bucketPins   = "pins"
	bucketPieces = "pieces" // how many live lines a piece of the journal has
	bucketUnlink = "unlink" // files that are given up and may still be there
)

const (
	keyLayout = "layout"
	keyState  = "state"
)

// store is the database's file. A disk that vanishes under its mapping makes errors, once, and
// then none but the word that it is over.
type store struct {
	path  string
	db    *bolt.DB
	files []*os.File  // that bbolt opened
	dead  atomic.Bool // it faulted: its locks may be held for ever

	begins sync.Mutex // held while a transaction begins, so that nobody waits for a lock that died
}

// openStore opens or makes the database.
func openStore(path string) (*store, error) {
	s := &store{path: path}
	opts := &bolt.Options{
		Timeout: lockWait, FreelistType: bolt.FreelistMapType, NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			if err == nil {
				s.files = append(s.files, f)
			}
			return f, err
		},
	}
	err := guarded(func() (err error) {
		s.db, err = bolt.Open(path, fileMode, opts)
		return err
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("%s: %w: end it first, or ask it (--api)", path, ErrInUse)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, errDamaged):
		err = errors.Join(err, s.closeFiles())
		return nil, fmt.Errorf("%s: %w: %w", path, errDamaged, err)
	case err != nil:
		return nil, fmt.Errorf("open the catalog %s: %w", path, err)
	}
	if err := s.prepared(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), s.close())
	}
	return s, nil
}

// closeFiles closes what bbolt has left open.
func (s *store) closeFiles() error {
	var errs []error
	for _, f := range s.files {
		// The mapping keeps the file, and with it the lock.
		if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil && !errors.Is(err, unix.EBADF) {
			errs = append(errs, err)
		}
		if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// prepared looks whether a database has what it needs, and gives it to a new one.
func (s *store) prepared() error {
	old := false
	err := s.view(func(tx *bolt.Tx) error {
		meta := tx.Bucket([]byte(bucketMeta))
		old = meta != nil && string(meta.Get([]byte(keyLayout))) == layout
		return nil
	})
	if err != nil || old {
		return err
	}
	return s.update(prepare)
}

// prepare makes what a new database needs, and looks whether an old one is of this layout.
func prepare(tx *bolt.Tx) error {
	for _, name := range []string{bucketMeta, bucketAnchors, bucketChannels} {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	meta := tx.Bucket([]byte(bucketMeta))
	switch have := meta.Get([]byte(keyLayout)); {
	case have == nil:
		return meta.Put([]byte(keyLayout), []byte(layout))
	case string(have) != layout:
		return fmt.Errorf("%w: of layout %.20q, not %s", errDamaged, have, layout)
	}
	return nil
}

// update runs f in one transaction that is durable when update returns nil.
func (s *store) update(f func(tx *bolt.Tx) error) error { return s.use(true, f) }

// view runs f on one state of the database.
func (s *store) view(f func(tx *bolt.Tx) error) error { return s.use(false, f) }

func (s *store) use(write bool, f func(tx *bolt.Tx) error) error {
	tx, err := s.begin(write)
	if err != nil {
		return err
	}
	return s.guard(func() error {
		if err := f(tx); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		if write {
			return tx.Commit()
		}
		return tx.Rollback()
	})
}

func (s *store) begin(write bool) (tx *bolt.Tx, err error) {
	s.begins.Lock()
	defer s.begins.Unlock()
	if s.dead.Load() {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, errDamaged)
	}
	err = s.guard(func() error {
		tx, err = s.db.Begin(write)
		return err
	})
	return tx, err
}

// guard is guarded for what uses the database, which is dead after a panic.
func (s *store) guard(f func() error) error {
	done := false
	err := guarded(func() error {
		err := f()
		done = true
		return err
	})
	if !done {
		s.dead.Store(true)
	}
	return err
}

// guarded turns a fault of the mapping (a disk that is gone) and a damaged page, at which bbolt
// panics, into errors.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	return f()
}

// close gives the file back, when nobody uses it any longer. Of one that is dead only the file is
// closed, which ends its lock.
func (s *store) close() error {
	if s.dead.Load() {
		return s.closeFiles()
	}
	return s.guard(s.db.Close)
}

// channelBucket returns a channel's bucket; nil where there is none.
func channelBucket(tx *bolt.Tx, name string) *bolt.Bucket {
	return tx.Bucket([]byte(bucketChannels)).Bucket([]byte(name))
}

// makeChannel makes a channel's buckets where they are missing.
func makeChannel(tx *bolt.Tx, name string) (*bolt.Bucket, error) {
	b, err := tx.Bucket([]byte(bucketChannels)).CreateBucketIfNotExists([]byte(name))
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{bucketItems, bucketWalls, bucketPins, bucketPieces, bucketUnlink} {
		if _, err := b.CreateBucketIfNotExists([]byte(sub)); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func getState(b *bolt.Bucket, to *state) error {
	text := b.Get([]byte(keyState))
	if text == nil {
		return nil
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return nil
}

func putState(b *bolt.Bucket, v *state) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put([]byte(keyState), text)
}

// oldestPiece returns the number of the oldest piece of a channel's journal that says something
// still true; 0 where none does.
func (s *store) oldestPiece(channel string) (piece uint32, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		if b := channelBucket(tx, channel); b != nil {
			if k, _ := b.Bucket([]byte(bucketPieces)).Cursor().First(); len(k) == 4 {
				piece = binary.BigEndian.Uint32(k)
			}
		}
		return nil
	})
	return piece, err
}
