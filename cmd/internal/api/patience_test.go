package api_test

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/playback/playbacktest"
	"github.com/millrace-video/millrace/pipeline"
)

// A film may take longer than any other answer: what counts is that the client goes on.
func TestAClientThatReadsSlowlyGetsItAll(t *testing.T) { // R6
	s := playbacktest.Record(t, "&bitrate=20M", nil)
	server := api.NewServer(api.Config{Engine: pipeline.NewEngine(pipeline.Config{}), Storage: recordings{s}})
	server.ReadTimeout, server.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	left := make(chan error, 1)
	go func() { left <- server.Serve(l) }()
	defer func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-left, http.ErrServerClosed)
	}()
	resp, err := http.Get("http://" + l.Addr().String() + "/v1/channels/gate/export?from=2026-03-01T12:00:00Z&to=2026-03-01T13:00:00Z") //nolint:noctx // a test
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	require.Greater(t, resp.ContentLength, int64(20<<20), "more than lies between the two")
	for n := int64(0); n < resp.ContentLength; {
		step := min(resp.ContentLength/10+1, resp.ContentLength-n)
		got, err := io.CopyN(io.Discard, resp.Body, step)
		require.NoError(t, err, "after %d bytes", n)
		n += got
		<-time.After(100 * time.Millisecond) //nolint:forbidigo // a client that takes its time
	}
}

func TestNoMoreAreServedThanThereIsRoomFor(t *testing.T) { // R6: bounded memory
	s := playbacktest.Record(t, "&bitrate=20M", nil)
	server := play(t, s)
	begin := playbacktest.Begin()
	where := query(server, "export", begin, begin.Add(time.Hour))
	for range 2 {
		resp, err := server.Client().Get(where) //nolint:noctx // a test
		require.NoError(t, err)
		defer func() { require.NoError(t, resp.Body.Close()) }() // unread until then
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	code, answer := ask(t, server, http.MethodGet, where[len(server.URL):])
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "2 others are served now", answer["error"])
}

func TestAHeadIsAnsweredWithoutTheFilm(t *testing.T) { // R6
	server := play(t, playbacktest.Record(t, "", nil))
	begin := playbacktest.Begin()
	resp, err := server.Client().Head(query(server, "export", begin, begin.Add(time.Hour))) //nolint:noctx // a test
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Positive(t, resp.ContentLength)
}
