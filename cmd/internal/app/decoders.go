package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/stages/upload"
)

// Decoders returns what makes pictures of inter-coded streams here.
func Decoders() soft.Driver { return soft.Driver{} }

// Undecoded says which cameras' pictures cannot be made on this machine, and what to install.
func Undecoded(ctx context.Context, d upload.Decoders) error {
	var errs []error
	for _, c := range []hal.Codec{hal.H264, hal.H265} {
		decoder, err := d.OpenDecoder(ctx, hal.Track{Codec: c}, hal.DecoderConfig{})
		if err == nil {
			err = decoder.Close()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("pictures of %s cameras: %w", c, err))
		}
	}
	return errors.Join(errs...)
}
