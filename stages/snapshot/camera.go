package snapshot

import (
	"context"
	"fmt"
	"sync"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
)

// CameraConfig is what a channel's snapshots need beside its frames.
type CameraConfig struct {
	// URL is the camera's own snapshot page, complete with its user and password (Basic or
	// Digest); "" is none. It is asked where no picture can be made of the stream.
	URL string
}

// Camera is a channel's branch: a pipeline.Stage whose queue is on demand (Limit). It joins the
// tee for as long as somebody waits for a key frame, which the tee mostly has, and so costs
// nothing in between.
type Camera struct {
	name string
	cfg  CameraConfig
	svc  *Service

	mu    sync.Mutex
	env   pipeline.Env
	open  bool
	under *grab
	told  string // the cause that was logged last
}

// grab is the wait for a key frame, of all who ask meanwhile.
type grab struct {
	waiters int
	asked   bool          // for a key frame
	over    bool          // the last waiter gave up
	done    chan struct{} // closed when shot or err is there, or it is over
	shot    *shot
	err     error
}

// Limit is the queue of a camera's branch.
func Limit() pipeline.Limit {
	return pipeline.Limit{Frames: 16, Full: pipeline.DropUntilKey, OnDemand: true}
}

// Name implements pipeline.Stage.
func (c *Camera) Name() string { return "snapshot" }

// Open implements pipeline.Stage.
func (c *Camera) Open(_ context.Context, env pipeline.Env) error {
	env.Want(false) // where it was closed while somebody waited
	c.mu.Lock()
	defer c.mu.Unlock()
	c.env, c.open = env, true
	return nil
}

// Work implements pipeline.Stage: it copies the first key frame that somebody waits for.
func (c *Camera) Work(_ context.Context, f hal.Frame) error {
	defer f.Release()
	c.mu.Lock()
	g := c.under
	if g == nil || g.over {
		c.mu.Unlock()
		return nil
	}
	video := f.Stream.Video()
	ask := video >= 0 && f.Track == video && !f.Key && !g.asked
	g.asked = g.asked || ask
	c.mu.Unlock()
	switch {
	case ask:
		c.env.RequestKeyFrame() // the tee had none
		return nil
	case video < 0:
		c.finish(g, nil, ErrNoPictures)
		return nil
	case f.Track != video || !f.Key:
		return nil
	}
	sh, err := c.svc.shelf.put(c, f)
	c.finish(g, sh, err)
	return nil
}

// finish hands a shot, of which it has one hold, to all who wait.
func (c *Camera) finish(g *grab, sh *shot, err error) {
	c.env.Want(false) // before anybody can want again
	c.mu.Lock()
	defer c.mu.Unlock()
	if g.over {
		c.svc.shelf.letGo(sh)
		return
	}
	g.shot, g.err = sh, err
	c.under = nil
	close(g.done)
}

// grab returns the last key frame, with a hold of the caller's own.
func (c *Camera) grab(ctx context.Context) (*shot, error) {
	for {
		g, err := c.join()
		if err != nil {
			return nil, err
		}
		if g.over { // as seen under mu: it is about to leave the tee
			<-g.done
			continue
		}
		select {
		case <-g.done:
			return c.leave(g)
		case <-ctx.Done():
		}
		return nil, c.giveUp(g)
	}
}

// join waits along with who waits already, or begins.
func (c *Camera) join() (*grab, error) {
	c.mu.Lock()
	if !c.open {
		c.mu.Unlock()
		return nil, fmt.Errorf("%w: the channel is not initialised", ErrNoKeyFrame)
	}
	if g := c.under; g != nil {
		defer c.mu.Unlock()
		if g.over {
			return &grab{over: true, done: g.done}, nil
		}
		g.waiters++
		return g, nil
	}
	g := &grab{waiters: 1, done: make(chan struct{})}
	c.under = g
	want := c.env.Want
	c.mu.Unlock()
	want(true)
	return g, nil
}

// leave takes a hold of what came.
func (c *Camera) leave(g *grab) (*shot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g.waiters--
	if g.err != nil {
		return nil, g.err
	}
	if g.waiters > 0 {
		c.svc.shelf.hold(g.shot)
	} // the last one has the grab's own
	return g.shot, nil
}

// giveUp stops waiting; the last one leaves the tee.
func (c *Camera) giveUp(g *grab) error {
	err := fmt.Errorf("%w", ErrNoKeyFrame)
	c.mu.Lock()
	if c.under != g { // it came at the last moment
		c.mu.Unlock()
		sh, failed := c.leave(g)
		if failed != nil {
			return failed
		}
		c.svc.shelf.letGo(sh)
		return err
	}
	g.waiters--
	if g.waiters > 0 {
		c.mu.Unlock()
		return err
	}
	g.over = true
	want := c.env.Want
	c.mu.Unlock()
	want(false)
	c.mu.Lock()
	c.under = nil
	close(g.done)
	c.mu.Unlock()
	return err
}

// Flush implements pipeline.Stage: who waits goes on waiting for the next run.
func (c *Camera) Flush(context.Context) error { return nil }

// Close implements pipeline.Stage.
func (c *Camera) Close() error {
	c.mu.Lock()
	g := c.under
	c.open = false
	if g == nil || g.over {
		c.mu.Unlock()
		return nil
	}
	c.mu.Unlock()
	c.finish(g, nil, fmt.Errorf("%w: the channel is leaving", ErrNoKeyFrame))
	return nil
}

// tell logs why no better picture is made of this channel, once for each cause.
func (c *Camera) tell(way Way, cause string) {
	c.mu.Lock()
	known := c.told == cause
	c.told = cause
	c.mu.Unlock()
	if cause != "" && !known {
		c.svc.cfg.Logger.Warn("the key frames of a channel cannot be decoded", "channel", c.name, "instead", string(way), "cause", cause)
	}
}
