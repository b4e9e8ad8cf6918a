package snapshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

var (
	// ErrNoChannel says that the service makes no pictures of a channel of that name.
	ErrNoChannel = errors.New("no snapshots of this channel")
	// ErrNoKeyFrame says that no picture came in time: the channel does not run, or its key
	// frames are far apart.
	ErrNoKeyFrame = errors.New("no key frame came in time")
	// ErrNoPictures says that the channel's stream has sound only.
	ErrNoPictures = errors.New("the stream has no pictures")
	// ErrBusy says that too much is asked at once.
	ErrBusy = errors.New("too many snapshots at once")
)

// Snapshot is one picture of a channel. Its bytes are shared, not to be changed.
type Snapshot struct {
	Channel     string
	Data        []byte
	ContentType string // image/jpeg; video/mp4 where the key frame could not be decoded
	Width       int    // pixels; 0 where the camera itself made the picture and nobody looked
	Height      int
	Time        time.Time // of capture
	Way         Way
	Cause       string // of Way Page and KeyFrame: why it is no better
}

// Way is how a snapshot was made.
type Way string

// The ways, the better ones first.
const (
	Passed   Way = "passed"    // the camera's own JPEG from its stream
	Raw      Way = "raw"       // from a raw picture
	Decoded  Way = "decoded"   // from a key frame
	Page     Way = "page"      // from the camera's snapshot URL
	KeyFrame Way = "key-frame" // the key frame itself, as an MP4 of one frame
)

// Encoders opens JPEG encoders. *hal.Registry is one.
type Encoders interface {
	OpenEncoder(ctx context.Context, cfg hal.EncoderConfig, except ...string) (hal.Encoder, hal.EncoderInfo, error)
}

// Decoder makes a raw picture, in the arena, of a key frame, which stays the caller's. It is
// safe for concurrent use. What it cannot decode at all is hal.ErrUnsupported or ErrNoDevice.
type Decoder interface {
	DecodeKey(ctx context.Context, key hal.Frame, arena *pool.Arena) (hal.Frame, error)
}

// Config is a Service's settings.
type Config struct {
	Encoders Encoders
	Decoders []Decoder // tried in this order

	Quality  int           // of JPEGs made here, 1–100; default 80
	Width    int           // of pictures for which nobody names another; default: as they come; narrower ones stay
	Timeout  time.Duration // for one snapshot; default 10 s
	Memory   int           // bytes of key frames and pictures that are kept; default 64 MiB, at least 16 MiB
	Parallel int           // pictures made at once; default 2

	HTTP   *http.Client // asks cameras; default: one of the service's own
	Clock  *hal.Clock   // default: the system's
	Logger *slog.Logger // default: silent
}

// maxKeyFrame bounds a key frame that is copied, maxPage what a camera's page answers.
const (
	maxKeyFrame = 8 << 20
	maxPage     = 8 << 20
)

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.Quality, 80)
	def(&c.Memory, 64<<20)
	def(&c.Parallel, 2)
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Transport: &http.Transport{MaxIdleConns: 64, IdleConnTimeout: 90 * time.Second, ResponseHeaderTimeout: 10 * time.Second}}
	}
	if c.Clock == nil {
		c.Clock = hal.NewClock()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// The limits of a picture's width and quality.
const (
	MinWidth = 16
	MaxWidth = 16384
)

// CheckWidth says what is wrong with a width; 0 is as it comes.
func CheckWidth(width int) error {
	if width != 0 && (width < MinWidth || width > MaxWidth) {
		return fmt.Errorf("a picture %d pixels wide: %d to %d", width, MinWidth, MaxWidth)
	}
	return nil
}

// Validate says what is wrong with a configuration.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.Encoders == nil:
		return errors.New("snapshots need who opens an encoder")
	case c.Quality < 1 || c.Quality > 100:
		return fmt.Errorf("a quality of %d: 1 to 100", c.Quality)
	case c.Memory < 16<<20:
		return fmt.Errorf("%d bytes of memory for snapshots: at least 16 MiB", c.Memory)
	case c.Parallel < 1 || c.Parallel > 64:
		return fmt.Errorf("%d pictures made at once: 1 to 64", c.Parallel)
	case c.Timeout < 0:
		return fmt.Errorf("a snapshot within %s", c.Timeout)
	}
	return CheckWidth(c.Width)
}

// CheckURL says what is wrong with the URL of a camera's snapshot page or of a receiver. The
// error shows no password.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("not a URL: a special character in user or password must be written as %XX")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("is %.20q: a URL that begins with http:// or https://", u.Scheme)
	case u.Hostname() == "":
		return errors.New("names no host")
	}
	return nil
}
