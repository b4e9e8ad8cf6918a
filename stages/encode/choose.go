package encode

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-video/millrace/hal"
)

// start opens the best encoder that has not failed too often (H3), and the next one where it
// does not open.
func (s *Stage) start(ctx context.Context) error {
	in := s.source.Tracks[s.track]
	codec, infos, err := s.encoders(ctx)
	errs := []error{err}
	for i, info := range infos {
		if slices.Contains(s.except, info.Name) {
			errs = append(errs, fmt.Errorf("encoder %s was given up", info.Name))
			continue
		}
		one, err := s.open(ctx, in, codec, infos, i)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			errs = append(errs, err)
			s.except = append(s.except, info.Name)
			s.env.Log.Warn("encoder does not open", "encoder", info.Name, "cause", err)
			continue
		}
		return s.enter(one)
	}
	cause := errors.Join(errs...)
	if cause == nil {
		cause = errors.New("there is none any more")
	}
	return fmt.Errorf("%w: no encoder for %s from %s: %w", hal.ErrUnsupported, codec, in, cause)
}

// encoders are those for the codec that is asked for, the best first. Where none is they are for
// H.264, else for JPEG, which always can be made.
func (s *Stage) encoders(ctx context.Context) (hal.Codec, []hal.EncoderInfo, error) {
	codec := s.codec
	if codec == hal.CodecUnknown {
		codec = hal.H264
	}
	infos, err := s.reg.Encoders(ctx, codec, s.cfg.Prefer...)
	if s.codec != hal.CodecUnknown || len(infos) > 0 {
		return codec, infos, err
	}
	if s.using.Load() == nil {
		s.env.Log.Warn("no encoder for H.264: raw pictures become JPEG", "remedy", "install Debian's libopenh264-7", "cause", err)
	}
	infos, err = s.reg.Encoders(ctx, hal.MJPEG, s.cfg.Prefer...)
	return hal.MJPEG, infos, err
}

// open opens encoder i of those there are.
func (s *Stage) open(ctx context.Context, in hal.Track, codec hal.Codec, infos []hal.EncoderInfo, i int) (*session, error) {
	info := infos[i]
	fit, err := newFitter(s.cfg, in, info)
	if err != nil {
		return nil, fmt.Errorf("encoder %s: %w", info.Name, err)
	}
	var others []string
	for _, o := range infos {
		if o.Name != info.Name {
			others = append(others, o.Name)
		}
	}
	enc, info, err := s.reg.OpenEncoder(ctx, hal.EncoderConfig{
		Input: fit.track(), Codec: codec,
		Bitrate: s.cfg.Bitrate, GOP: s.cfg.GOP, Profile: s.cfg.Profile, Quality: s.cfg.Quality,
		Parallel: s.cfg.Parallel, Workers: s.env.Workers, Nice: s.cfg.Nice,
		Arena: s.arena, Clock: s.env.Clock, Log: s.env.Log,
	}, others...)
	if err != nil {
		return nil, err
	}
	return &session{Encoder: enc, info: info, fit: fit, done: make(chan struct{})}, nil
}

// enter makes one the encoder in use and hands it to the reader.
func (s *Stage) enter(one *session) error {
	s.outlet.begin(s.source, s.track)
	select {
	case s.entry <- one:
	case <-s.reading:
		return errors.Join(s.fell, one.Close())
	}
	s.current = one
	if old := s.using.Swap(&one.info); old == nil || old.Name != one.info.Name {
		s.env.Log.Info("encoder in use", "encoder", one.info.Name, "detail", one.info.Detail, "input", one.fit.track().String())
	}
	return nil
}

// fail notes that the encoder in use failed, in err or where it is read, and puts it away. What
// failed behind the stage, or the reader itself, is the stage's own error.
func (s *Stage) fail(err error) error {
	one := s.current
	s.drop()
	if fell := s.readerFell(); fell != nil {
		return fell
	}
	if one.passing != nil {
		return one.passing
	}
	if one.err != nil {
		err = one.err
	}
	s.gap = true
	s.count.failures.Add(1)
	if one.delivered.Load() >= settled {
		s.failures[one.info.Name] = 0
	}
	s.failures[one.info.Name]++
	times := s.failures[one.info.Name]
	if times >= patience {
		s.except = append(s.except, one.info.Name)
	}
	s.env.Log.Warn("encoder failed", "encoder", one.info.Name, "cause", err, "times", times, "given_up", times >= patience)
	return s.outlet.end(false)
}

// readerFell returns why the reader left before it was told to.
func (s *Stage) readerFell() error {
	select {
	case <-s.reading:
		if s.fell == nil {
			return errors.New("the encoder's reader has left")
		}
		return s.fell
	default:
		return nil
	}
}

// drop closes the encoder in use and waits until nothing comes from it any more. Pictures that
// are still in it are lost.
func (s *Stage) drop() {
	one := s.current
	if one == nil {
		return
	}
	s.current = nil
	one.dropped.Store(true)
	if err := one.Close(); err != nil {
		s.env.Log.Warn("encoder does not close", "encoder", one.info.Name, "cause", err)
	}
	select {
	case <-one.done:
	case <-s.reading:
	}
	if out := one.delivered.Load() + one.missed.Load(); out < one.written {
		s.count.lost.Add(one.written - out)
	}
}
