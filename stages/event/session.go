package event

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync/atomic"

	"github.com/millrace-video/millrace/pool"
)

// session is a channel from Init to Exit: its machine, and what carries out what that says. All
// but ends and work's own is guarded by the channel's mu.
type session struct {
	channel *Channel
	machine *machine
	ends    Ends
	work    func() error // carries out what there is; one worker at a time
	cancel  context.CancelFunc
	busy    bool // work runs, or is about to
	spare   []action
	uploads map[uint64]context.CancelFunc
	forced  bool
	left    Left
	over    bool
	done    chan struct{} // closed when it was told to leave and nothing waits any more
}

func newSession(ctx context.Context, c *Channel, m *machine, ends Ends) *session {
	s := &session{channel: c, machine: m, ends: ends, uploads: map[uint64]context.CancelFunc{}, done: make(chan struct{})}
	ctx, s.cancel = context.WithCancel(ctx)
	s.work = func() error { return s.carryOutAll(ctx) }
	return s
}

// pending says whether a worker is wanted that is not there, and when the machine is due.
func (s *session) pending() (todo bool, due int64) {
	return len(s.machine.out) > 0 && !s.busy, s.machine.due
}

// force makes the exit a forced one.
func (s *session) force(now Instant) {
	s.forced = true
	s.left = s.machine.leave(now, true)
	s.cancel()
}

// settle notes when nothing is left of a session that leaves.
func (s *session) settle() {
	if m := s.machine; !s.over && m.leaving && len(m.waiting) == 0 && len(m.out) == 0 && !s.busy {
		s.over = true
		close(s.done)
	}
}

// carryOutAll does what the machine says until it says nothing more.
func (s *session) carryOutAll(ctx context.Context) error {
	mu := &s.channel.mu
	for {
		mu.Lock()
		batch := s.machine.out
		if len(batch) == 0 {
			s.busy = false
			s.settle()
			mu.Unlock()
			return nil
		}
		s.machine.out, s.spare = s.spare[:0], nil
		mu.Unlock()
		for _, a := range batch {
			s.carryOut(ctx, a)
		}
		clear(batch)
		mu.Lock()
		s.spare = batch
		mu.Unlock()
	}
}

// tell gives the machine what came of an action.
func (s *session) tell(what func(now Instant)) {
	now := s.channel.h.now()
	s.channel.mu.Lock()
	what(now)
	s.settle()
	todo, due := s.pending()
	s.channel.mu.Unlock()
	s.channel.h.poke(todo, due)
}

// carryOut does one action, without a lock.
func (s *session) carryOut(ctx context.Context, a action) {
	switch a.kind {
	case doSend:
		s.send(ctx, a.message)
	case doRecord:
		s.record(a.window)
	case doCapture:
		path := ""
		if s.ends.Capture != nil {
			s.call("capture", func() { path = s.ends.Capture(a.picture) })
		}
		s.tell(func(now Instant) { s.machine.captured(now, a.picture, path) })
	case doLook:
		size := sizeOf(a.picture.Path)
		s.tell(func(now Instant) { s.machine.looked(now, a.picture.Number, size) })
	case doUpload:
		s.upload(ctx, a.picture)
	case doGiveUp:
		s.giveUp(a.picture.Number)
	case doResult:
		if s.ends.Result != nil {
			s.call("result", func() { s.ends.Result(Result{Picture: a.picture, Code: a.code}) })
		}
	case doStream:
		if s.ends.Stream != nil {
			s.call("stream", func() { s.ends.Stream(a.wanted) })
		}
	case doNotice:
		if s.ends.Notice != nil {
			s.call("notice", func() { s.ends.Notice(a.notice) })
		}
	}
}

func (s *session) send(ctx context.Context, m Message) {
	sent := once(func(err error) {
		if err != nil {
			s.channel.h.log.Error("an event's message is lost", "channel", s.channel.name, "event", m.Event, "source", m.Source.String(), "cause", err.Error())
		}
		s.tell(func(Instant) { s.machine.sent(m.Event, err) })
	})
	if s.ends.Messages == nil {
		sent(nil)
		return
	}
	if err := guard("send", func() { s.ends.Messages.Send(ctx, m, sent) }); err != nil {
		sent(err)
	}
}

func (s *session) record(w Window) {
	var stored func(error)
	if w.Over {
		stored = once(func(err error) {
			if err != nil {
				s.channel.h.log.Error("an event's video is lost", "channel", s.channel.name, "event", w.Event, "part", w.Part, "cause", err.Error())
			}
			s.tell(func(Instant) { s.machine.stored(w.Event, err) })
		})
	}
	if s.ends.Recorder == nil {
		if w.Over {
			stored(nil)
		}
		return
	}
	if err := guard("record", func() { s.ends.Recorder.Record(w, stored) }); err != nil && w.Over {
		stored(err)
	}
}

func (s *session) upload(ctx context.Context, p Picture) {
	done := once(func(err error) {
		s.tell(func(now Instant) { s.machine.uploaded(now, p.Number, err) })
	})
	if s.ends.Uploader == nil {
		done(errors.New("no uploader"))
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	s.channel.mu.Lock()
	s.uploads[p.Number] = cancel
	s.channel.mu.Unlock()
	if err := guard("upload", func() { s.ends.Uploader.Upload(ctx, p, done) }); err != nil {
		done(err)
	}
}

func (s *session) giveUp(number uint64) {
	s.channel.mu.Lock()
	cancel := s.uploads[number]
	delete(s.uploads, number)
	s.channel.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// call calls the application. A panic of its costs that call alone.
func (s *session) call(what string, do func()) {
	if err := guard(what, do); err != nil {
		s.channel.h.log.Error("an application's callback panicked", "channel", s.channel.name, "cause", err.Error())
	}
}

// guard does something and turns a panic into an error.
func guard(what string, do func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %w", what, &pool.PanicError{Value: p, Stack: debug.Stack()})
		}
	}()
	do()
	return nil
}

// once lets only the first of several calls through.
func once(f func(error)) func(error) {
	var called atomic.Bool
	return func(err error) {
		if !called.Swap(true) {
			f(err)
		}
	}
}

// sizeOf returns a file's size, −1 where no file is there.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !info.Mode().IsRegular():
		return -1
	case err != nil:
		return 0
	}
	return info.Size()
}
