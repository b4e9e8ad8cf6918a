package hal

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/millrace-video/millrace/pool"
)

// Source yields frames. One goroutine reads.
type Source interface {
	// Stream returns the tracks, known since Open. Later frames may carry another.
	Stream() *Stream
	// Live says whether frames come at their own pace and cannot be held back.
	Live() bool
	// Read blocks until a frame is ready, returns io.EOF itself, not wrapped, when the source
	// ended cleanly and there is no more, and gives up promptly when ctx is done. The caller owns one reference. Tracks come mixed, in
	// about the order of their DTS. Stamp.Run is the engine's; a source leaves it 0.
	Read(ctx context.Context) (Frame, error)
	// Close frees everything but what is still on loan, which stays valid. It ends a Read under
	// way; a second call is harmless.
	Close() error
}

// Urgency is a Source that saves wake-ups while nobody watches.
type Urgency interface {
	// SetUrgent says whether somebody waits for each frame (true) or only a recorder reads. It
	// may be called from any goroutine.
	SetUrgent(urgent bool)
}

// Watcher is a Source that notices silence itself: after Silence at most without a frame its Read returns ErrStalled.
// It knows what waits in a socket and what came that is no frame yet; whoever sees frames alone calls it silent no sooner.
type Watcher interface {
	Silence() time.Duration
}

// KeyFramer is a Source or Encoder that can be asked for a key frame.
type KeyFramer interface {
	RequestKeyFrame()
}

// Reporter is a Source that counts.
type Reporter interface {
	SourceStats() SourceStats
}

// SourceStats is what a source saw since it was opened.
type SourceStats struct {
	Frames    uint64 `json:"frames"`
	Bytes     uint64 `json:"bytes"`
	Lost      uint64 `json:"lost"`      // packets or pictures missing, by their sequence numbers
	Malformed uint64 `json:"malformed"` // packets or units that made no sense
	Dropped   uint64 `json:"dropped"`   // frames the driver let go: no free buffer
	Recovered uint64 `json:"recovered"` // faults that it got over by itself
	Fault     string `json:"fault"`     // the last thing that went wrong with a frame, or what it got over
}

// Options is what the engine gives a source. The zero value works.
type Options struct {
	Transport string        // RTSP: "tcp", "udp", "multicast" or "" (try UDP only where told to: TCP)
	Buffers   int           // raw pictures to allocate; 0 is the driver's choice
	ArenaMax  int           // bytes of encoded frames on loan at once; 0 is the arena's default
	Reserve   *pool.Reserve // where the arena's memory comes from; nil: an arena has its own
	Clock     *Clock
	Log       *slog.Logger
}

// WithDefaults fills in what is nil.
func (o Options) WithDefaults() Options {
	if o.Clock == nil {
		o.Clock = NewClock()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Arena returns an arena of the size that the options ask for.
func (o Options) Arena() *pool.Arena {
	return pool.NewArena(pool.ArenaConfig{Max: o.ArenaMax, Reserve: o.Reserve})
}

// SoundArena is Arena for a track of sound alone, of which little comes: its chunks are small.
func (o Options) SoundArena() *pool.Arena {
	return pool.NewArena(pool.ArenaConfig{Chunk: soundChunk, Max: o.ArenaMax, Reserve: o.Reserve})
}

const soundChunk = 4 << 10

// Driver is known by its name. What else it can do it says by implementing SourceDriver,
// EncoderDriver and Lister.
type Driver interface {
	Name() string
}

// SourceDriver opens sources.
type SourceDriver interface {
	Driver
	// Schemes returns the URL schemes it takes.
	Schemes() []string
	// Check says what is wrong with a URL, without touching the device: a wrong parameter is
	// named with what would be right. The error shows no password.
	Check(u *url.URL) error
	// Open opens the device. ctx bounds the opening alone.
	Open(ctx context.Context, u *url.URL, opts Options) (Source, error)
}

// Awaiter is a SourceDriver that learns when a device is plugged in.
type Awaiter interface {
	// Await returns nil when the device that the URL names has come, and so opening it makes
	// sense; or an error when ctx is done, or where it cannot know.
	Await(ctx context.Context, u *url.URL) error
}

// Lister finds devices.
type Lister interface {
	Devices(ctx context.Context) ([]Device, error)
}

// Device is a camera as its driver describes it before it is opened.
type Device struct {
	URL     string   `json:"url"`
	Driver  string   `json:"driver"`
	Name    string   `json:"name"`
	Bus     string   `json:"bus,omitempty"` // where it is plugged in; stays when the node's number changes
	Formats []Format `json:"formats"`

	Node     string    `json:"node,omitempty"`   // the device node at present
	Serial   string    `json:"serial,omitempty"` // of the device itself, where it has one
	Controls []Control `json:"controls,omitempty"`
}

// Control is a setting of a device: brightness, exposure and the like.
type Control struct {
	Name    string   `json:"name"` // as it stands in a URL
	Kind    string   `json:"kind"` // "int", "bool", "menu", "button", "bits"
	Min     int64    `json:"min"`
	Max     int64    `json:"max"`
	Step    int64    `json:"step"`
	Default int64    `json:"default"`
	Menu    []string `json:"menu,omitempty"` // the items' names from Min on; "" where there is none

	Value *int64 `json:"value,omitempty"` // at present; nil where it cannot be read
}

// Format is one way a device can deliver pictures.
type Format struct {
	Codec  Codec       `json:"-"`
	Pixel  PixelFormat `json:"-"` // where Codec is Raw
	Name   string      `json:"name"`
	Width  int         `json:"width"`
	Height int         `json:"height"`
	Rates  []float64   `json:"rates"` // frames a second, the highest first
}
