// Package config turns a YAML file into a validated configuration of the appliance. It is
// strict: what it does not know or cannot use is an error with file, line, column and what
// would be right, all of them at once. It is the only package that reads YAML.
package config

import (
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/event"
)

// Config is the whole of a configuration. Default returns what holds where a file says nothing.
type Config struct {
	Data   string // folder of the recordings, one folder a channel in it; default "millrace-data"
	Listen string // address of the API, on this machine only; default "127.0.0.1:8080"
	Log    Log
	RTSP   RTSP
	Engine Engine
	Disk   Disk
	Store  Store
	Uplink Uplink
	Spool  Spool

	Snapshots Snapshots

	// Channels are the cameras. A file names at least one.
	Channels []Channel

	secrets []string // what Scrub hides
}

// Log says what is logged and how.
type Log struct {
	Level  string // debug, info, warn or error; default info
	Format string // text or json; default text
}

// RTSP is the live server.
type RTSP struct {
	Enabled    bool          // default true
	Listen     string        // default "127.0.0.1:8554"; other machines reach it only where this says so
	UDP        string        // what RTP over UDP is sent from, its port even; "off": TCP alone; default: ports the system chooses
	MaxReaders int           // players at once, of all channels; default 64
	DropAfter  time.Duration // a player that takes nothing for that long is dropped; default 10 s
}

// Engine is the limits of all channels together.
type Engine struct {
	Workers     int           // threads of all channels; default 65,536
	Replay      int64         // bytes since the last key frame kept for who starts watching; default 2 MiB
	InitTimeout time.Duration // for opening one stage; default 10 s
	ExitTimeout time.Duration // for the ordered exit of everything; default 10 s
}

// Disk is the budget of all recordings.
type Disk struct {
	MaxBytes int64 // of all channels; default 0: no limit
	MinFree  int64 // of each file system with recordings; default 0: 5 % of it, at most 10 GB
}

// Channel is one camera.
type Channel struct {
	Name         string
	Sources      []Source      // the preferred one first
	CloseOnPause bool          // pause: close; default keep: the source stays alive while paused
	Settle       time.Duration // how long a better source must deliver before it is taken back; default 2 s
	OpenTimeout  time.Duration // for opening a source; default 10 s
	Buffers      int           // raw pictures to allocate; default 0: the driver's choice
	Nice         int           // of the reading thread, −20 to 19; default 0
	Encode       Encode
	Record       Record
	Live         Live
	Frames       Frames
	Cloud        Cloud
	Events       Events
	Snapshot     Snapshot
}

// Events says what becomes of a channel's triggers.
type Events struct {
	Enabled    bool                 // default true
	Interval   time.Duration        // from an event's first trigger until it closes; default 180 s
	Minimum    time.Duration        // recorded after the last trigger; default 8 s
	Pre        time.Duration        // recorded from before a trigger; default 5 s
	Waiting    int                  // events that may wait to be done; default 0: no limit
	Priorities map[event.Source]int // of pictures; default: each source's own number
	Record     bool                 // record events alone, where the channel is not recorded; default false
	Ring       int64                // bytes of footage from before a trigger, where events alone are recorded; default 16 MiB
	Motion     Motion
	Pictures   Pictures
}

// Pictures are those that events ask for. They go to the store.
type Pictures struct {
	Enabled bool // where Said
	Said    bool // somebody said so; default: as cloud.events
	Width   int  // default 0: as snapshots.width
}

// Motion is the appliance's own detector.
type Motion struct {
	Enabled     bool          // default false
	Sensitivity int           // 1 to 100; default 50
	Area        float64       // percent of the picture; default 1
	Rate        float64       // pictures looked at a second; default 5
	Hold        time.Duration // how long nothing must move for motion to be over; default 2 s
}

// Source is one place a channel's frames can come from.
type Source struct {
	URL       string // complete, with its secrets: never to be shown
	Shown     string // the same without its secrets
	Transport string // RTSP: tcp, udp or multicast; default "": TCP
}

// Encode says what becomes of raw pictures. Encoded ones pass untouched.
type Encode struct {
	Codec    hal.Codec // h264, h265 or mjpeg; default, CodecUnknown: h264 where an encoder is there, else mjpeg
	Bitrate  int       // bits a second; default 0: the encoder's choice for the size and rate
	GOP      int       // pictures from one key frame to the next; default 0: two seconds' worth
	Profile  string    // baseline, main or high; default "": the encoder's choice
	Quality  int       // of mjpeg, 1 to 100; default 0: 80
	Parallel int       // pictures of mjpeg encoded at once; default 1
	Prefer   []string  // encoders by name, tried first and in this order; default none
	Crop     Rectangle // what part of the picture; default all of it
	Scale    Size      // to what size; default as it comes
	Nice     int       // of the encoding thread, −20 to 19; default −5, for which 0 stands too
}

// Rectangle is a part of a picture, in pixels. The zero value is all of it.
type Rectangle struct{ X, Y, Width, Height int }

// Size is a picture's, in pixels. The zero value is none.
type Size struct{ Width, Height int }

// Record says what of a channel goes to disk.
type Record struct {
	Enabled          bool            // default true
	Dir              string          // default: the channel's name, in the data folder
	SegmentDuration  time.Duration   // a file is cut at the next key frame; default 10 min
	SegmentBytes     int64           // and at this size; default 1 GB
	Ring             int64           // bytes that wait for a slow disk at most; default 64 MiB
	Growth           pipeline.Growth // of the ring; it starts at 1 MiB
	Read             pipeline.Pace   // of the ring's reader
	FragmentDuration time.Duration   // what is written at a time, and so lost where the program is killed; default 1 s
	Sync             time.Duration   // what a power cut can take; 1 ns: one fragment; −1: one file; default 5 s
	OnCommand        bool            // wait for a command to record; default false
	Merge            string          // of a recording that has ended: remove its parts, keep them, or off; default "remove"
	MergeBytes       int64           // a larger recording stays in its parts; default 4 GB
	Resume           time.Duration   // after silence, new data goes on in the same file for that long; default 60 s
	Keep             time.Duration   // what is older goes; default 0: as long as there is room
	MaxBytes         int64           // of the channel; default 0: no limit
	KeepEvents       time.Duration   // what an event pinned goes last for that long; default 30 days
}

// Live says how a channel is watched.
type Live struct {
	Enabled bool            // default true
	Frames  int             // that wait for the server at most; default 2,048
	Bytes   int64           // of them; default 8 MiB
	Full    pipeline.Policy // what happens then; default drop-until-key
}

const day = 24 * time.Hour

// Default returns the configuration that holds where nothing else is said. It has no channel.
func Default() Config {
	return Config{
		Data: "millrace-data", Listen: "127.0.0.1:8080",
		Log:  Log{Level: "info", Format: "text"},
		RTSP: RTSP{Enabled: true, Listen: "127.0.0.1:8554", MaxReaders: 64, DropAfter: 10 * time.Second},
		Engine: Engine{
			Workers: 65536, Replay: 2 << 20, InitTimeout: 10 * time.Second, ExitTimeout: 10 * time.Second,
		},
		Store: Store{Kind: "directory", Parallel: 64, Retries: 30, Memory: 64 << 20},
		Spool: Spool{MaxBytes: 10_000_000_000},
	}
}

// DefaultChannel returns a channel of that name with these sources and every default.
func DefaultChannel(name string, sources ...Source) Channel {
	return Channel{
		Name: name, Sources: sources, Settle: 2 * time.Second, OpenTimeout: 10 * time.Second,
		Encode: Encode{Parallel: 1},
		Record: Record{
			Enabled: true, SegmentDuration: 10 * time.Minute, SegmentBytes: 1_000_000_000, FragmentDuration: time.Second, Ring: 64 << 20, Growth: pipeline.Growth{Start: 1 << 20},
			Sync: 5 * time.Second, Merge: "remove", MergeBytes: 4_000_000_000, Resume: time.Minute, KeepEvents: 30 * day,
		},
		Live:   Live{Enabled: true, Frames: 2048, Bytes: 8 << 20, Full: pipeline.DropUntilKey},
		Frames: Frames{Every: 1, Group: 50, Quality: 80},
		Events: Events{
			Enabled: true, Interval: event.DefaultInterval, Minimum: event.DefaultMinimum, Pre: event.DefaultPre, Ring: 16 << 20,
			Motion: Motion{Sensitivity: 50, Area: 1, Rate: 5, Hold: 2 * time.Second},
		},
		Cloud:    Cloud{FullTime: true, Package: 4 * time.Second, PackageBytes: 512 << 10},
		Snapshot: Snapshot{Enabled: true},
	}
}

// FromURL returns the source of a URL that has no secrets but its password.
func FromURL(url string) Source { return Source{URL: url, Shown: hal.Redact(url)} }
