package api_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/cmd/internal/playback/playbacktest"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/pack/packtest"
)

// recordings is a catalog of one.
type recordings struct{ *playbacktest.Shelf }

func (recordings) Account(catalog.Timeline) catalog.Account { return catalog.Account{} }
func (recordings) Usage() (catalog.Usage, error)            { return catalog.Usage{}, nil }

func play(t *testing.T, s *playbacktest.Shelf) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(api.Handler(api.Config{
		Engine: pipeline.NewEngine(pipeline.Config{}), Storage: recordings{s},
		Scrub: func(s string) string { return strings.ReplaceAll(s, "\x00", "x") }, // it is for text, not for films
	}))
	t.Cleanup(server.Close)
	return server
}

func query(s *httptest.Server, what string, from, to time.Time) string {
	return s.URL + "/v1/channels/gate/" + what + "?" + url.Values{
		"from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)},
	}.Encode()
}

// fetch saves an answer.
func fetch(t *testing.T, from string) (path string, header http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, from, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%.300s", body)
	path = filepath.Join(t.TempDir(), "film.mp4")
	require.NoError(t, os.WriteFile(path, body, 0o600))
	if n := resp.Header.Get("Content-Length"); n != "" {
		require.Equal(t, n, strconv.Itoa(len(body)))
	}
	return path, resp.Header
}

func TestAnyRangeIsPlayedAndExportedExactly(t *testing.T) { // R6: must show 6
	for _, audio := range []string{"none", "aac", "pcma"} { // pcma is stored as LPCM
		t.Run(audio, func(t *testing.T) {
			s := playbacktest.Record(t, "&audio="+audio, nil)
			server := play(t, s)
			random := rand.New(rand.NewPCG(6, 20)) //nolint:gosec // the same ranges each time
			whole := s.Shown[len(s.Shown)-1].At.Sub(playbacktest.Begin())
			for i := range 20 {
				from := playbacktest.Begin().Add(time.Duration(random.Int64N(int64(whole))).Truncate(time.Millisecond) + 333*time.Microsecond)
				to := from.Add(time.Second + time.Duration(random.Int64N(int64(15*time.Second))).Truncate(time.Millisecond))
				want := s.Numbers(from, to, false)
				if len(want) == 0 {
					continue // in the gap
				}
				film, header := fetch(t, query(server, "export", from, to))
				require.NotEmpty(t, header.Get("Content-Length"))
				require.Equal(t, "video/mp4", header.Get("Content-Type"))
				require.Regexp(t, `^attachment; filename=gate-20260301T1200\d\dZ.mp4$`, header.Get("Content-Disposition"))
				require.Equal(t, want, playbacktest.Read(t, film), "export %s %s", from, to)

				stream, header := fetch(t, query(server, "play", from, to))
				require.Equal(t, s.Numbers(from, to, true), playbacktest.Read(t, stream), "play %s %s", from, to)
				start, err := time.Parse(time.RFC3339Nano, header.Get("Millrace-Start"))
				require.NoError(t, err)
				require.Equal(t, s.Numbers(start.Add(-time.Millisecond), to, false), s.Numbers(from, to, true))
				if audio != "none" && i < 3 {
					require.Positive(t, packtest.Plays(t, film, 1), "the sound is there")
					require.Positive(t, packtest.Plays(t, stream, 1), "the sound is there")
				}
			}
		})
	}
}

// A film's time is the wall clock's, also after a gap: the picture before is held.
func TestAGapIsAsLongAsItWas(t *testing.T) { // R6
	s := playbacktest.Record(t, "&audio=none", nil)
	server := play(t, s)
	from := playbacktest.Begin().Add(20 * time.Second)
	to := from.Add(15 * time.Second)
	for _, what := range []string{"export", "play"} {
		film, _ := fetch(t, query(server, what, from, to))
		all := packtest.Probe(t, film)
		first, last := all[0], all[len(all)-1]
		require.InDelta(t, 14.98, float64(last.PTS-first.PTS)/90000, 0.001, what)
	}
}

// A camera whose clock is fast makes files longer than the time they are of.
func TestFilesThatOverlapALittleAreOneFilm(t *testing.T) { // R6
	s := playbacktest.Record(t, "&audio=aac", nil)
	s.Segments[1].Start.Wall -= int64(30 * time.Millisecond)
	s.Segments[3].Start.Wall -= int64(90 * time.Millisecond)
	server := play(t, s)
	for _, what := range []string{"export", "play"} {
		film, _ := fetch(t, query(server, what, playbacktest.Begin(), playbacktest.Begin().Add(time.Hour)))
		require.Len(t, playbacktest.Read(t, film), len(s.Shown), what)
		require.Positive(t, packtest.Plays(t, film, 1))
		last := map[int]int64{}
		for _, p := range packtest.Probe(t, film) {
			if was, ok := last[p.Track]; ok {
				require.Greater(t, p.DTS, was, "%s, track %d", what, p.Track)
			}
			last[p.Track] = p.DTS
		}
	}
}

func TestAPlaylistPlaysItsFiles(t *testing.T) { // R6
	s := playbacktest.Record(t, "&audio=aac", nil)
	server := play(t, s)
	for _, tc := range []struct {
		name     string
		from, to time.Duration
		first    time.Duration // where the piece that holds from begins
		last     time.Duration
	}{
		{"all, with a merged file and the one under way", 0, time.Hour, 0, time.Hour},
		{"of the merged file", 5 * time.Second, 7 * time.Second, 4 * time.Second, 8 * time.Second},
		{"from the merged file on", 15 * time.Second, 18 * time.Second, 12 * time.Second, 20 * time.Second},
		{"over the gap", 21 * time.Second, 33 * time.Second, 20 * time.Second, 35300 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			begin := playbacktest.Begin()
			where := query(server, "play", begin.Add(tc.from), begin.Add(tc.to)) + "&format=hls"
			path, header := fetch(t, where)
			require.Equal(t, "application/vnd.apple.mpegurl", header.Get("Content-Type"))
			text, err := os.ReadFile(path) //nolint:gosec // as fetched
			require.NoError(t, err)
			require.Equal(t, s.Numbers(begin.Add(tc.first), begin.Add(tc.last), false), pieces(t, server, string(text)))
			if tc.from != tc.first {
				require.Contains(t, string(text), "#EXT-X-START:TIME-OFFSET="+strconv.FormatFloat((tc.from-tc.first).Seconds(), 'f', 3, 64))
			}
			require.Contains(t, string(text), "#EXT-X-PROGRAM-DATE-TIME:"+begin.Add(tc.first).Format("2006-01-02T15:04:05.000Z"))
		})
	}
}

// pieces plays each file's part of a playlist on its own, as players do at a discontinuity, and
// returns the numbers of all.
func pieces(t *testing.T, server *httptest.Server, text string) []uint32 {
	t.Helper()
	head, rest, _ := strings.Cut(text, "#EXT-X-MAP")
	head = regexp.MustCompile(`#EXT-X-START[^\n]*\n`).ReplaceAllString(head, "")
	uri := regexp.MustCompile(`(?m)^files/|URI="files/`)
	var all []uint32
	for part := range strings.SplitSeq(rest, "#EXT-X-DISCONTINUITY\n#EXT-X-MAP") {
		part = head + "#EXT-X-MAP" + strings.TrimSuffix(part, "#EXT-X-ENDLIST\n") + "#EXT-X-ENDLIST\n"
		part = uri.ReplaceAllStringFunc(part, func(u string) string {
			return strings.Replace(u, "files/", server.URL+"/v1/channels/gate/files/", 1)
		})
		path := filepath.Join(t.TempDir(), "part.m3u8")
		require.NoError(t, os.WriteFile(path, []byte(part), 0o600))
		all = append(all, playbacktest.Read(t, path, "-protocol_whitelist", "file,http,tcp", "-allowed_extensions", "ALL")...)
	}
	return all
}

func TestARangeThatIsNotOneFilmNamesItsParts(t *testing.T) { // R6, S clock
	s := playbacktest.Record(t, "", nil)
	s.Segments[2].Start.Wall -= int64(time.Hour) // the clock was set back
	s.Segments[3].Start.Wall -= int64(time.Hour)
	server := play(t, s)
	begin := playbacktest.Begin()
	where := strings.TrimPrefix(query(server, "export", begin.Add(-2*time.Hour), begin.Add(time.Hour)), server.URL)
	code, answer := ask(t, server, http.MethodGet, where)
	require.Equal(t, http.StatusConflict, code)
	require.Contains(t, answer["error"], "the clock was set back by")
	parts := list(t, answer["parts"])
	require.Len(t, parts, 2)
	require.Contains(t, answer["hint"], "&file=4")
	film, _ := fetch(t, server.URL+where+"&file=1")
	require.Len(t, playbacktest.Read(t, film), 600)
	film, _ = fetch(t, server.URL+where+"&file=2") // it was merged into that of number 1
	require.Len(t, playbacktest.Read(t, film), 600)
	film, _ = fetch(t, server.URL+where+"&file=4")
	require.Len(t, playbacktest.Read(t, film), 325)
	code, _ = ask(t, server, http.MethodGet, where+"&file=5")
	require.Equal(t, http.StatusBadRequest, code)
}

func TestWhatCannotBePlayedSaysWhy(t *testing.T) { // R6, A3
	server := play(t, playbacktest.Record(t, "", nil))
	for _, tc := range []struct {
		path, name string
		code       int
		says       string
	}{
		{"play", "no range", 400, "from is missing"},
		{"play?from=yesterday", "no time", 400, "from=yesterday"},
		{"play?from=-10m&to=-20m", "backwards", 400, "is not later"},
		{"play?from=-10m&speed=2", "an option that is not there", 400, "speed"},
		{"play?from=-10m&format=avi", "a format that is not there", 400, "there are mp4 and hls"},
		{"export?from=2026-03-01T11:00:00Z&to=2026-03-01T11:30:00Z", "before all", 404, "the first recording begins at 2026-03-01T12:00:00Z"},
		{"export?from=2026-03-01T13:00:00Z&to=2026-03-01T13:30:00Z", "after all", 404, "the last recording ends at 2026-03-01T12:00:44.3Z"},
		{"play?from=2026-03-01T12:00:25Z&to=2026-03-01T12:00:30Z", "in a gap", 404, "end before it at 2026-03-01T12:00:24Z and go on at 2026-03-01T12:00:31.3Z"},
		{"play?format=hls&from=2026-03-01T12:00:25Z&to=2026-03-01T12:00:30Z", "a playlist in a gap", 404, "go on at"},
		{"files/..%2Fsecret.mp4", "a path outside", 404, "no such recording"},
		{"files/00000001-20260301T120000Z.mp4", "a file that is not there", 404, "no such recording"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp, err := server.Client().Get(server.URL + "/v1/channels/gate/" + tc.path) //nolint:noctx // a test
			require.NoError(t, err)
			defer func() { require.NoError(t, resp.Body.Close()) }()
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, tc.code, resp.StatusCode, "%s", text)
			require.Contains(t, string(text), tc.says)
		})
	}
}

// A file that retention takes while it is played is played to its end.
func TestAFileThatGoesWhileItIsPlayedIsPlayed(t *testing.T) { // R6, R7
	s := playbacktest.Record(t, "&bitrate=20M", nil)
	server := play(t, s)
	begin := playbacktest.Begin()
	want := s.Numbers(begin, begin.Add(time.Hour), false)
	resp, err := server.Client().Get(query(server, "play", begin, begin.Add(time.Hour))) //nolint:noctx // a test
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	for _, one := range s.Segments {
		require.NoError(t, os.Remove(one.Path))
	}
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "film.mp4")
	require.NoError(t, os.WriteFile(path, body, 0o600))
	require.Equal(t, want, playbacktest.Read(t, path))
}

// A client that stops reading or goes holds nobody up.
func TestAClientThatGoesEndsItsWork(t *testing.T) { // R6
	s := playbacktest.Record(t, "&bitrate=20M", nil)
	server := play(t, s)
	begin := playbacktest.Begin()
	for range 40 { // more than are served at once
		ctx, leave := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, query(server, "play", begin, begin.Add(time.Hour)), nil)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			resp, err := server.Client().Do(req)
			if err != nil {
				return false
			}
			_ = resp.Body.Close() // unread
			return resp.StatusCode == http.StatusOK
		}, waitLong, waitStep)
		leave()
	}
}

func TestATrackThatMP4CannotHoldKeepsNothingFromBeingPlayed(t *testing.T) { // R5, R6
	s := playbacktest.Record(t, "&audio=aac", func(src hal.Source) hal.Source { return &extra{Source: src} })
	server := play(t, s)
	from := playbacktest.Begin().Add(14500 * time.Millisecond)
	to := from.Add(4 * time.Second)
	film, _ := fetch(t, query(server, "export", from, to))
	require.Equal(t, s.Numbers(from, to, false), playbacktest.Read(t, film))
	stream, _ := fetch(t, query(server, "play", from, to))
	require.Equal(t, s.Numbers(from, to, true), playbacktest.Read(t, stream))
}

// extra is a camera with one more track, which no MP4 can hold.
type extra struct {
	hal.Source

	was, now *hal.Stream
}

func (e *extra) Read(ctx context.Context) (hal.Frame, error) {
	f, err := e.Source.Read(ctx)
	if f.Stream != nil && f.Stream != e.was {
		e.was, e.now = f.Stream, &hal.Stream{Tracks: append(slices.Clone(f.Stream.Tracks), hal.Track{Codec: hal.FWHT})}
	}
	if f.Stream != nil {
		f.Stream = e.now
	}
	return f, err
}
