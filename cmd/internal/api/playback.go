package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/cmd/internal/playback"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/pack"
)

// How many are served at once: an export holds the tables of its film, the others little.
const (
	mostExports = 2
	mostStreams = 32
)

// player serves recordings. A client may read as slowly as it likes, but not stop.
type player struct {
	*handler

	clock   *hal.Clock
	exports chan struct{}
	streams chan struct{}
}

func newPlayer(h *handler) *player {
	return &player{h, hal.NewClock(), make(chan struct{}, mostExports), make(chan struct{}, mostStreams)}
}

// within lets a request in where there is room.
func (p *player) within(room chan struct{}, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if p.cfg.Storage == nil {
			p.noStorage(w, catalog.ErrUnavailable)
			return
		}
		select {
		case room <- struct{}{}:
			defer func() { <-room }()
			serve(w, r)
		default:
			w.Header().Set("Retry-After", "5")
			refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("%d others are served now", cap(room)), "try again when one of them is done")
		}
	}
}

func (p *player) routes() []route {
	return []route{
		{http.MethodGet, "/v1/channels/{name}/play", p.within(p.streams, p.play)},
		{http.MethodGet, "/v1/channels/{name}/export", p.within(p.exports, p.export)},
		{http.MethodGet, "/v1/channels/{name}/files/{file}", p.within(p.streams, p.file)},
	}
}

func (p *player) play(w http.ResponseWriter, r *http.Request) {
	ask, err := playback.ParseAsk(r.PathValue("name"), r.URL.Query(), p.clock.Now(), "format")
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	switch format := r.URL.Query().Get("format"); format {
	case "", "mp4":
		p.stream(w, r, ask)
	case "hls":
		text, err := playback.Playlist(r.Context(), p.cfg.Storage, ask)
		if err != nil {
			p.refuse(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = p.toClient(w, r).Write(text) //nolint:errcheck // a client that has gone needs no answer
	default:
		p.refuse(w, r, fmt.Errorf("%w: format=%.20s: there are mp4 and hls", playback.ErrAsk, format))
	}
}

func (p *player) stream(w http.ResponseWriter, r *http.Request, ask playback.Ask) {
	film, err := playback.Stream(r.Context(), p.cfg.Storage, ask)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	w.Header().Set("Millrace-Start", film.Start.UTC().Format(time.RFC3339Nano))
	w.Header().Set("Millrace-Lead", strconv.FormatFloat(max(0, ask.From.Sub(film.Start).Seconds()), 'f', 3, 64))
	p.send(w, r, film)
}

func (p *player) export(w http.ResponseWriter, r *http.Request) {
	ask, err := playback.ParseAsk(r.PathValue("name"), r.URL.Query(), p.clock.Now())
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	film, err := playback.Export(r.Context(), p.cfg.Storage, ask)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	name := ask.Channel + "-" + film.Start.UTC().Format("20060102T150405Z") + ".mp4"
	w.Header().Set("Content-Length", strconv.FormatInt(film.Size, 10))
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	p.send(w, r, film)
}

// send writes a film and closes it. What fails on the way can only end the connection.
func (p *player) send(w http.ResponseWriter, r *http.Request, film *playback.Film) {
	w.Header().Set("Content-Type", "video/mp4")
	var err error
	if r.Method != http.MethodHead {
		_, err = film.WriteTo(p.toClient(w, r))
	}
	p.sent(r, errors.Join(err, film.Close()))
}

// sent ends the connection where an answer broke off, so that the client sees that it did.
func (p *player) sent(r *http.Request, err error) {
	if err == nil {
		return
	}
	if r.Context().Err() == nil {
		p.cfg.Logger.Info("playing ended early", "request", r.URL.Path, "cause", err.Error())
	}
	panic(http.ErrAbortHandler)
}

func (p *player) file(w http.ResponseWriter, r *http.Request) {
	s, err := playback.File(p.cfg.Storage, r.PathValue("name"), r.PathValue("file"))
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	f, err := os.Open(s.Path)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	if slice := r.URL.Query().Get("slice"); slice != "" {
		err = p.slice(w, r, pack.Source{Path: s.Path, File: f}, slice)
	} else {
		err = p.whole(w, r, f)
	}
	p.sent(r, errors.Join(err, f.Close()))
}

// whole serves a file, or ranges of it.
func (p *player) whole(w http.ResponseWriter, r *http.Request, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "video/mp4")
	http.ServeContent(p.toClient(w, r), r, "", info.ModTime(), f)
	return nil
}

// slice serves a piece of a merged file as the playlist names it.
func (p *player) slice(w http.ResponseWriter, r *http.Request, s pack.Source, which string) error {
	lo, hi, ok := 0, 0, which == "init"
	if !ok {
		from, to, _ := strings.Cut(which, "-")
		var err1, err2 error
		lo, err1 = strconv.Atoi(from)
		hi, err2 = strconv.Atoi(to)
		ok = err1 == nil && err2 == nil && lo >= 0 && lo < hi
	}
	if !ok {
		p.refuse(w, r, fmt.Errorf("%w: slice=%.40s: init or FROM-TO, as a playlist says", playback.ErrAsk, which))
		return nil
	}
	info, err := s.File.Stat()
	if err != nil {
		return err
	}
	x, err := pack.ReadIndex(s.File, info.Size())
	if err != nil {
		p.refuse(w, r, err)
		return nil
	}
	w.Header().Set("Content-Type", "video/mp4")
	_, err = playback.Slice(p.toClient(w, r), s, x, which == "init", lo, hi)
	return err
}

// refuse says why recordings cannot be shown.
func (p *player) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var nothing *playback.NothingError
	var many *playback.ManyError
	switch {
	case errors.As(err, &many):
		write(w, http.StatusConflict, Error{Error: many.Error(), Hint: many.Hint(), Parts: many.Parts})
	case errors.As(err, &nothing):
		refuse(w, http.StatusNotFound, nothing.Error(), nothing.Hint())
	case errors.Is(err, playback.ErrNoFile), errors.Is(err, os.ErrNotExist):
		refuse(w, http.StatusNotFound, "no such recording: "+r.URL.Path, "it may have been merged or given up for room; GET …/timeline lists what is there")
	case errors.Is(err, playback.ErrAsk):
		refuse(w, http.StatusBadRequest, err.Error(), "from and to are RFC 3339, seconds since 1970, or relative to now, such as from=-10m")
	case errors.Is(err, pack.ErrDamaged):
		refuse(w, http.StatusInternalServerError, err.Error(), "the file is damaged; leave it out of the range")
	case errors.Is(err, context.Canceled):
		panic(http.ErrAbortHandler) // nobody waits for an answer
	default:
		p.noStorage(w, err)
	}
}

// toClient returns a writer to the client past what hides secrets in text, and without the time
// limit of other answers: each piece has its own.
func (p *player) toClient(w http.ResponseWriter, r *http.Request) *toClient {
	if s, ok := w.(scrubber); ok {
		w = s.ResponseWriter
	}
	c := &toClient{ResponseWriter: w, ctx: r.Context(), clock: p.clock, limits: http.NewResponseController(w)}
	_ = c.limits.SetReadDeadline(time.Time{}) //nolint:errcheck // where there is none, none ends it
	return c
}

// toClient writes to a client that takes a piece in time.
type toClient struct {
	http.ResponseWriter

	ctx    context.Context //nolint:containedctx // of the one request that it answers
	clock  *hal.Clock
	limits *http.ResponseController
}

// A client has to take a piece within patience.
const (
	pieceBytes = 256 << 10
	patience   = time.Minute
)

func (c *toClient) next() error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if err := c.limits.SetWriteDeadline(c.clock.Now().Add(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// Write implements io.Writer.
func (c *toClient) Write(b []byte) (int, error) {
	total := 0
	for {
		if err := c.next(); err != nil {
			return total, err
		}
		n, err := c.ResponseWriter.Write(b[:min(len(b), pieceBytes)])
		total += n
		if b = b[n:]; err != nil || len(b) == 0 {
			return total, err
		}
	}
}

// ReadFrom implements io.ReaderFrom: the kernel copies what lies in a file.
func (c *toClient) ReadFrom(r io.Reader) (int64, error) {
	total, left := int64(0), int64(-1)
	if l, ok := r.(*io.LimitedReader); ok {
		defer func() { l.N -= total }()
		r, left = l.R, l.N
	}
	for {
		n := int64(pieceBytes)
		if left >= 0 {
			n = min(n, left-total)
		}
		if n == 0 {
			return total, nil
		}
		if err := c.next(); err != nil {
			return total, err
		}
		got, err := io.Copy(c.ResponseWriter, &io.LimitedReader{R: r, N: n})
		total += got
		if err != nil || got < n {
			return total, err
		}
	}
}
