package hal

import (
	"context"
	"log/slog"

	"github.com/millrace-video/millrace/pool"
)

// Decoder turns the access units of one track into pictures: raw ones, or JPEG files where that is
// what it makes; each picture's Stream says. One goroutine uses it.
type Decoder interface {
	// Decode takes an access unit, which stays the caller's, and hands over the pictures that are
	// ready, in the order in which they are shown and each with the Stamp of the unit it comes
	// from; each owns the picture's reference. What must wait for later units comes with those.
	// An error is the unit's, or the first one of each: all up to the next key frame is passed over.
	Decode(ctx context.Context, f Frame, each func(Frame) error) error
	// Drain hands over what was held back. A key frame must follow.
	Drain(ctx context.Context, each func(Frame) error) error
	// Close frees everything but the pictures on loan. A second call is harmless.
	Close() error
}

// DecoderConfig says what a decoder works with.
type DecoderConfig struct {
	Quality int         // of JPEG files, where that is what it makes: 1–100; 0 is 80
	Arena   *pool.Arena // where pictures lie; nil is one of the decoder's own
	Log     *slog.Logger
}

// WithDefaults fills in what is nil.
func (c DecoderConfig) WithDefaults() DecoderConfig {
	if c.Arena == nil {
		c.Arena = pool.NewArena(pool.ArenaConfig{})
	}
	if c.Quality == 0 {
		c.Quality = 80
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
