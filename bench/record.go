package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// Record measures what recording costs: ours, the floor under every recorder, and the peers that are there, one after
// the other in one go.
type Record struct {
	Channels []int         // of each measurement; default 8, 64, 128; 8 in a short run
	Window   time.Duration // in which is measured; default 10 s
	WarmUp   time.Duration // before it, once every camera plays; default 6 s; 3 s in a short run
	Clip     ClipSpec      // default 1080p H.264 of 4.1 Mbit/s and a key frame in 50
	Packets  bool          // cameras write each packet by itself, not each access unit
	Viewers  bool          // ours once more with a live viewer at each camera, and what viewers cost by themselves
	Peers    []string      // ffmpeg, gstreamer, mediamtx; auto: those that are there; none. Default auto
	Capacity []int         // channels to try in this order, until they are too many; nil: not looked for
	Dir      string        // where recordings go for as long as it takes; default the system's temporary folder
	Profile  string        // where ours writes profiles of CPU and memory, which costs; "": nowhere
	Self     Self

	skipped  []string
	clip     *clip
	where    string
	trouble  []string // runs that failed
	starts   map[int]startup
	attempts []attempt
}

// startup is how long ours took to begin: the worst of all runs.
type startup struct{ first, all time.Duration }

func (s startup) worst(m measured) startup {
	return startup{max(s.first, m.first), max(s.all, m.connected)}
}

const (
	fewestChannels = 1
	mostChannels   = 1000
)

// CapacitySteps are the channels that are tried where capacity is looked for.
func CapacitySteps() []int { return []int{256, 300, 350, 400, 450, 500} }

func (b *Record) withDefaults(short bool) {
	channels, window, warmUp := []int{8, 64, 128}, 10*time.Second, 6*time.Second
	if short {
		channels, warmUp = []int{8}, 3*time.Second
	}
	if len(b.Channels) == 0 {
		b.Channels = channels
	}
	b.Window = cmp.Or(b.Window, window)
	b.WarmUp = cmp.Or(b.WarmUp, warmUp)
	b.Clip = b.Clip.withDefaults()
	if b.starts == nil {
		b.starts = map[int]startup{}
	}
}

func (s ClipSpec) withDefaults() ClipSpec {
	if s.Codec == hal.CodecUnknown {
		s.Codec = hal.H264
	}
	if s.Width == 0 {
		s.Width, s.Height = 1920, 1080
	}
	if s.Bitrate == 0 {
		s.Bitrate = 4_100_000
	}
	if s.GOP == 0 {
		s.GOP = 50
	}
	return s
}

// Validate says what is wrong with it.
func (b *Record) Validate() error {
	for _, n := range append(append([]int(nil), b.Channels...), b.Capacity...) {
		if n < fewestChannels || n > mostChannels {
			return fmt.Errorf("%d channels: from %d to %d", n, fewestChannels, mostChannels)
		}
	}
	if b.Window != 0 && (b.Window < time.Second || b.Window > time.Hour) || b.WarmUp < 0 || b.WarmUp > time.Hour {
		return errors.New("a window and a warm-up from 1s to 1h")
	}
	if _, _, err := chosen(b.Peers); err != nil {
		return err
	}
	return b.Clip.withDefaults().validate()
}

func (s ClipSpec) validate() error {
	switch {
	case s.Codec != hal.H264 && s.Codec != hal.H265:
		return fmt.Errorf("codec %s: h264 or h265", s.Codec)
	case s.Width < 160 || s.Height < 112 || s.Width > 3840 || s.Height > 2160 || s.Width%2+s.Height%2 > 0:
		return fmt.Errorf("size %dx%d: even numbers from 160x112 to 3840x2160", s.Width, s.Height)
	case s.Bitrate < 200_000 || s.Bitrate > 50_000_000:
		return fmt.Errorf("bitrate %d: from 200k to 50M", s.Bitrate)
	case s.GOP < 1 || s.GOP > 4*simRate:
		return fmt.Errorf("GOP of %d: from 1 to %d", s.GOP, 4*simRate)
	}
	return nil
}

// About implements Bench.
func (b *Record) About() About {
	writes := "a write for each picture and each piece of sound"
	if b.Packets {
		writes = "a write for each packet"
	}
	return About{
		Name:  "record",
		Title: "What recording costs: CPU, memory, and whether every frame is there",
		Text: "Simulated cameras (a process of their own, not counted; packets prepared beforehand, " + writes + ", " +
			"paced and staggered, put before other processes where that is allowed) are recorded over RTSP/TCP by each recorder in turn. cpu-ms/channel-s is user and system time of all its processes in a window " +
			"after a warm-up, MB its resident memory with shared pages counted once, wakes/channel-s how often its threads waited, late-p99-ms and late-max-ms from " +
			"when a picture or piece of sound was due until the kernel had taken all of it from the camera: the recorder's back-pressure and the simulator's own delay. " +
			"Every file is checked frame by frame, by numbers in the pictures and the sizes of the sounds. The floor reads sockets and writes blocks of 1 MB, and parses nothing.",
		Peers: []string{"ffmpeg", "gst-launch-1.0", "mediamtx"},
	}
}

// Run implements Bench.
func (b *Record) Run(ctx context.Context, r *Report) error {
	b.withDefaults(r.Short())
	if err := b.prepare(ctx, r); err != nil {
		return err
	}
	if len(b.Capacity) > 0 {
		return b.findCapacity(ctx, r)
	}
	all, skipped, err := chosen(b.Peers)
	if err != nil {
		return err
	}
	b.skipped = skipped
	for _, n := range b.Channels {
		for _, one := range all {
			if one.most > 0 && n > one.most {
				continue
			}
			if err := b.measure(ctx, r, one, n, 0); err != nil {
				return err
			}
		}
		if b.Viewers {
			if err := b.measure(ctx, r, ours(), n, 1); err != nil {
				return err
			}
		}
	}
	if b.Viewers { // what a viewer costs: more of them at few cameras
		return b.measure(ctx, r, ours(), b.Channels[0], manyViewers)
	}
	return nil
}

// manyViewers is how many watch each camera where the cost of one is measured.
const manyViewers = 9

func ours() recorder {
	for _, r := range recorders() {
		if r.name == oursName {
			return r
		}
	}
	return recorder{}
}

// prepare makes the clip, once.
func (b *Record) prepare(ctx context.Context, r *Report) (err error) {
	if err = b.Validate(); err != nil {
		return err
	}
	if b.Self, err = b.Self.withDefaults(); err != nil {
		return err
	}
	if b.clip != nil {
		return nil
	}
	r.Tell("record: making %s", b.Clip)
	if b.where, err = findClip(ctx, b.Clip); err != nil {
		return err
	}
	b.clip, err = loadClip(ctx, b.Clip, b.where)
	return err
}

// measure records with one recorder and adds what it found. A peer that fails is told, and is no error.
func (b *Record) measure(ctx context.Context, r *Report, one recorder, channels, viewers int) error {
	name := resultName(one.name, b.Clip, channels, viewers)
	r.Tell("record: %s", name)
	got, err := b.once(ctx, one, channels, viewers)
	if err != nil {
		if ctx.Err() != nil || one.program == "" {
			return err
		}
		b.trouble = append(b.trouble, fmt.Sprintf("%s: %v", name, err))
		return nil
	}
	if one.name == oursName {
		b.starts[channels] = b.starts[channels].worst(got)
	}
	got.add(r, name)
	if one.name == oursName && !got.checked.whole() {
		b.trouble = append(b.trouble, fmt.Sprintf("%s: %s; it said: %s", name, got.checked.String(), got.said))
	}
	return nil
}

func resultName(recorder string, s ClipSpec, channels, viewers int) string {
	name := fmt.Sprintf("Record/recorder=%s/codec=%s/size=%dx%d/channels=%d", recorder, s.Codec, s.Width, s.Height, channels)
	if viewers > 0 {
		name += fmt.Sprintf("/viewers=%d", viewers)
	}
	return name
}

// ParsePeers reads a list of peers.
func ParsePeers(list string) []string { return strings.Split(list, ",") }
