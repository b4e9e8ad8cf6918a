package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/stages/event"
)

// alarms is event handling that notes its triggers.
type alarms struct {
	got []string
	err error
}

func (a *alarms) Trigger(channel string, set uint32, at *int64) error {
	when := "now"
	if at != nil {
		when = fmt.Sprint(*at)
	}
	a.got = append(a.got, fmt.Sprintf("%s %#x %s", channel, set, when))
	return a.err
}

func (a *alarms) Events(string) (api.ChannelEvents, error) {
	return api.ChannelEvents{
		Status: event.Status{Event: true, Open: true, Fired: []event.Source{event.Motion, 20}},
		Recent: []api.EventLine{{Kind: api.EventMessage, Event: 1, Source: "motion", At: 5, Time: 5, Opens: true}, {Kind: api.EventRecording, Event: 1, Part: 1, From: 3, To: 4}, {Kind: api.EventPicture, Event: 1, Source: "motion", Time: 6, Code: new(0), Result: "uploaded", URL: "file:///p.jpg"}, {Kind: api.EventPicture, Event: 1, Source: "person", Time: 7, Code: new(1), Result: "timed out", Cause: "refused"}},
	}, nil
}

func body(text string) func(*http.Request) {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	}
}

func alarmed(t *testing.T, a *alarms) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(api.Handler(api.Config{Engine: engine(t), Events: a}))
	t.Cleanup(s.Close)
	return s
}

func TestATriggerByTheAPI(t *testing.T) { // C6
	var a alarms
	s := alarmed(t, &a)
	for text, want := range map[string]string{
		`{"type": "motion"}`:                        "gate 0x1 now",
		`{"type": 31, "at": 1795270518215}`:         "gate 0x80000000 1795270518215",
		`{"type": "user-16", "at": 0}`:              "gate 0x10000 0",
		"\n{\"at\": -5, \"type\": \"linkage\"}\n\n": "gate 0x8 -5",
	} {
		a.got = nil
		code, answer := ask(t, s, http.MethodPost, "/v1/channels/gate/events", body(text))
		require.Equal(t, http.StatusOK, code, "%s: %v", text, answer)
		require.Equal(t, []string{want}, a.got)
		require.Equal(t, "gate", answer["channel"])
	}
	a.got = nil
	for _, text := range []string{
		"", "{}", "[]", "null", "motion", `{"type": 32}`, `{"type": -1}`, `{"type": "cat"}`, `{"type": 1.5}`, `{"type": ["motion"]}`, `{"type": null}`,
		`{"type": "motion", "at": "now"}`, `{"type": "motion", "at": 1.5}`, `{"type": "motion", "at": 99999999999999999999}`,
		`{"type": "motion", "when": 5}`, `{"type": "motion"} {"type": "motion"}`, `{"type": "` + strings.Repeat("x", 5000) + `"}`,
	} {
		code, answer := ask(t, s, http.MethodPost, "/v1/channels/gate/events", body(text))
		require.Equal(t, http.StatusBadRequest, code, text)
		require.Contains(t, answer["hint"], `{"type": "motion"}`)
	}
	code, _ := ask(t, s, http.MethodPost, "/v1/channels/nobody/events", body(`{"type": 1}`))
	require.Equal(t, http.StatusNotFound, code)
	require.Empty(t, a.got, "what is refused has no effect")
}

func TestWhyATriggerIsRefused(t *testing.T) {
	for _, err := range []error{event.ErrOff, event.ErrFull, event.ErrNotRunning, event.ErrExiting} {
		code, answer := ask(t, alarmed(t, &alarms{err: err}), http.MethodPost, "/v1/channels/gate/events", body(`{"type": 1}`))
		require.Equal(t, http.StatusConflict, code)
		require.Equal(t, err.Error(), answer["error"])
		require.NotEmpty(t, answer["hint"])
	}
	code, _ := ask(t, serve(t, engine(t)), http.MethodPost, "/v1/channels/gate/events", body(`{"type": 1}`))
	require.Equal(t, http.StatusConflict, code, "an appliance without events")
}

func TestEventsOfAChannel(t *testing.T) { // C4
	code, answer := ask(t, alarmed(t, &alarms{}), http.MethodGet, "/v1/channels/gate/events")
	require.Equal(t, http.StatusOK, code)
	require.Len(t, answer["recent"], 4)
	picture := object(t, answer["recent"].([]any)[2])
	require.Equal(t, []any{0.0, "uploaded", "file:///p.jpg"}, []any{picture["code"], picture["result"], picture["url"]})
	require.NotContains(t, object(t, answer["recent"].([]any)[0]), "code", "a message has none")
	require.Equal(t, []any{"motion", "user-20"}, object(t, answer["status"])["fired"])
	code, answer = ask(t, serve(t, engine(t)), http.MethodGet, "/v1/channels/gate/events")
	require.Equal(t, http.StatusOK, code)
	require.Empty(t, answer["recent"])
}

func FuzzTriggerBody(f *testing.F) {
	f.Add(`{"type": "motion", "at": 5}`)
	f.Add(`{"type": 31}`)
	f.Add(`{"type": "`)
	f.Fuzz(func(t *testing.T, text string) {
		var a alarms
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/v1/channels/gate/events", strings.NewReader(text))
		w := httptest.NewRecorder()
		api.Handler(api.Config{Engine: engine(t), Events: &a}).ServeHTTP(w, r)
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, w.Code)
		require.Equal(t, w.Code == http.StatusOK, len(a.got) == 1)
	})
}
