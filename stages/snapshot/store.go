package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
)

// Store keeps objects under keys. Its errors are final: it tries again by itself. upload.Store
// is one, and so is what waits for an upload.Uploader.
type Store interface {
	Put(ctx context.Context, key, contentType string, body *io.SectionReader) error
}

// ToStore returns a receiver that puts each snapshot into a store, under Key.
func ToStore(s Store) Receiver { return toStore{s} } //nolint:ireturn // it has no other side

type toStore struct{ store Store }

// Send implements Receiver.
func (r toStore) Send(ctx context.Context, s Snapshot) error {
	return r.store.Put(ctx, s.Key(), s.ContentType, io.NewSectionReader(bytes.NewReader(s.Data), 0, int64(len(s.Data))))
}

// Key is where a snapshot lies in a store: snapshots/CHANNEL/2026-11-21/14-10-07.123Z-1a2b3c4d.jpg,
// by its time of capture. The last eight digits are of its content, so that another picture never
// has the same key, whatever the wall clock does.
func (s Snapshot) Key() string {
	at := s.Time.UTC()
	kind := "jpg"
	if s.ContentType != jpegType {
		kind = "mp4"
	}
	sum := sha256.Sum256(s.Data)
	return fmt.Sprintf("snapshots/%s/%s/%sZ-%x.%s", s.Channel, at.Format("2006-01-02"), at.Format("15-04-05.000"), sum[:4], kind)
}
