package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/acquire"
)

const waitLong, waitStep = 30 * time.Second, 50 * time.Millisecond

// sink is a branch that lets its frames go.
type sink struct{ broken error }

func (s sink) Name() string                              { return "sink" }
func (s sink) Open(context.Context, pipeline.Env) error  { return s.broken }
func (s sink) Work(_ context.Context, f hal.Frame) error { f.Release(); return nil }
func (s sink) Flush(context.Context) error               { return nil }
func (s sink) Close() error                              { return nil }

// engine has a channel that works, gate, one whose Init fails, yard, and one whose camera is
// not there, lane.
func engine(t *testing.T) *pipeline.Engine {
	t.Helper()
	reg := hal.NewRegistry(synth.Driver{})
	eng := pipeline.NewEngine(pipeline.Config{})
	for _, def := range []*pipeline.Definition{
		pipeline.Define("gate", acquire.From(reg, "synth://?rate=100")).Branch("disk", pipeline.Limit{}, sink{}),
		pipeline.Define("yard", acquire.From(reg, "synth://")).Branch("disk", pipeline.Limit{}, sink{os.ErrPermission}),
		pipeline.Define("lane", acquire.From(reg, "synth://?fail=open")).Branch("disk", pipeline.Limit{}, sink{}),
	} {
		_, err := eng.Define(def)
		require.NoError(t, err)
	}
	t.Cleanup(func() { require.NoError(t, eng.Exit(context.Background())) })
	return eng
}

func serve(t *testing.T, eng *pipeline.Engine) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(api.Handler(api.Config{Engine: eng, Scrub: func(s string) string { return strings.ReplaceAll(s, "fail=open", "fail=xxxxx") }}))
	t.Cleanup(s.Close)
	return s
}

// ask sends a request and returns the answer's code and JSON, which it holds against the
// description.
func ask(t *testing.T, s *httptest.Server, method, path string, change ...func(*http.Request)) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
	require.NoError(t, err)
	for _, c := range change {
		c(req)
	}
	resp, err := s.Client().Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"), "%s", text)
	var answer map[string]any
	require.NoError(t, json.Unmarshal(text, &answer), "%s", text)
	described(t, method, path, resp.StatusCode, answer)
	return resp.StatusCode, answer
}

func TestCommandsOfAChannel(t *testing.T) { // P4, A1
	s := serve(t, engine(t))
	for _, step := range []struct {
		command string
		code    int
		state   string
	}{
		{"start", http.StatusConflict, ""},
		{"pause", http.StatusConflict, ""},
		{"exit", http.StatusOK, "exited"},
		{"init", http.StatusOK, "parked"},
		{"init", http.StatusOK, "parked"},
		{"start", http.StatusOK, "waiting|running"},
		{"pause", http.StatusOK, "paused"},
		{"pause", http.StatusOK, "paused"},
		{"start", http.StatusOK, "waiting|running"},
		{"exit", http.StatusOK, "exited"},
		{"init", http.StatusOK, "parked"},
	} {
		code, answer := ask(t, s, http.MethodPost, "/v1/channels/gate/"+step.command)
		require.Equal(t, step.code, code, "%s: %v", step.command, answer)
		if code == http.StatusOK {
			require.Regexp(t, "^("+step.state+")$", answer["state"], step.command)
		} else {
			require.Equal(t, "channel gate is exited: channel is not initialised", answer["error"])
			require.Equal(t, "initialise it first: millrace channel init gate", answer["hint"])
		}
	}
}

func TestAnInitThatFailsNamesItsStage(t *testing.T) {
	s := serve(t, engine(t))
	code, answer := ask(t, s, http.MethodPost, "/v1/channels/yard/init")
	require.Equal(t, http.StatusInternalServerError, code)
	require.Equal(t, "channel yard, stage disk: permission denied", answer["error"])
}

func TestStatusShowsQueuesStagesAndCauses(t *testing.T) {
	eng := engine(t)
	s := serve(t, eng)
	for _, name := range []string{"gate", "lane"} {
		ask(t, s, http.MethodPost, "/v1/channels/"+name+"/init")
		ask(t, s, http.MethodPost, "/v1/channels/"+name+"/start")
	}
	var gate map[string]any
	require.Eventually(t, func() bool {
		_, gate = ask(t, s, http.MethodGet, "/v1/channels/gate")
		return gate["fps"] != 0.0
	}, waitLong, waitStep)
	queue := object(t, list(t, gate["queues"])[0])
	require.Equal(t, "disk", queue["name"])
	require.InDelta(t, 64, queue["capacity"], 0)
	require.Contains(t, queue["dropped"], "full")
	stages := list(t, gate["stages"])
	require.Equal(t, "acquire", object(t, stages[0])["name"])
	require.NotZero(t, object(t, object(t, stages[1])["latency"])["count"])
	require.Eventually(t, func() bool {
		_, lane := ask(t, s, http.MethodGet, "/v1/channels/lane")
		cause, _ := object(t, list(t, lane["sources"])[0])["cause"].(string)
		return lane["state"] == "waiting" && strings.Contains(cause, "no such device") && !strings.Contains(cause, "fail=open")
	}, waitLong, waitStep, "the cause, without what Scrub hides")
	_, all := ask(t, s, http.MethodGet, "/v1/channels")
	require.Len(t, all["channels"], 3)
}

func TestWhatIsNotThere(t *testing.T) {
	s := serve(t, engine(t))
	code, answer := ask(t, s, http.MethodGet, "/v1/channels/nobody")
	require.Equal(t, http.StatusNotFound, code)
	require.Equal(t, `channel "nobody": no such channel`, answer["error"])
	code, _ = ask(t, s, http.MethodPost, "/v1/channels/nobody/exit")
	require.Equal(t, http.StatusNotFound, code)
	code, _ = ask(t, s, http.MethodGet, "/v2/x")
	require.Equal(t, http.StatusNotFound, code)
	code, _ = ask(t, s, http.MethodPost, "/v1/channels/gate/dance")
	require.Equal(t, http.StatusNotFound, code)
}

// A page in somebody's browser must not command cameras, nor read them by a name of its own
// that points here.
func TestOtherPagesAreRefused(t *testing.T) {
	header := func(key, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(key, value) }
	}
	host := func(value string) func(*http.Request) { return func(r *http.Request) { r.Host = value } }
	s := serve(t, engine(t))
	for _, tc := range []struct {
		name, method string
		change       func(*http.Request)
		code         int
	}{
		{"another host", http.MethodGet, host("evil.example"), http.StatusForbidden},
		{"another host with a port", http.MethodPost, host("evil.example:8080"), http.StatusForbidden},
		{"a private address", http.MethodGet, host("192.168.1.1:8080"), http.StatusForbidden},
		{"no host", http.MethodGet, host("."), http.StatusForbidden},
		{"localhost", http.MethodGet, host("localhost:8080"), http.StatusOK},
		{"IPv6", http.MethodGet, host("[::1]:8080"), http.StatusOK},
		{"another origin", http.MethodPost, header("Origin", "http://evil.example"), http.StatusForbidden},
		{"cross-site", http.MethodPost, header("Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		{"same origin", http.MethodPost, header("Sec-Fetch-Site", "same-origin"), http.StatusOK},
		{"typed in", http.MethodPost, header("Sec-Fetch-Site", "none"), http.StatusOK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := "/v1/channels/gate"
			if tc.method == http.MethodPost {
				path += "/exit"
			}
			code, answer := ask(t, s, tc.method, path, tc.change)
			require.Equal(t, tc.code, code, "%v", answer)
		})
	}
}

func TestEveryOtherMethodIsRefused(t *testing.T) {
	s := serve(t, engine(t))
	right := map[string][]string{}
	for _, route := range api.Routes() {
		method, path, _ := strings.Cut(route, " ")
		right[path] = append(right[path], method)
	}
	for path, methods := range right {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			if slices.Contains(methods, method) {
				continue
			}
			code, answer := ask(t, s, method, strings.ReplaceAll(path, "{name}", "gate"))
			require.Equal(t, http.StatusMethodNotAllowed, code, "%s %s: %v", method, path, answer)
			require.Equal(t, "use "+strings.Join(methods, " or "), answer["hint"])
		}
	}
}

func TestServerHasLimits(t *testing.T) {
	s := api.NewServer(api.Config{})
	require.NotZero(t, s.ReadHeaderTimeout)
	require.NotZero(t, s.ReadTimeout)
	require.NotZero(t, s.WriteTimeout)
	require.NotZero(t, s.IdleTimeout)
	require.NotZero(t, s.MaxHeaderBytes)
}

// The description names every route, and no other.
func TestDescriptionHasEveryRoute(t *testing.T) {
	var routes []string
	for path, item := range object(t, spec(t)["paths"]) {
		for method := range object(t, item) {
			if method != "parameters" {
				routes = append(routes, strings.ToUpper(method)+" "+path)
			}
		}
	}
	require.ElementsMatch(t, api.Routes(), routes)
	s := serve(t, engine(t))
	resp, err := s.Client().Get(s.URL + "/v1/openapi.yaml") //nolint:noctx // a test
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	want, err := os.ReadFile("openapi.yaml")
	require.NoError(t, err)
	require.Equal(t, string(want), string(text))
}

func spec(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile("openapi.yaml")
	require.NoError(t, err)
	var all map[string]any
	require.NoError(t, yaml.Unmarshal(text, &all))
	return all
}

// described holds an answer against the description.
func described(t *testing.T, method, path string, code int, answer map[string]any) {
	t.Helper()
	all := spec(t)
	path, _, _ = strings.Cut(path, "?")
	if code == http.StatusMethodNotAllowed || strings.HasPrefix(path, "/v2") || strings.HasSuffix(path, "/dance") {
		matches(t, all, map[string]any{"$ref": "#/components/schemas/Error"}, answer, path)
		return
	}
	path = regexp.MustCompile(`^/v1/channels/[^/]+`).ReplaceAllString(path, "/v1/channels/{name}")
	path = regexp.MustCompile(`/cloud/[^/]+/`).ReplaceAllString(path, "/cloud/{service}/")
	item := object(t, object(t, all["paths"])[path])
	responses := object(t, object(t, item[strings.ToLower(method)])["responses"])
	response, ok := responses[strconv.Itoa(code)]
	require.True(t, ok, "%s %s answers %d, which is not described", method, path, code)
	found := resolve(t, all, object(t, response))
	schema := object(t, object(t, object(t, found["content"])["application/json"])["schema"])
	matches(t, all, schema, answer, path)
}

func resolve(t *testing.T, all, schema map[string]any) map[string]any {
	t.Helper()
	ref, ok := schema["$ref"].(string)
	if !ok {
		return schema
	}
	at := all
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = object(t, at[name])
	}
	return at
}

// matches is as much of JSON Schema as the description uses.
func matches(t *testing.T, all, schema map[string]any, value any, at string) {
	t.Helper()
	schema = resolve(t, all, schema)
	switch schema["type"] {
	case "string":
		require.IsType(t, "", value, at)
		if enum, ok := schema["enum"].([]any); ok {
			require.True(t, slices.Contains(enum, value), "%s: %v is not described", at, value)
		}
	case "integer", "number":
		require.IsType(t, 0.0, value, at)
	case "boolean":
		require.IsType(t, true, value, at)
	case "array":
		for _, v := range list(t, value) {
			matches(t, all, object(t, schema["items"]), v, at+"[]")
		}
	case "object":
		o := object(t, value)
		properties, _ := schema["properties"].(map[string]any)
		required, _ := schema["required"].([]any)
		for _, name := range required {
			require.Contains(t, o, name, at)
		}
		for name, v := range o {
			if p, ok := properties[name]; ok {
				matches(t, all, object(t, p), v, at+"."+name)
			} else if schema["additionalProperties"] == false {
				require.Fail(t, "not described: "+at+"."+name)
			}
		}
	default:
		require.Fail(t, "a schema without a type at "+at)
	}
}

func object(t *testing.T, v any) map[string]any {
	t.Helper()
	o, ok := v.(map[string]any)
	require.True(t, ok, "not an object: %v", v)
	return o
}

func list(t *testing.T, v any) []any {
	t.Helper()
	l, ok := v.([]any)
	require.True(t, ok, "not a list: %v", v)
	return l
}
