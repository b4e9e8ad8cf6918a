package hal

import (
	"context"
	"log/slog"

	"github.com/millrace-video/millrace/pool"
)

// Encoder takes raw pictures and yields encoded frames. One goroutine writes, one reads; they
// may be the same only where the encoder says that it has no delay.
type Encoder interface {
	// Write takes a picture and its reference, and waits while the encoder is full.
	Write(ctx context.Context, f Frame) error
	// Read returns the next encoded frame, in the order written, with the Stamp and Gap of the
	// picture it was made from, the marks set and a Stream of the encoder's own. After
	// CloseInput it returns what is left and then io.EOF.
	Read(ctx context.Context) (Frame, error)
	// RequestKeyFrame makes the next picture a key frame.
	RequestKeyFrame()
	// CloseInput says that no picture follows: Read drains.
	CloseInput()
	// Close frees everything but the frames on loan, after which both calls above fail; it ends
	// those under way, whatever goroutine they are on. A second call is harmless.
	Close() error
}

// EncoderConfig says what to encode and how.
type EncoderConfig struct {
	Input    Track    // the raw pictures
	Codec    Codec    // what to make of them
	Bitrate  int      // bits a second; 0 is the encoder's choice for the size and rate
	GOP      int      // pictures from one key frame to the next; 0 is two seconds' worth
	Profile  string   // "baseline", "main", "high"; "" is the encoder's choice
	Quality  int      // JPEG, 1–100; 0 is 80
	Parallel int      // pictures encoded at once where each stands alone (JPEG); 0 is 1
	Prefer   []string // encoders by name, tried first and in this order (H3)

	Workers *pool.Workers // runs the parallel jobs; the caller reserves Parallel of them
	Nice    int           // nice value of those jobs' threads (P5), as far as the system allows it; 0 is the usual one
	Arena   *pool.Arena   // where encoded frames lie; nil is one of the encoder's own
	Clock   *Clock
	Log     *slog.Logger
}

// WithDefaults fills in what is nil or 0 and has a default of its own.
func (c EncoderConfig) WithDefaults() EncoderConfig {
	if c.Quality == 0 {
		c.Quality = 80
	}
	if c.Parallel == 0 {
		c.Parallel = 1
	}
	if c.Arena == nil {
		c.Arena = pool.NewArena(pool.ArenaConfig{})
	}
	if c.Clock == nil {
		c.Clock = NewClock()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Input.TimeScale == 0 {
		c.Input.TimeScale = 90000
	}
	return c
}

// EncoderInfo is an encoder as its driver describes it before it is opened.
type EncoderInfo struct {
	Name     string        `json:"name"`
	Codec    Codec         `json:"-"`
	Inputs   []PixelFormat `json:"-"`
	Rank     int           `json:"rank"` // the highest is taken first; hardware stands at 100 and above
	Hardware bool          `json:"hardware"`
	Detail   string        `json:"detail"` // device node or library
}

// EncoderDriver opens encoders.
type EncoderDriver interface {
	Driver
	// Encoders returns what is usable on this machine now.
	Encoders(ctx context.Context) ([]EncoderInfo, error)
	// OpenEncoder opens one of them by its name.
	OpenEncoder(ctx context.Context, name string, cfg EncoderConfig) (Encoder, error)
}
