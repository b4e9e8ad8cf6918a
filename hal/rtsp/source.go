package rtsp

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/pion/rtcp"

	"github.com/millrace-video/millrace/hal"
)

const (
	// firstWait is how long the first packet may take.
	firstWait = 8 * time.Second
	// keyWait is how long a key frame may take while others come.
	keyWait = 60 * time.Second
	// soundAlone: pictures that do not begin hold the sound back no longer.
	soundAlone = 10 * time.Second
	// minStall and stallFrames: nothing for so long is a stall.
	minStall    = 2 * time.Second
	stallFrames = 10
	// pliEvery is how often a camera is asked for a key frame at most.
	pliEvery = time.Second
)

// feed brings packets to the tracks.
type feed interface {
	// step waits for packets and hands them to their tracks, or finds that nothing came for a
	// while. It gives up when ctx is done. What came before seen has been handed on: silence is
	// certain up to then, and not up to now, where this program itself was late.
	step(ctx context.Context) (seen int64, err error)
	// interrupt ends a step under way; close does and gives back what the feed holds.
	interrupt()
	close()
	setUrgent(urgent bool)
}

// Source is an RTSP session that plays.
type Source struct {
	client    *gortsplib.Client
	clock     *hal.Clock
	log       *slog.Logger
	feed      feed
	firstWait time.Duration
	explainer

	tracks []*track
	ref    *track // the clock all others are aligned to
	stats  counters

	closed  atomic.Bool
	asked   atomic.Int64 // when a key frame was last asked for
	current atomic.Pointer[hal.Stream]

	mu      sync.Mutex // held by Read and by what gives back
	gone    bool
	stream  *hal.Stream
	ready   []hal.Frame
	head    int
	failed  error
	first   int64 // Mono of the first packet of all
	opened  int64
	last    int64 // Mono of the last packet of the reference
	zeroSet bool
	zero    time.Duration // media time of the first frame
	skewed  bool          // the log knows that the sender reports contradict each other
	npt     time.Duration // media time of the session's instant 0, by RTP-Info
	nptSet  bool
}

type counters struct {
	frames, bytes, lost, malformed, dropped atomic.Uint64
}

// Stream implements hal.Source.
func (s *Source) Stream() *hal.Stream { return s.current.Load() }

// Live implements hal.Source.
func (s *Source) Live() bool { return true }

// SourceStats implements hal.Reporter.
func (s *Source) SourceStats() hal.SourceStats {
	return hal.SourceStats{
		Frames: s.stats.frames.Load(), Bytes: s.stats.bytes.Load(), Lost: s.stats.lost.Load(),
		Malformed: s.stats.malformed.Load(), Dropped: s.stats.dropped.Load(),
	}
}

// SetUrgent implements hal.Urgency. A source is not urgent until it is told.
func (s *Source) SetUrgent(urgent bool) { s.feed.setUrgent(urgent) }

// Silence implements hal.Watcher: a key frame may take that long, all else less.
func (s *Source) Silence() time.Duration { return max(keyWait, s.firstWait) }

// RequestKeyFrame implements hal.KeyFramer: it sends a picture loss indication (RFC 4585)
// where the camera said that it understands one, at most once a second. Other cameras send
// their key frames when they like.
func (s *Source) RequestKeyFrame() {
	now := s.clock.Mono()
	if before := s.asked.Load(); before != 0 && now-before < int64(pliEvery) || !s.asked.CompareAndSwap(before, now) {
		return
	}
	for _, t := range s.tracks {
		if !t.pli || !t.inter || s.closed.Load() {
			continue
		}
		if err := s.client.WritePacketRTCP(t.media, &rtcp.PictureLossIndication{MediaSSRC: t.remote.Load()}); err != nil {
			s.log.Debug("key frame not asked for", "source", s.name, "error", s.hide(err.Error()))
		}
	}
}

// NTP returns the time at the camera when the picture or sound with this PTS was captured, by
// the track's last sender report. It is false before the first one. It may be called from any
// goroutine.
func (s *Source) NTP(track int, pts time.Duration) (time.Time, bool) {
	if track < 0 || track >= len(s.tracks) {
		return time.Time{}, false
	}
	m := s.tracks[track].wall.Load()
	if m == nil {
		return time.Time{}, false
	}
	return ntpTime(m.ntp + pts - m.pts), true
}

// Read implements hal.Source.
func (s *Source) Read(ctx context.Context) (hal.Frame, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.gone {
			return hal.Frame{}, fmt.Errorf("%s: %w", s.name, errClosed)
		}
		if f, ok := s.pop(); ok {
			return f, nil
		}
		if err := s.failed; err != nil {
			return hal.Frame{}, err
		}
		s.failed = s.advance(ctx)
		if err := ctx.Err(); err != nil && s.head == len(s.ready) {
			s.failed = nil
			return hal.Frame{}, context.Cause(ctx)
		}
	}
}

// advance runs one step of the feed and judges what came of it.
func (s *Source) advance(ctx context.Context) error {
	seen, err := s.feed.step(ctx)
	if err != nil {
		if s.closed.Load() {
			return fmt.Errorf("%s: %w", s.name, errClosed)
		}
		if ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("%s: %w", s.name, s.explain(because(err, s.client)))
	}
	if s.allEnded() { // a camera that restarts says so too: it is tried again
		return fmt.Errorf("%s: the camera ended the stream (RTCP BYE): %w", s.name, hal.ErrNoSignal)
	}
	return s.stalled(seen)
}

func (s *Source) allEnded() bool {
	for _, t := range s.tracks {
		if !t.ended {
			return false
		}
	}
	return true
}

// stalled says whether nothing came for too long, as far as was seen.
func (s *Source) stalled(seen int64) error {
	wait, since, what := s.firstWait, s.opened, "no packet came at all"
	switch {
	case s.last == 0:
	case s.ref.started || s.ref.track.Codec.IsVideo() && seen-s.first < int64(keyWait):
		wait, since = max(minStall, stallFrames*s.ref.interval), s.last
		what = "nothing came"
		if !s.ref.measured { // it may be a slow one
			wait = max(wait, s.firstWait)
		}
	case s.ref.track.Codec.IsVideo():
		wait, since, what = keyWait, s.first, "no key frame came"
	default:
		return nil
	}
	if time.Duration(seen-since) < wait {
		return nil
	}
	return fmt.Errorf("%s: %s for %v: %w", s.name, what, wait.Round(100*time.Millisecond), hal.ErrStalled)
}

// arrived notes that a packet came.
func (s *Source) arrived(t *track, mono int64) {
	if s.first == 0 {
		s.first = mono
	}
	if t == s.ref {
		s.last = mono
	}
}

// wanted says whether a frame is delivered: a run begins with a key frame, sound does not begin
// before it, and what an open GOP shows before its key frame cannot be decoded.
func (s *Source) wanted(t *track, key bool, pts time.Duration) bool {
	video := t.track.Codec.IsVideo()
	switch {
	case !t.complete():
		return false
	case video && !t.started:
		return key
	case video:
		return key || !t.leading || pts >= t.floor
	default:
		return s.zeroSet || !s.ref.track.Codec.IsVideo() || t.mono-s.first > int64(soundAlone)
	}
}

func (s *Source) push(f hal.Frame) { s.ready = append(s.ready, f) }

func (s *Source) pop() (hal.Frame, bool) {
	if s.head == len(s.ready) {
		return hal.Frame{}, false
	}
	f := s.ready[s.head]
	s.ready[s.head] = hal.Frame{}
	if s.head++; s.head == len(s.ready) {
		s.ready, s.head = s.ready[:0], 0
	}
	return f, true
}

// changed puts a track's new description into the stream.
func (s *Source) changed(index int, tr hal.Track) {
	if s.stream == nil || s.stream.Tracks[index].Equal(tr) {
		return
	}
	next := &hal.Stream{Tracks: append([]hal.Track(nil), s.stream.Tracks...)}
	next.Tracks[index] = tr
	s.stream = next
	s.current.Store(next)
}

// describeAll makes the first stream. Frames that came before have none yet.
func (s *Source) describeAll() {
	st := &hal.Stream{}
	for _, t := range s.tracks {
		st.Tracks = append(st.Tracks, t.track)
	}
	s.stream = st
	s.current.Store(st)
	for i := range s.ready {
		s.ready[i].Stream = st
	}
}

// firstMedia returns where a track's first packet stands in media time.
func (s *Source) firstMedia(t *track, ts uint32) time.Duration {
	arrival := time.Duration(t.mono - s.first)
	if !t.info.known {
		return arrival
	}
	at := ticksToDuration(int64(int32(ts-t.info.ts)), t.clock.rate)
	if at.Abs() > maxJump {
		return arrival
	}
	if !s.nptSet {
		s.npt, s.nptSet = arrival-at, true
	}
	if media := at + s.npt; (media - arrival).Abs() <= maxInfoSkew {
		return media
	}
	return arrival
}

// report takes a sender report of a track.
func (s *Source) report(t *track, sr senderReport) {
	if !t.begun {
		t.pending = sr
		return
	}
	if !t.clock.observe(sr) {
		return
	}
	for _, o := range s.tracks {
		if o == s.ref || o != t && t != s.ref {
			continue
		}
		if !o.clock.align(&s.ref.clock, o.started) && !s.skewed {
			s.skewed = true
			s.log.Warn("sender reports put the tracks far apart and are not used",
				"source", s.name, "track", o.index)
		}
	}
	t.mark()
}

// Close implements hal.Source: the session is torn down, the connection closed.
func (s *Source) Close() error {
	s.closed.Store(true)
	s.feed.interrupt()
	s.client.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil
	}
	s.giveBack()
	return nil
}

// giveBack releases all but the frames on loan.
func (s *Source) giveBack() {
	s.gone = true
	if s.feed != nil {
		s.feed.close()
	}
	for f, ok := s.pop(); ok; f, ok = s.pop() {
		f.Release()
	}
	for _, t := range s.tracks {
		t.build.Close()
	}
}

var (
	_ hal.Source    = (*Source)(nil)
	_ hal.Urgency   = (*Source)(nil)
	_ hal.Watcher   = (*Source)(nil)
	_ hal.KeyFramer = (*Source)(nil)
	_ hal.Reporter  = (*Source)(nil)
)
