// Package api is the appliance's HTTP interface: what every channel does, and its commands.
// It serves this machine alone and knows no users: it answers no request that was meant for
// another host name, nor one that another web page makes a browser send. openapi.yaml, which
// it serves, describes it.
package api

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/playback"
	"github.com/millrace-video/millrace/pipeline"
)

//go:embed openapi.yaml
var openAPI []byte

// Engine is what the API shows and commands. *pipeline.Engine is one.
type Engine interface {
	Channels() []*pipeline.Channel
	Channel(name string) (*pipeline.Channel, error)
}

// Recordings starts and stops the recording of a channel that runs.
type Recordings interface {
	Recording(channel string, on bool) error
}

// Config is a server's settings.
type Config struct {
	Engine     Engine
	Events     Events       // nil: there is no event handling
	Recordings Recordings   // nil: no channel records
	Logger     *slog.Logger // default: silent
	// Uploads is what leaves the machine; nil: nothing does.
	Uploads Uploads
	// Clouds is the cloud storage of streams; nil: there is none.
	Clouds Clouds
	// Snapshots makes pictures of channels; nil: nobody does.
	Snapshots Snapshots
	// ExitTimeout is how long an exit command may take. Default 10 s.
	ExitTimeout time.Duration
	// Storage is what was recorded. Default: nobody knows, and requests for it are refused.
	Storage Storage
	// Scrub hides the secrets that an answer may still have. Default: nothing is hidden.
	Scrub func(string) string
}

// maxBody bounds a request's body; no request needs one.
const maxBody = 4 << 10

// NewServer returns a server with every limit set, ready for Serve.
func NewServer(cfg Config) *http.Server {
	cfg = cfg.withDefaults()
	return &http.Server{
		Handler:           Handler(cfg),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      cfg.ExitTimeout + 20*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ExitTimeout <= 0 {
		c.ExitTimeout = 10 * time.Second
	}
	return c
}

// Handler returns the API without its server.
func Handler(cfg Config) http.Handler {
	cfg = cfg.withDefaults()
	h := &handler{cfg: cfg}
	mux := http.NewServeMux()
	for _, r := range h.routes() {
		mux.HandleFunc(r.method+" "+r.path, r.serve)
	}
	for path, allowed := range h.methods() {
		mux.HandleFunc(path, wrongMethod(allowed))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "no such page: "+r.URL.Path, "see /v1/openapi.yaml for what there is")
	})
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "a command from another web page", "send it from this machine without an Origin of another host")
	}))
	return guarded(scrubbed(sameOrigin.Handler(mux), cfg.Scrub))
}

// guarded refuses what was meant for another host: a page whose name was made to point here.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if !local(r.Host) {
			refuse(w, http.StatusForbidden, "a request for another host", "use the address that millrace run prints, such as http://127.0.0.1:8080")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

func local(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" {
		return true
	}
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

type route struct {
	method, path string
	serve        http.HandlerFunc
}

func (h *handler) routes() []route {
	return append([]route{
		{http.MethodGet, "/v1/channels", h.list},
		{http.MethodGet, "/v1/channels/{name}", h.show},
		{http.MethodPost, "/v1/channels/{name}/init", h.command((*pipeline.Channel).Init)},
		{http.MethodPost, "/v1/channels/{name}/start", h.command((*pipeline.Channel).Start)},
		{http.MethodPost, "/v1/channels/{name}/pause", h.command((*pipeline.Channel).Pause)},
		{http.MethodPost, "/v1/channels/{name}/exit", h.exit},
		{http.MethodGet, "/v1/channels/{name}/events", h.events},
		{http.MethodPost, "/v1/channels/{name}/events", h.trigger},
		{http.MethodPost, "/v1/channels/{name}/recording/start", h.recording(true)},
		{http.MethodPost, "/v1/channels/{name}/recording/stop", h.recording(false)},
		{http.MethodGet, "/v1/channels/{name}/timeline", h.timeline},
		{http.MethodGet, "/v1/disk", h.disk},
		{http.MethodGet, "/v1/channels/{name}/frames", h.frames},
		{http.MethodGet, "/v1/uploads", h.uploads},
		{http.MethodGet, "/v1/cloud", h.clouds},
		{http.MethodPost, "/v1/channels/{name}/cloud/{service}/start", h.serve(true)},
		{http.MethodPost, "/v1/channels/{name}/cloud/{service}/stop", h.serve(false)},
		{http.MethodGet, "/v1/channels/{name}/snapshot.jpg", h.snapshot},
		{http.MethodGet, "/v1/snapshots", h.snapshots},
		{http.MethodGet, "/v1/openapi.yaml", h.description},
	}, newPlayer(h).routes()...)
}

// Routes returns what the API answers, as METHOD PATH.
func Routes() []string {
	routes := (&handler{}).routes()
	all := make([]string, 0, len(routes))
	for _, r := range routes {
		all = append(all, r.method+" "+r.path)
	}
	return all
}

type handler struct{ cfg Config }

// Channels is the answer to GET /v1/channels.
type Channels struct {
	Channels []pipeline.Status `json:"channels"`
}

// Error is every answer that is not a success.
type Error struct {
	Error string `json:"error"`          // what is wrong
	Hint  string `json:"hint,omitempty"` // what to do
	// Parts are the films that a range is, where it is not one.
	Parts []playback.Part `json:"parts,omitempty"`
}

func (h *handler) list(w http.ResponseWriter, _ *http.Request) {
	answer := Channels{Channels: []pipeline.Status{}}
	for _, c := range h.cfg.Engine.Channels() {
		answer.Channels = append(answer.Channels, status(c))
	}
	write(w, http.StatusOK, answer)
}

// status is a channel's, with lists where there is nothing to list.
func status(c *pipeline.Channel) pipeline.Status {
	s := c.Status()
	if s.Sources == nil {
		s.Sources = []pipeline.SourceStatus{}
	}
	if s.Stages == nil {
		s.Stages = []pipeline.StageStatus{}
	}
	if s.Queues == nil {
		s.Queues = []pipeline.QueueStats{}
	}
	return s
}

// find returns the channel that a request names, or answers.
func (h *handler) find(w http.ResponseWriter, r *http.Request) *pipeline.Channel {
	c, err := h.cfg.Engine.Channel(r.PathValue("name"))
	if err != nil {
		refuse(w, http.StatusNotFound, err.Error(), "GET /v1/channels lists the channels")
		return nil
	}
	return c
}

func (h *handler) show(w http.ResponseWriter, r *http.Request) {
	if c := h.find(w, r); c != nil {
		write(w, http.StatusOK, status(c))
	}
}

func (h *handler) command(do func(*pipeline.Channel) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if c := h.find(w, r); c != nil {
			h.done(w, c, do(c))
		}
	}
}

// recording starts or stops what a channel records; the channel goes on.
func (h *handler) recording(on bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := h.find(w, r)
		if c == nil {
			return
		}
		err := errNoRecordings
		if h.cfg.Recordings != nil {
			err = h.cfg.Recordings.Recording(c.Name(), on)
		}
		if err != nil {
			refuse(w, http.StatusConflict, err.Error(), "set record.enabled to true and start millrace again")
			return
		}
		h.done(w, c, nil)
	}
}

var errNoRecordings = errors.New("nothing is recorded here")

func (h *handler) exit(w http.ResponseWriter, r *http.Request) {
	c := h.find(w, r)
	if c == nil {
		return
	}
	// A client that goes away does not turn an ordered exit into a forced one.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), h.cfg.ExitTimeout)
	defer cancel()
	h.done(w, c, c.Exit(ctx))
}

// done answers a command.
func (h *handler) done(w http.ResponseWriter, c *pipeline.Channel, err error) {
	switch {
	case err == nil:
		write(w, http.StatusOK, status(c))
	case errors.Is(err, pipeline.ErrNotInitialised):
		refuse(w, http.StatusConflict, err.Error(), "initialise it first: millrace channel init "+c.Name())
	case errors.Is(err, pipeline.ErrNotLeft):
		refuse(w, http.StatusConflict, err.Error(), "the stage is stuck; a later exit looks whether it has left")
	case errors.Is(err, pipeline.ErrExiting):
		refuse(w, http.StatusConflict, err.Error(), "wait until its exit is done")
	default:
		h.cfg.Logger.Warn("command failed", "channel", c.Name(), "cause", err.Error())
		refuse(w, http.StatusInternalServerError, err.Error(), "the cause is in the message and in the channel's status")
	}
}

func (h *handler) description(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openAPI) //nolint:errcheck // a client that has gone needs no answer
}

// methods returns what may be done with each path.
func (h *handler) methods() map[string][]string {
	all := map[string][]string{}
	for _, r := range h.routes() {
		all[r.path] = append(all[r.path], r.method)
	}
	return all
}

// wrongMethod answers where the path is right and the method is not.
func wrongMethod(allowed []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		refuse(w, http.StatusMethodNotAllowed, r.Method+" does not go with "+r.URL.Path, "use "+strings.Join(allowed, " or "))
	}
}

func refuse(w http.ResponseWriter, code int, message, hint string) {
	write(w, code, Error{Error: message, Hint: hint})
}

func write(w http.ResponseWriter, code int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(answer) //nolint:errcheck // a client that has gone needs no answer
}

// scrubber is an answer whose secrets are hidden on the way.
type scrubber struct {
	http.ResponseWriter
	scrub func(string) string
}

func (s scrubber) Write(text []byte) (int, error) {
	if kind, _, _ := strings.Cut(s.Header().Get("Content-Type"), "/"); kind == "image" || kind == "video" {
		return s.ResponseWriter.Write(text) // pixels are no text
	}
	if _, err := io.WriteString(s.ResponseWriter, s.scrub(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}

// scrubbed hides secrets in what next answers.
func scrubbed(next http.Handler, scrub func(string) string) http.Handler {
	if scrub == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(scrubber{w, scrub}, r)
	})
}
