package upload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// jpegMaker makes a JPEG of a frame, in memory of its own: the frame's is the camera's.
type jpegMaker struct {
	encoders Encoders
	quality  int
	clock    *hal.Clock
	log      *slog.Logger

	encoder hal.Encoder
	input   *hal.Track // what it was opened for
}

// encodeTime is how long an encoder may take for one picture.
const encodeTime = 10 * time.Second

// picture returns the JPEG. The frame stays the caller's.
func (j *jpegMaker) picture(ctx context.Context, f hal.Frame) ([]byte, error) {
	if f.Info().Codec == hal.MJPEG {
		return bytes.Clone(f.Buf.Bytes()), nil
	}
	if err := j.ready(ctx, f.Info()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, encodeTime)
	defer cancel()
	if err := j.encoder.Write(ctx, f.Retain()); err != nil {
		return nil, errors.Join(err, j.close())
	}
	out, err := j.encoder.Read(ctx)
	if err != nil {
		return nil, errors.Join(err, j.close())
	}
	defer out.Release()
	return bytes.Clone(out.Buf.Bytes()), nil
}

// ready sees to it that there is an encoder for pictures like this.
func (j *jpegMaker) ready(ctx context.Context, track *hal.Track) error {
	if j.encoder != nil && j.input.Width == track.Width && j.input.Height == track.Height && j.input.Layout == track.Layout {
		return nil
	}
	if err := j.close(); err != nil {
		return err
	}
	if j.encoders == nil {
		return fmt.Errorf("%w: raw pictures, and no encoder to make JPEG of them", hal.ErrUnsupported)
	}
	encoder, info, err := j.encoders.OpenEncoder(ctx, hal.EncoderConfig{Input: *track, Codec: hal.MJPEG, Quality: j.quality, Clock: j.clock, Log: j.log})
	if err != nil {
		return err
	}
	j.log.Debug("pictures are made by", "encoder", info.Name)
	j.encoder, j.input = encoder, track
	return nil
}

func (j *jpegMaker) close() error {
	if j.encoder == nil {
		return nil
	}
	err := j.encoder.Close()
	j.encoder = nil
	return err
}
