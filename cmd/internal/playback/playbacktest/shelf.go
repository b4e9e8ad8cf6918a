// Package playbacktest makes recordings whose pictures say which they are, to be played.
package playbacktest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/pack"
	"github.com/millrace-video/millrace/stages/pack/packtest"
	"github.com/millrace-video/millrace/stages/record"
)

// What all pictures are.
const (
	Width  = 320
	Height = 180
	Rate   = 25 // a second
)

const (
	frameTime = time.Second / Rate
	perFile   = 8 * time.Second
)

// Shelf is the recordings of one channel, gate, and what each picture of them shows. It is a
// playback.Library.
type Shelf struct {
	Dir      string
	Segments []catalog.Segment
	Gaps     []catalog.Gap
	Shown    []Picture // in the order of recording
}

// Picture is one that was recorded.
type Picture struct {
	At     time.Time
	Number uint32
	Key    bool
}

// Begin is when the first recording of a shelf begins.
func Begin() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// Record fills a shelf: five files of 8 s with a key frame every second, of which the first two
// were merged into one, 7.3 s are missing after the third, and the last is being written. more is
// added to the URL of the synthetic camera; tap, which may be nil, changes what it gives.
func Record(t testing.TB, more string, tap func(hal.Source) hal.Source) *Shelf {
	t.Helper()
	s := &Shelf{Dir: filepath.Join(t.TempDir(), "gate")}
	url := "synth://?size=320x180&rate=25&codec=h264&gop=25&pace=fast&frames=1000" + more
	require.NoError(t, record1(t.Context(), url, tap, record.To(s.Dir, record.Config{SegmentDuration: perFile})))
	files, err := filepath.Glob(filepath.Join(s.Dir, "*.mp4"))
	require.NoError(t, err)
	require.Len(t, files, 5)
	slices.Sort(files)
	hole := 7300 * time.Millisecond
	for i, path := range files {
		at := Begin().Add(time.Duration(i) * perFile)
		if i >= 3 {
			at = at.Add(hole)
		}
		one := catalog.Segment{Path: path, Segment: record.Segment{
			Number: uint64(i + 1), Recording: 1, File: filepath.Base(path), Length: perFile,
			Start: record.Instant{Wall: at.UnixNano(), Mono: at.Sub(Begin()).Nanoseconds(), Anchor: 1},
		}}
		one.Open = i == 4
		note(t, &one)
		s.Segments = append(s.Segments, one)
	}
	cutAmidFragment(t, &s.Segments[4])
	n := uint32(0)
	for _, one := range s.Segments {
		for k := range int(one.Length / frameTime) {
			s.Shown = append(s.Shown, Picture{one.Start.Time().Add(time.Duration(k) * frameTime), n, k%Rate == 0})
			n++
		}
	}
	s.Gaps = []catalog.Gap{{Gap: record.Gap{After: 3, From: s.Segments[2].End(), To: s.Segments[3].Start, Cause: record.SourceLost}, Length: hole}}
	s.merge(t)
	return s
}

// note makes a file's note say what it is: it was recorded as fast as the machine can.
func note(t testing.TB, s *catalog.Segment) {
	t.Helper()
	x, err := pack.OpenIndex(s.Path)
	require.NoError(t, err)
	file, err := os.ReadFile(s.Path)
	require.NoError(t, err)
	text, err := json.Marshal(s.Segment)
	require.NoError(t, err)
	head := pack.AppendNote(slices.Clip(x.Head), text)
	require.NoError(t, os.WriteFile(s.Path, append(head, file[x.Fragments[0].Offset:]...), 0o600))
}

// cutAmidFragment leaves of a file what is there while its sixth fragment is written.
func cutAmidFragment(t testing.TB, s *catalog.Segment) {
	t.Helper()
	x, err := pack.OpenIndex(s.Path)
	require.NoError(t, err)
	f := x.Fragments[5]
	require.NoError(t, os.Truncate(s.Path, f.Offset+f.Size/2))
	s.Length = f.DTS
}

// merge makes one file of the first two.
func (s *Shelf) merge(t testing.TB) {
	t.Helper()
	parts := []record.Segment{s.Segments[0].Segment, s.Segments[1].Segment}
	merged, err := record.Merge(t.Context(), s.Dir, parts, record.MergeOptions{})
	require.NoError(t, err)
	require.Len(t, merged, 1)
	require.NoError(t, record.RemoveParts(s.Dir, merged[0]))
	one := catalog.Segment{Segment: merged[0].Segment, Path: filepath.Join(s.Dir, merged[0].Segment.File), Parts: []uint64{1, 2}}
	s.Segments = append([]catalog.Segment{one}, s.Segments[2:]...)
}

func record1(ctx context.Context, url string, tap func(hal.Source) hal.Source, r *record.Recorder) error {
	src, err := hal.NewRegistry(synth.Driver{}).Open(ctx, url, hal.Options{})
	if err != nil {
		return err
	}
	if tap != nil {
		src = tap(src)
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if err = r.Open(ctx, pipeline.Env{Channel: "gate"}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		f, err := src.Read(ctx)
		if errors.Is(err, io.EOF) {
			return r.Flush(ctx)
		}
		if err != nil {
			return err
		}
		if err = r.Work(ctx, f); err != nil {
			return err
		}
	}
}

// Timeline implements playback.Library.
func (s *Shelf) Timeline(channel string, from, to time.Time) (catalog.Timeline, error) {
	t := catalog.Timeline{Channel: channel, Folder: s.Dir}
	if channel != "gate" {
		return t, catalog.ErrNoChannel
	}
	for _, one := range s.Segments {
		if one.Start.Time().Before(to) && one.End().Time().After(from) {
			t.Segments = append(t.Segments, one)
		}
	}
	for _, g := range s.Gaps {
		if g.From.Time().Before(to) && g.To.Time().After(from) {
			t.Gaps = append(t.Gaps, g)
		}
	}
	return t, nil
}

// Numbers returns what the pictures of a range show; where lead is set, from the key frame before
// it on.
func (s *Shelf) Numbers(from, to time.Time, lead bool) []uint32 {
	var all []uint32
	key := 0
	for i, p := range s.Shown {
		if p.Key && len(all) == 0 {
			key = i
		}
		if p.At.Before(from) || !p.At.Before(to) {
			continue
		}
		if len(all) == 0 && lead {
			for _, q := range s.Shown[key:i] {
				all = append(all, q.Number)
			}
		}
		all = append(all, p.Number)
	}
	return all
}

// Read returns the numbers that ffmpeg finds in a film: a file or a URL.
func Read(t testing.TB, film string, options ...string) []uint32 {
	t.Helper()
	args := append(slices.Clone(options), "-i", film, "-map", "0:v", "-vsync", "passthrough", "-enc_time_base", "1:90000", "-pix_fmt", "gray", "-f", "rawvideo", "-")
	raw := packtest.Tool(t, "ffmpeg", args...)
	var numbers []uint32
	for ; len(raw) >= Width*Height; raw = raw[Width*Height:] {
		n, ok := synth.ReadNumber(raw[:Width*Height], Width, Width, Height)
		require.True(t, ok, "picture "+strconv.Itoa(len(numbers))+" shows no number")
		numbers = append(numbers, n)
	}
	require.Empty(t, raw)
	return numbers
}
