package bench

import (
	"context"
	"sync"
	"time"
)

const (
	wheelSlots = 4096 // of a tick: nothing is due later than a GOP and a bit
	wheelTick  = 2 * time.Millisecond
	// reportEvery is how often a camera sends sender reports.
	reportEvery = 5 * time.Second
	// stallLimit is how far behind a reader may fall before the camera gives it up: its bytes
	// would be overwritten by the loop.
	stallLimit = 5 * time.Second
)

// wheel sends every camera's packets when they are due, from one goroutine and by one timer.
type wheel struct {
	video, audio *reel
	began        time.Time // of all cameras' time lines, but for their offsets
	packets      bool      // a write for each packet

	wake chan struct{}

	mu      sync.Mutex
	slots   [wheelSlots][]event
	next    int64 // the slot to be looked at next
	blocked []*session
	late    histogram // from when a parcel was due until the kernel had all of it
	own     histogram // from when a parcel was due until it was this goroutine's turn
	units   int64     // parcels in the kernel's hands
	bytes   int64
	full    int64 // parcels that the kernel did not take at once
}

// event is a parcel of a session that is due.
type event struct {
	s     *session
	sound bool
}

func newWheel(c *clip, packets bool) *wheel {
	w := &wheel{wake: make(chan struct{}, 1), packets: packets}
	w.video, w.audio = c.reels()
	w.began = time.Now().Add(-w.video.due(int64(c.spec.GOP))) // so that every camera's time line has begun
	return w
}

func (w *wheel) since() time.Duration { return time.Since(w.began) }

// join begins a session's sending with its next key frame.
func (w *wheel) join(s *session, gop int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.since()
	at := now - s.offset + openingDelay
	key := (w.video.from(at) + gop - 1) / gop * gop
	sound := w.video.due(key)
	if s.soundFirst {
		sound = max(at, sound-soundLead)
	}
	s.begin(now, key, w.audio.from(sound))
	w.plan(event{s, false})
	w.plan(event{s, true})
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// plan puts a session's next parcel where it is due. The caller holds mu.
func (w *wheel) plan(e event) {
	slot := max(int64((e.due(w)+wheelTick-1)/wheelTick), w.next)
	slot = min(slot, w.next+wheelSlots-1)
	w.slots[slot%wheelSlots] = append(w.slots[slot%wheelSlots], e)
}

func (e event) due(w *wheel) time.Duration {
	if e.sound {
		return e.s.offset + w.audio.due(e.s.nextSound)
	}
	return e.s.offset + w.video.due(e.s.nextPicture)
}

// run sends until ctx ends.
func (w *wheel) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-w.wake:
		}
		w.mu.Lock()
		rest := w.turn()
		w.mu.Unlock()
		timer.Reset(rest)
	}
}

// turn sends all that is due and returns how long there is nothing to do. The caller holds mu.
func (w *wheel) turn() time.Duration {
	w.retry()
	for upTo := int64(w.since() / wheelTick); w.next <= upTo; w.next++ {
		slot := &w.slots[w.next%wheelSlots]
		events := *slot
		*slot = nil
		for _, e := range events {
			w.send(e)
		}
		if *slot == nil {
			*slot = events[:0] // its room serves the next round
		}
	}
	if len(w.blocked) > 0 {
		return wheelTick
	}
	at := w.next
	for at < w.next+wheelSlots-1 && len(w.slots[at%wheelSlots]) == 0 {
		at++
	}
	return max(time.Duration(at)*wheelTick-w.since(), 0)
}

// send hands a session's next parcel to the kernel.
func (w *wheel) send(e event) {
	s := e.s
	due := e.due(w)
	now := w.since()
	w.own.add(now - due)
	if due >= s.nextReport {
		s.nextReport = due + reportEvery
		s.put(outgoing{text: true, rest: w.reports(s)})
	}
	out := outgoing{due: due, sound: e.sound}
	if e.sound {
		out.number = s.nextSound
		w.load(&out, w.audio.at(out.number))
		s.nextSound++
	} else {
		out.number = s.nextPicture
		w.load(&out, w.video.at(out.number))
		s.nextPicture++
	}
	switch {
	case !s.put(out):
		return // gone: nothing is planned any more
	case s.waits() > 0:
		w.full++
		if !s.blocked {
			s.blocked = true
			w.blocked = append(w.blocked, s)
		}
	default:
		w.count(s, out, len(out.rest))
	}
	w.plan(e)
}

// load gives something on its way its bytes.
func (w *wheel) load(out *outgoing, p *parcel) {
	out.rest = p.bytes
	if w.packets {
		out.heads = p.heads
	}
}

// reports are the sender reports of a session, of what it sends next. They come before the first packet, so that a
// reader knows from the beginning how sound and pictures belong together.
func (w *wheel) reports(s *session) []byte {
	picture := w.began.Add(s.offset + w.video.due(s.nextPicture))
	sound := w.began.Add(s.offset + w.audio.due(s.nextSound))
	return append(w.video.senderReport(videoChannel, videoSSRC, s.nextPicture, picture),
		w.audio.senderReport(audioChannel, audioSSRC, s.nextSound, sound)...)
}

// count takes down that the kernel has all of a parcel.
func (w *wheel) count(s *session, out outgoing, size int) {
	w.late.add(w.since() - out.due)
	w.units++
	w.bytes += int64(size)
	s.sent(out)
}

// retry gives the kernel what it did not take before. The caller holds mu.
func (w *wheel) retry() {
	kept := w.blocked[:0]
	for _, s := range w.blocked {
		done, oldest := s.flush()
		for _, out := range done {
			w.count(s, out, out.size)
		}
		if oldest > 0 && w.since()-oldest > stallLimit {
			s.end("the reader fell 5 s behind")
		}
		s.blocked = s.waits() > 0
		if s.blocked {
			kept = append(kept, s)
		}
	}
	clear(w.blocked[len(kept):])
	w.blocked = kept
}

// mark begins a window: what was measured before is forgotten.
func (w *wheel) mark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late, w.own, w.units, w.bytes, w.full = histogram{}, histogram{}, 0, 0, 0
}

// Pace is how well the cameras kept their time in a window.
type Pace struct {
	Units int64  `json:"units"` // pictures and pieces of sound
	Bytes int64  `json:"bytes"`
	Full  int64  `json:"full"` // units that found the reader's socket full
	Late  Spread `json:"late"` // until the kernel had all of a unit: the recorder's back-pressure, and Own
	Own   Spread `json:"own"`  // until the simulator came to it
}

// pace first sends what is due: lateness that is not over yet counts, too.
func (w *wheel) pace() Pace {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn()
	for _, s := range w.blocked {
		if oldest := s.oldest(); oldest > 0 {
			w.late.most = max(w.late.most, w.since()-oldest)
		}
	}
	return Pace{Units: w.units, Bytes: w.bytes, Full: w.full, Late: w.late.spread(), Own: w.own.spread()}
}
