package upload

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-video/millrace/pool"
)

// wake looks for what can begin.
func (u *Uploader) wake() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.dispatch()
}

// dispatch starts what can begin: follow-ups, then the most important objects, the oldest first.
// The caller holds mu.
func (u *Uploader) dispatch() {
	for len(u.follow) > 0 {
		next := u.follow[0]
		u.chained++
		err := u.workers.Go(func() error {
			next()
			return nil
		}, u.chainedOne)
		if err != nil {
			u.chained--
			break
		}
		u.follow = slices.Delete(u.follow, 0, 1)
	}
	now := u.cfg.Clock.Mono()
	for it := u.late.first(); it != nil && it.due <= now; it = u.late.first() {
		u.late.remove(it)
		it.stage = waiting
		it.group.state.Retrying--
		it.group.state.Waiting++
		u.ready[it.Class].add(it)
	}
	for c := range classes {
		if u.forced || u.ready[c].Len() == 0 || u.cfg.Uplink != nil && u.cfg.Uplink.held(c) {
			continue
		}
		for u.ready[c].Len() > 0 && u.room(c) {
			if !u.fly(u.ready[c].first()) {
				break
			}
		}
	}
	u.arm(now)
	u.empty()
}

// room says whether one more of the class may be under way. What is less important does not
// count, so that it never keeps what is more important waiting. The caller holds mu.
func (u *Uploader) room(c Class) bool {
	before := 0
	for i := range c + 1 {
		before += u.flying[i]
	}
	return before < u.window.now()
}

// fly starts an attempt, or returns false where no worker is free. The caller holds mu.
func (u *Uploader) fly(it *item) bool {
	try := u.begin(it.Object)
	began, url := int64(0), ""
	err := u.workers.Go(func() (err error) {
		began = u.cfg.Clock.Mono() // not before: what it waits for a core is nothing to the link
		url, err = try.put()
		return err
	}, func(err error) {
		try.cancel(nil)
		u.landed(it, url, err, time.Duration(u.cfg.Clock.Mono()-began)-governedTime(try.governed))
	})
	if err != nil {
		try.cancel(nil)
		return false
	}
	u.ready[it.Class].remove(it)
	it.cancel = func() { try.cancel(ErrLeft) }
	it.stage = running
	it.result.Attempts++
	if it.result.Attempts > 1 {
		u.counters.Retries++
	}
	it.group.state.Waiting--
	it.group.state.Running++
	u.flying[it.Class]++
	u.flights[it] = struct{}{}
	return true
}

// landed is where an attempt ends.
func (u *Uploader) landed(it *item, url string, err error, took time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.cfg.Clock.Mono()
	u.flying[it.Class]--
	delete(u.flights, it)
	if it.stage != running { // given up meanwhile
		u.dispatch()
		return
	}
	if err == nil {
		u.counters.Cause = ""
		u.window.went(it.Body.Size(), took, len(u.flights)+1, now)
		it.result.URL = url
		u.finish(it, nil)
		u.dispatch()
		return
	}
	u.counters.Cause = err.Error()
	u.window.failed(KindOf(err), now)
	if u.final(it, err) {
		u.finish(it, err)
	} else {
		it.group.state.Running--
		it.group.state.Retrying++
		it.stage = retrying
		it.due = now + int64(u.cfg.Backoff.Before(it.result.Attempts-1))
		u.late.add(it)
	}
	u.dispatch()
}

// final says whether an error ends an object's attempts (U2).
func (u *Uploader) final(it *item, err error) bool {
	if _, panicked := errors.AsType[*pool.PanicError](err); panicked {
		return true
	}
	return errors.Is(err, ErrBlocked) || errors.Is(err, ErrRefused) || errors.Is(err, ErrLeft) || it.result.Attempts > max(0, u.cfg.Retries)
}

// finish gives an object its result. The caller holds mu.
func (u *Uploader) finish(it *item, err error) {
	g := it.group
	switch it.stage {
	case waiting:
		g.state.Waiting--
	case running:
		g.state.Running--
	case retrying:
		g.state.Retrying--
	case finished:
		return
	}
	if it.admitted {
		u.open--
		u.bytes -= it.memory()
	}
	it.stage = finished
	it.result.Done = u.cfg.Clock.Now()
	if err == nil {
		g.state.Uploaded++
		u.counters.Uploaded++
		u.counters.Sent += uint64(it.Body.Size()) //nolint:gosec // a size
	} else {
		it.result.Err = failure(it, err)
		g.state.Failed++
		u.counters.Failed++
		if errors.Is(err, ErrFull) {
			u.counters.Full++
		}
	}
	it.Body, it.cancel = nil, nil // a handle that is kept keeps no picture
	u.conclude(g)
}

// failure names the object that failed.
func failure(it *item, err error) error {
	if it.result.Attempts > 1 {
		return fmt.Errorf("%s: given up after %d attempts: %w", it.Key, it.result.Attempts, err)
	}
	return fmt.Errorf("%s: %w", it.Key, err)
}

// conclude ends a group whose results are all there. The caller holds mu.
func (u *Uploader) conclude(g *Group) {
	if !g.state.Done() {
		return
	}
	if !g.closed {
		g.closed = true
		close(g.done)
	}
	if len(g.follow) == 0 {
		return
	}
	all, chain := g.results(), g.follow
	g.follow = nil
	u.follow = append(u.follow, func() {
		for _, next := range chain {
			next(all)
		}
	})
	u.dispatch()
}

// chainedOne is where a follow-up ends.
func (u *Uploader) chainedOne(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.chained--
	if err != nil {
		u.cfg.Logger.Error("what was to follow an upload failed", "cause", err.Error())
	}
	u.dispatch()
}

// arm sets the timer for the next attempt. The caller holds mu.
func (u *Uploader) arm(now int64) {
	it := u.late.first()
	if it == nil {
		return
	}
	wait := max(time.Millisecond, time.Duration(it.due-now))
	if u.timer == nil {
		u.timer = time.AfterFunc(wait, u.wake)
		return
	}
	u.timer.Reset(wait)
}

// abandon gives up an item without a result. The caller holds mu.
func (u *Uploader) abandon(it *item) {
	switch it.stage {
	case waiting:
		u.ready[it.Class].remove(it)
	case retrying:
		u.late.remove(it)
	case running:
		it.cancel()
	case finished:
		return
	}
	u.finish(it, ErrLeft)
}

// empty tells the exit under way that nothing is left. The caller holds mu.
func (u *Uploader) empty() {
	if !u.leaving || len(u.flights)+u.chained+len(u.follow)+u.late.Len() > 0 {
		return
	}
	for c := range classes {
		if u.ready[c].Len() > 0 {
			return
		}
	}
	select {
	case <-u.emptied:
	default:
		close(u.emptied)
	}
}

// LeftError says what an exit left behind.
type LeftError struct{ Keys []string }

func (e *LeftError) Error() string {
	const most = 8
	some, more := e.Keys, ""
	if len(some) > most {
		some, more = some[:most], fmt.Sprintf(" and %d more", len(e.Keys)-most)
	}
	return fmt.Sprintf("%d objects were not uploaded: %s%s", len(e.Keys), strings.Join(some, ", "), more)
}

// Is makes it an ErrLeft.
func (e *LeftError) Is(target error) bool { return target == ErrLeft }

// axeTime is how long an attempt that was cancelled may take to end.
const axeTime = 500 * time.Millisecond

// Exit ends the uploader. Without force what was submitted goes up first, until ctx ends; with
// force, or then, all that has no result fails with ErrLeft, and a *LeftError names it. No object
// is taken any more. A second Exit waits with the first, and turns it into a forced one where it
// is forced.
func (u *Uploader) Exit(ctx context.Context, force bool) error {
	u.mu.Lock()
	u.leaving = true
	u.empty()
	u.mu.Unlock()
	if !force {
		select {
		case <-u.emptied:
		case <-ctx.Done():
		}
	}
	u.leave()
	axe := time.NewTimer(axeTime)
	defer axe.Stop()
	select {
	case <-u.emptied:
	case <-axe.C:
	}
	u.workers.Close()
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.left) > 0 {
		return &LeftError{slices.Clone(u.left)}
	}
	return nil
}

// leave gives up what has no result, in the order of submission.
func (u *Uploader) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forced = true
	if u.timer != nil {
		u.timer.Stop()
	}
	var items []*item
	for c := range classes {
		items = append(items, u.ready[c].items...)
	}
	items = append(items, u.late.items...)
	for it := range u.flights {
		items = append(items, it)
	}
	slices.SortFunc(items, func(a, b *item) int { return cmp.Compare(a.seq, b.seq) })
	for _, it := range items {
		if it.stage != finished {
			u.left = append(u.left, it.Key)
		}
		u.abandon(it)
	}
	u.empty()
}
