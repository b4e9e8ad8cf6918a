package rtsp

import (
	"errors"
	"fmt"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
)

// handler answers gortsplib's calls. They come from its goroutines, which do not recover.
type handler struct {
	*Server
}

var (
	_ gortsplib.ServerHandlerOnRequest          = (*handler)(nil)
	_ gortsplib.ServerHandlerOnResponse         = (*handler)(nil)
	_ gortsplib.ServerHandlerOnSessionClose     = (*handler)(nil)
	_ gortsplib.ServerHandlerOnDescribe         = (*handler)(nil)
	_ gortsplib.ServerHandlerOnSetup            = (*handler)(nil)
	_ gortsplib.ServerHandlerOnPlay             = (*handler)(nil)
	_ gortsplib.ServerHandlerOnPause            = (*handler)(nil)
	_ gortsplib.ServerHandlerOnGetParameter     = (*handler)(nil)
	_ gortsplib.ServerHandlerOnDecodeError      = (*handler)(nil)
	_ gortsplib.ServerHandlerOnStreamWriteError = (*handler)(nil)
	_ gortsplib.ServerHandlerOnPacketsLost      = (*handler)(nil)
)

// playWait is how long PLAY waits for the first picture, to say in its answer where the
// tracks begin.
const playWait = 2 * time.Second

// OnRequest implements gortsplib.ServerHandlerOnRequest.
func (h *handler) OnRequest(c *gortsplib.ServerConn, req *base.Request) {
	if l, ok := c.NetConn().(*link); ok {
		l.method, l.url = req.Method, req.URL
	}
	// gortsplib holds a SETUP of GStreamer's back for a second, for the sake of its publishers.
	delete(req.Header, "User-Agent")
}

// OnResponse implements gortsplib.ServerHandlerOnResponse: it notes where packets go, and
// starts them behind the answer to PLAY.
func (h *handler) OnResponse(c *gortsplib.ServerConn, res *base.Response) {
	res.Header["Server"] = base.HeaderValue{"Millrace"}
	l, ok := c.NetConn().(*link)
	if !ok || res.StatusCode != base.StatusOK {
		return
	}
	session := c.Session()
	if session == nil {
		return
	}
	r, ok := session.UserData().(*reader)
	if !ok {
		return
	}
	switch l.method {
	case base.Setup:
		r.setUp(session, res)
	case base.Play:
		info, err := r.begin(l, func(media int) string { return controlURL(l.url, r.mount.name, media) })
		if err == nil {
			res.Header["RTP-Info"] = info.Marshal()
		}
		res.Header["Range"] = base.HeaderValue{"npt=now-"}
	case base.Announce, base.Describe, base.GetParameter, base.Options, base.Pause, base.Record, base.SetParameter, base.Teardown:
	}
}

// controlURL is a track's address, as the client that asked at u knows it.
func controlURL(u *base.URL, name string, media int) string {
	return (&base.URL{Scheme: u.Scheme, Host: u.Host, Path: fmt.Sprintf("/%s/trackID=%d", name, media)}).String()
}

// OnSessionClose implements gortsplib.ServerHandlerOnSessionClose.
func (h *handler) OnSessionClose(ctx *gortsplib.ServerHandlerOnSessionCloseCtx) {
	r, ok := ctx.Session.UserData().(*reader)
	if !ok {
		return
	}
	r.drop(true)
	r.mount.forget(r)
	h.readers.Add(-1)
	h.log.Info("player left", "channel", r.mount.name, "player", r.String(), "cause", cause(ctx.Error))
}

func cause(err error) string {
	var torn liberrors.ErrServerSessionTornDown
	if err == nil || errors.As(err, &torn) {
		return "its own wish"
	}
	return err.Error()
}

// OnDescribe implements gortsplib.ServerHandlerOnDescribe.
func (h *handler) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	m, refusal := h.admit(ctx.Request, ctx.Path)
	if refusal != nil {
		return refusal, nil, nil
	}
	_, sdp, refusal := h.await(m)
	if refusal != nil {
		return refusal, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK, Body: sdp}, nil, nil
}

// admit finds the channel at a path. This is the place where a request's user is looked at,
// once there are users.
func (h *handler) admit(_ *base.Request, path string) (*mount, *base.Response) {
	m := h.find(path)
	if m == nil {
		return nil, refuse(base.StatusNotFound, "no channel at this path")
	}
	return m, nil
}

func refuse(code base.StatusCode, why string) *base.Response {
	return &base.Response{StatusCode: code, StatusMessage: why}
}

// await waits until the channel's tracks are known.
func (h *handler) await(m *mount) (*layout, []byte, *base.Response) {
	c, err := m.acquire()
	if err != nil {
		return nil, nil, refuse(base.StatusServiceUnavailable, oneLine(err))
	}
	defer m.release(c)
	if !h.wait(c, c.known, h.cfg.Wait) {
		return nil, nil, refuse(base.StatusServiceUnavailable, "the camera gives no picture now: try again later")
	}
	l, sdp, err := m.described()
	if err != nil {
		return nil, nil, refuse(base.StatusUnsupportedMediaType, oneLine(err))
	}
	return l, sdp, nil
}

func (h *handler) wait(c claim, event <-chan struct{}, most time.Duration) bool {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-event:
		return true
	case <-c.gone:
	case <-h.closing:
	case <-t.C:
	}
	return false
}

// oneLine makes an error fit for a status line.
func oneLine(err error) string {
	text := []byte(err.Error())
	for i, b := range text {
		if b < ' ' {
			text[i] = ' '
		}
	}
	return string(text[:min(len(text), 200)])
}

// OnSetup implements gortsplib.ServerHandlerOnSetup.
func (h *handler) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if r, ok := ctx.Session.UserData().(*reader); ok { // a further track
		return &base.Response{StatusCode: base.StatusOK}, r.stream, nil
	}
	m, refusal := h.admit(ctx.Request, ctx.Path)
	if refusal != nil {
		return refusal, nil, nil
	}
	l, _, refusal := h.await(m)
	if refusal != nil {
		return refusal, nil, nil
	}
	peer, isTCP := tcpPeer(ctx.Conn)
	if h.readers.Add(1) > int64(h.cfg.MaxReaders) || !isTCP {
		h.readers.Add(-1)
		return refuse(base.StatusNotEnoughBandwidth, "too many players"), nil, nil
	}
	r, err := newReader(m, l, ctx.Transport.Protocol == gortsplib.ProtocolUDP, peer)
	if err != nil {
		h.readers.Add(-1)
		return refuse(base.StatusServiceUnavailable, oneLine(err)), nil, nil
	}
	ctx.Session.SetUserData(r)
	return &base.Response{StatusCode: base.StatusOK}, r.stream, nil
}

// OnPlay implements gortsplib.ServerHandlerOnPlay.
func (h *handler) OnPlay(ctx *gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	r, ok := ctx.Session.UserData().(*reader)
	if !ok {
		return refuse(base.StatusMethodNotValidInThisState, "SETUP comes first"), nil
	}
	c, err := r.hold()
	if err != nil {
		return refuse(base.StatusServiceUnavailable, oneLine(err)), nil
	}
	h.wait(c, c.ready, playWait)
	if !r.mount.serves(r.layout) {
		r.drop(false)
		return refuse(base.StatusGone, errChanged.Error()), nil
	}
	h.log.Info("player watches", "channel", r.mount.name, "player", r.String(), "udp", r.udp)
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnPause implements gortsplib.ServerHandlerOnPause.
func (h *handler) OnPause(ctx *gortsplib.ServerHandlerOnPauseCtx) (*base.Response, error) {
	if r, ok := ctx.Session.UserData().(*reader); ok {
		r.drop(false)
	}
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnGetParameter implements gortsplib.ServerHandlerOnGetParameter: players say that they are
// still there.
func (h *handler) OnGetParameter(*gortsplib.ServerHandlerOnGetParameterCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK, Header: base.Header{"Content-Type": base.HeaderValue{"text/parameters"}}}, nil
}

// OnDecodeError implements gortsplib.ServerHandlerOnDecodeError: a player's broken reports are
// its own affair.
func (h *handler) OnDecodeError(*gortsplib.ServerHandlerOnDecodeErrorCtx) {}

// OnStreamWriteError implements gortsplib.ServerHandlerOnStreamWriteError: it writes none.
func (h *handler) OnStreamWriteError(*gortsplib.ServerHandlerOnStreamWriteErrorCtx) {}

// OnPacketsLost implements gortsplib.ServerHandlerOnPacketsLost: it receives none.
func (h *handler) OnPacketsLost(*gortsplib.ServerHandlerOnPacketsLostCtx) {}
