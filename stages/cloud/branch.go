package cloud

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/pack"
)

// Branch is the stage that packs a channel's stream: H.264 or H.265 and AAC as they come (C2).
type Branch struct {
	ch *Channel

	// The worker's own.
	env    pipeline.Env
	stream *hal.Stream
	movie  *pack.Movie
	head   string // of the movie
	run    uint32
	align  aligner
	open   *parcel
	joined bool          // the next package goes on from the last one
	origin time.Duration // the DTS that is time 0
	at     time.Duration // how far the times of packages have come
	until  time.Duration // DTS up to which the run was packed
	untilR uint32
	packed bool // something of the run untilR was
	said   map[string]bool
}

var (
	_ pipeline.Stage    = (*Branch)(nil)
	_ pipeline.Marked   = (*Branch)(nil)
	_ pipeline.Counting = (*Branch)(nil)
)

// Limit is the bound of a cloud branch: woken twice a second, and only while a service is on.
func Limit() pipeline.Limit {
	return pipeline.Limit{Frames: 4096, Bytes: 16 << 20, Full: pipeline.DropUntilKey, WakeBytes: 512 << 10, WakeAge: 500 * time.Millisecond, OnDemand: true}
}

// A package without a key frame to end at ends all the same, and what follows waits for one.
const (
	longestPackage = 60 * time.Second
	largestPackage = 64 << 20
	// rounding is how far time stamps of one instant may be apart.
	rounding = time.Millisecond
	// longestHole is how long frames that stand alone may be missing within a package.
	longestHole = time.Second
)

// Name implements pipeline.Stage.
func (b *Branch) Name() string { return "cloud" }

// Open implements pipeline.Stage.
func (b *Branch) Open(_ context.Context, env pipeline.Env) error {
	if env.Clock == nil {
		env.Clock = b.ch.cloud.cfg.Clock
	}
	b.env, b.said, b.stream, b.movie, b.open, b.joined = env, map[string]bool{}, nil, nil, nil, false
	b.align.out = b.pack
	return b.ch.opened(env)
}

// Work implements pipeline.Stage.
func (b *Branch) Work(_ context.Context, f hal.Frame) error {
	if f.Stamp.Mono == 0 {
		f.Stamp.Mono = b.env.Clock.Mono()
	}
	if err := b.follow(f); err != nil {
		f.Release()
		return err
	}
	return b.align.add(f)
}

// follow ends what cannot go on with f.
func (b *Branch) follow(f hal.Frame) error {
	changed := b.stream == nil || f.Stamp.Run != b.run || f.Stream != b.stream && !f.Stream.Equal(b.stream)
	if !changed {
		lead := f.Track == b.align.lead
		inter := f.Info().Codec.IsInter()
		if f.Gap && lead && (inter || b.open != nil && f.Stamp.DTS-b.open.last > longestHole) {
			return b.seam()
		}
		return nil
	}
	if err := b.seam(); err != nil {
		return err
	}
	s, err := b.storable(f.Stream)
	if err != nil {
		return err
	}
	b.stream, b.run, b.movie = f.Stream, f.Stamp.Run, nil
	b.align.reset(s, func(track int) bool { return s.Tracks[track].Codec != hal.CodecUnknown }, pack.Lead(s), b.ch.setSize(), b.ch.cfg.Package)
	return nil
}

// storable returns the stream with only what a package can hold.
func (b *Branch) storable(s *hal.Stream) (*hal.Stream, error) {
	only := &hal.Stream{Tracks: make([]hal.Track, len(s.Tracks))}
	for i, t := range s.Tracks {
		switch t.Codec { //nolint:exhaustive // the others are left out
		case hal.H264, hal.H265, hal.AAC:
			only.Tracks[i] = t
		default:
			b.say(fmt.Sprintf("track %d (%s) does not go to the cloud: packages hold H.264, H.265 and AAC", i, t.String()))
		}
	}
	if pack.Lead(only) < 0 {
		return nil, fmt.Errorf("%w: nothing in this stream can go to the cloud: packages hold H.264, H.265 and AAC, not %v", hal.ErrUnsupported, s.Tracks)
	}
	return only, nil
}

// say tells a thing once.
func (b *Branch) say(text string) {
	const most = 64
	if !b.said[text] && len(b.said) < most && b.env.Log != nil {
		b.said[text] = true
		b.env.Log.Warn(text, "channel", b.ch.name)
	}
}

// seam ends the package under way; the next one does not go on from it.
func (b *Branch) seam() error {
	if err := b.align.drain(); err != nil {
		return err
	}
	b.finish(nil)
	b.joined = false
	return nil
}

// pack takes frames in the order of their time stamps.
func (b *Branch) pack(f hal.Frame) error {
	lead := f.Track == b.align.lead
	key := lead && (f.Key || !f.Info().Codec.IsInter())
	switch {
	case b.open == nil:
		return b.await(f, key)
	case !lead && f.Stamp.DTS < b.open.start && !b.open.joined:
		f.Release() // sound from before the first picture
		return nil
	case key && f.Stamp.DTS-b.open.start >= b.ch.cfg.Package-rounding:
		return b.cut(f)
	case lead && b.tooLong(f):
		b.finish(nil)
		b.joined = false
		f.Release()
		return nil
	}
	return b.add(f)
}

// await begins with a key frame, of what was not packed already.
func (b *Branch) await(f hal.Frame, key bool) error {
	again := b.packed && f.Stamp.Run == b.untilR && f.Stamp.DTS <= b.until
	if key && !again {
		return b.begin(f)
	}
	f.Release()
	b.ch.count(func(s *ChannelStats) { s.Skipped++ })
	return nil
}

// tooLong says that the package under way has to end without a key frame. It asks for one first.
func (b *Branch) tooLong(f hal.Frame) bool {
	by := f.Stamp.DTS - b.open.start
	if by >= b.ch.cfg.Package && !b.open.asked && b.env.RequestKeyFrame != nil {
		b.open.asked = true
		b.env.RequestKeyFrame()
	}
	if by < longestPackage && b.open.size() < largestPackage {
		return false
	}
	b.say(fmt.Sprintf("no key frame for %s: a package ended without one and what follows waits for the next; set the camera's key frame interval to 4 s or less", by.Round(time.Second)))
	return true
}

// plan decides how what begins with f is stored; nil where a later key frame must tell.
func (b *Branch) plan(f hal.Frame) (*pack.Movie, error) {
	s, err := b.storable(f.Stream)
	if err != nil {
		return nil, err
	}
	m, err := pack.Plan(s, f)
	if errors.Is(err, pack.ErrNoParameters) {
		b.say("a key frame is not enough to begin with: " + err.Error())
		return nil, nil //nolint:nilnil // neither a movie nor a failure
	}
	if err != nil {
		return nil, err
	}
	if hash := digest(m.Head()); hash != b.head || b.movie == nil {
		b.ch.newHead(hash, m.Head())
		b.joined = b.joined && hash == b.head
		b.head = hash
	}
	b.movie = m
	return m, nil
}

// begin opens a package with a key frame.
func (b *Branch) begin(f hal.Frame) error {
	m, err := b.plan(f)
	if err != nil || m == nil {
		f.Release()
		return err
	}
	if !b.joined {
		b.origin = f.Stamp.DTS - max(b.at, time.Duration(b.env.Clock.Wall(f.Stamp.Mono).UnixNano()))
	}
	b.open = newParcel(m, f, b.origin)
	b.open.joined, b.open.full = b.joined, b.ch.serves(FullTime)
	return b.add(f)
}

// cut ends the package under way before the key frame f, and begins the next one with it.
func (b *Branch) cut(f hal.Frame) error {
	before := b.head
	m, err := b.plan(f)
	if err != nil {
		f.Release()
		return err
	}
	if m == nil {
		return b.add(f)
	}
	next := newParcel(m, f, b.origin)
	next.joined, next.full = before == b.head, b.ch.serves(FullTime)
	b.finish(next)
	b.open = next
	return b.add(f)
}

func (b *Branch) add(f hal.Frame) error {
	if f.Track == b.align.lead {
		b.until, b.untilR, b.packed = f.Stamp.DTS, f.Stamp.Run, true
	}
	if err := b.open.add(f); err != nil {
		b.abandon()
		return fmt.Errorf("cloud: %w", err)
	}
	return nil
}

// finish ends the package under way and hands it to the channel.
func (b *Branch) finish(next *parcel) {
	p := b.open
	if p == nil {
		return
	}
	head := digest(p.packer.Movie().Head())
	p.end(next)
	b.at = p.start + p.length() - b.origin
	b.open = nil
	b.joined = true
	b.ch.made(p, head)
}

func (b *Branch) abandon() {
	if b.open != nil {
		b.open.packer.Discard()
	}
	b.open, b.joined = nil, false
}

// Mark implements pipeline.Marked.
func (b *Branch) Mark(ctx context.Context, m pipeline.Mark) error {
	if m == pipeline.RunEnded {
		return b.Flush(ctx)
	}
	if m != pipeline.Asked {
		return nil
	}
	if !b.ch.wants() { // all services are off: what came goes up
		if err := b.seam(); err != nil {
			return err
		}
	}
	b.ch.claim()
	return nil
}

// Flush implements pipeline.Stage: the package under way ends.
func (b *Branch) Flush(context.Context) error {
	err := b.seam()
	b.stream = nil
	b.ch.ended()
	return err
}

// Close implements pipeline.Stage. What Flush did not finish is given up.
func (b *Branch) Close() error {
	b.ch.closed()
	b.align.discard()
	b.abandon()
	return nil
}

// Stats implements pipeline.Counting.
func (b *Branch) Stats() any { return b.ch.stats() }
