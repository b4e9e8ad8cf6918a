package flv

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/millrace-video/millrace/hal"
)

const (
	flagSound    = 4 // of the file header
	flagPictures = 1
	// maxAwaited bounds the frames that wait until the tracks are known.
	maxAwaited = 256
)

// await reads until the tracks are known: those that the file header announces, but no longer than
// the source's patience, in time or by time stamps, where only some of them come.
func (s *Source) await(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.until(ctx, s.some); err != nil {
		return s.notFound(err)
	}
	patient, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	err := s.until(patient, s.enough)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && patient.Err() == nil:
		s.failed = s.judge(err) // Read says so behind what came
	}
	s.describe()
	return nil
}

// until reads until something is so.
func (s *Source) until(ctx context.Context, so func() bool) error {
	for !so() {
		if err := s.demux.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// some says whether a track is known.
func (s *Source) some() bool { return s.pictures.complete() || s.sound.complete() }

// notFound says what is missing where the stream ends or fails before a track is known.
func (s *Source) notFound(err error) error {
	if names := s.left(); len(names) > 0 {
		return fmt.Errorf("%w: no track of a known codec (%v): H.264, H.265, AV1, AAC and G.711 are taken", hal.ErrUnsupported, names)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errDone) {
		err = fmt.Errorf("%w after %d bytes, before a picture or sound was known", err, s.in.taken)
	}
	if fault := s.stats.fault.Load(); fault != nil {
		return fmt.Errorf("%w; before that: %s", err, *fault)
	}
	return err
}

// enough says whether there is nothing left to wait for.
func (s *Source) enough() bool {
	flags := s.demux.flags & (flagSound | flagPictures)
	pictures := s.pictures.complete() || s.pictures.unwanted != "" || flags == flagSound
	sound := s.sound.complete() || s.sound.unwanted != "" || flags == flagPictures
	return pictures && sound || len(s.ready) >= maxAwaited || max(s.pictures.clock.at, s.sound.clock.at) >= s.patience
}

// describe makes the first stream, of the tracks that are known, pictures first.
func (s *Source) describe() {
	s.admit(&s.pictures)
	s.admit(&s.sound)
	if names := s.left(); len(names) > 0 {
		s.log.Warn("tracks of unknown kind are left out", "source", s.name, "tracks", names)
	}
	for i := range s.ready {
		f := &s.ready[i]
		f.Stream, f.Track = s.stream, s.of(f.Track).index
	}
}

func (s *Source) of(kind int) *track {
	if kind == 0 {
		return &s.pictures
	}
	return &s.sound
}

// left names the codecs that are not taken.
func (s *Source) left() (names []string) {
	for _, t := range []*track{&s.pictures, &s.sound} {
		if t.unwanted != "" {
			names = append(names, t.unwanted)
		}
	}
	return names
}

// admit puts a track's description into the stream, where it is complete and another one than there.
func (s *Source) admit(t *track) {
	if !t.complete() {
		return
	}
	next := &hal.Stream{}
	if s.stream != nil {
		next.Tracks = append(next.Tracks, s.stream.Tracks...)
	}
	switch {
	case t.index < 0:
		t.index = len(next.Tracks)
		next.Tracks = append(next.Tracks, t.Track)
	case next.Tracks[t.index].Equal(t.Track):
		return
	default:
		next.Tracks[t.index] = t.Track
	}
	s.stream = next
	s.current.Store(next)
}
