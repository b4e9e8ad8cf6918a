package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"

	"github.com/millrace-video/millrace/hal"
)

// Driver opens RTSP cameras. The zero value works.
type Driver struct {
	// Dial opens the connection to the camera; nil is a net.Dialer's DialContext. What it
	// returns must be a *net.TCPConn.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds the opening, from the first connection to the last parameter set. Default 9 s.
	Timeout time.Duration
	// FirstWait is how long the first packet may take. Default 8 s.
	FirstWait time.Duration
}

// Name implements hal.Driver.
func (Driver) Name() string { return "rtsp" }

// Schemes implements hal.SourceDriver.
func (Driver) Schemes() []string { return []string{"rtsp", "rtsps"} }

// Check implements hal.SourceDriver.
func (Driver) Check(u *url.URL) error {
	_, err := parseTarget(u, "")
	return err
}

// Open implements hal.SourceDriver. It returns once the session plays and every track's
// description is complete.
func (d Driver) Open(ctx context.Context, u *url.URL, opts hal.Options) (hal.Source, error) {
	opts = opts.WithDefaults()
	to, err := parseTarget(u, opts.Transport)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", hal.ErrUnsupported, err)
	}
	password, _ := u.User.Password()
	x := explainer{name: hal.Redact(to.url.String()), password: password}
	if d.Timeout == 0 {
		d.Timeout = 9 * time.Second
	}
	if d.FirstWait == 0 {
		d.FirstWait = firstWait
	}
	bounded, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()

	o := &opening{driver: d, target: to, explainer: x, opts: opts}
	src, err := o.open(bounded)
	if err == nil {
		return src, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if bounded.Err() != nil && !errors.Is(err, errRedirects) {
		err = fmt.Errorf("%w: %w within %v", err, context.DeadlineExceeded, d.Timeout)
	}
	return nil, x.explain(err)
}

// opening is a session on its way to playing.
type opening struct {
	explainer

	driver Driver
	target target
	opts   hal.Options

	link   *link
	socket *net.TCPConn
	dials  int
}

func (o *opening) open(ctx context.Context) (*Source, error) {
	client, err := o.newClient()
	if err != nil {
		return nil, err
	}
	if err = client.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, client.Close)
	defer stop()
	s, err := o.play(client)
	if err != nil {
		client.Close()
		return nil, because(err, client)
	}
	if err = s.await(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if !stop() {
		return nil, errors.Join(ctx.Err(), s.Close())
	}
	return s, nil
}

// play sets up every track that can be taken and starts them.
func (o *opening) play(client *gortsplib.Client) (*Source, error) {
	desc, res, err := client.Describe(o.target.url)
	if err != nil {
		return nil, err
	}
	found, left := offers(desc, res.Body)
	if len(left) > 0 {
		o.opts.Log.Warn("tracks of unknown kind are left out", "source", o.name, "tracks", left)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: no track of a known codec (%v)", hal.ErrUnsupported, left)
	}
	s := &Source{
		explainer: o.explainer, firstWait: o.driver.FirstWait, client: client, clock: o.opts.Clock, log: o.opts.Log,
	}
	s.makeTracks(found, o.opts.Arena(), o.opts.SoundArena())
	if err := o.start(s, desc.BaseURL); err != nil {
		s.giveBack()
		return nil, err
	}
	return s, nil
}

// start sets up the tracks, plays, and takes the socket where media comes over it.
func (o *opening) start(s *Source, baseURL *base.URL) error {
	own := &tcpFeed{source: s, reserve: o.opts.Reserve, crowd: together}
	secure := false
	for _, t := range s.tracks {
		secure = secure || t.media.Profile == headers.TransportProfileSAVP && o.target.url.Scheme == "rtsps"
	}
	if o.target.transport != "tcp" && o.target.url.Scheme == "rtsps" && !secure {
		return fmt.Errorf("%w: the camera offers no encryption over UDP; try transport=tcp", hal.ErrUnsupported)
	}
	for _, t := range s.tracks {
		res, err := s.client.Setup(baseURL, t.media, 0, 0)
		if err != nil {
			return err
		}
		if err := own.assign(t, res); err != nil {
			return err
		}
	}
	direct := o.target.transport == "tcp" && !secure
	var queue *queueFeed
	if !direct {
		queue = o.queue(s)
	}
	s.opened = s.clock.Mono()
	o.link.playing.Store(direct)
	res, err := s.client.Play(nil)
	if err != nil {
		return err
	}
	s.info(res, baseURL)
	if !direct {
		s.feed = queue
		return nil
	}
	if err := own.adopt(o.link, o.socket); err != nil {
		return err
	}
	s.stats.lost.Add(uint64(o.link.over))
	s.feed = own
	return nil
}
