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
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
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

// store is the database's file. It outlives a disk that vanishes under its mapping.
type store struct {
	path string

	mu   sync.RWMutex // held for reading while the database is used
	db   *bolt.DB
	file *os.File
}

// openStore opens or makes the database.
func openStore(path string) (*store, error) {
	s := &store{path: path}
	opts := &bolt.Options{
		Timeout: lockWait, FreelistType: bolt.FreelistMapType, NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			s.file = f
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
		if s.file != nil {
			err = errors.Join(err, ignoreClosed(s.file.Close()))
		}
		return nil, fmt.Errorf("%s: %w: %w", path, errDamaged, err)
	case err != nil:
		return nil, fmt.Errorf("open the catalog %s: %w", path, err)
	}
	if err := s.prepared(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), s.close())
	}
	return s, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
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
func (s *store) update(f func(tx *bolt.Tx) error) error {
	return s.use(func(db *bolt.DB) error { return db.Update(f) })
}

// view runs f on one state of the database.
func (s *store) view(f func(tx *bolt.Tx) error) error {
	return s.use(func(db *bolt.DB) error { return db.View(f) })
}

func (s *store) use(f func(db *bolt.DB) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return ErrUnavailable
	}
	return guarded(func() error { return f(s.db) })
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

// close gives the file back.
func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	return guarded(db.Close)
}

// abandon lets go of a database that faulted: its locks may be held for ever, its file's is not.
func (s *store) abandon() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db = nil
	return ignoreClosed(s.file.Close())
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

func getJSON(b *bolt.Bucket, key string, to any) error {
	text := b.Get([]byte(key))
	if text == nil {
		return nil
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return nil
}

func putJSON(b *bolt.Bucket, key string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put([]byte(key), text)
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
