package catalog

import (
	bolt "go.etcd.io/bbolt"

	"github.com/millrace-video/millrace/stages/record"
)

// Fill puts closed segments into a database without a journal, many at a time.
func Fill(path, channel string, boot string, segments []record.Segment) error {
	s, err := openStore(path)
	if err != nil {
		return err
	}
	defer func() { _ = s.close() }()
	known := newAnchors()
	return s.update(func(tx *bolt.Tx) error {
		f, err := newFold(tx, channel, known)
		if err != nil {
			return err
		}
		if err := f.anchor(&Anchor{ID: 1, Boot: boot, Start: boot, Number: 1, Trusted: true}); err != nil {
			return err
		}
		for i := range segments {
			if err := f.apply(&line{Kind: lineClosed, Segment: &segments[i]}, 1); err != nil {
				return err
			}
		}
		return f.done(position{})
	})
}
