package app

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/event"
	"github.com/millrace-video/millrace/stages/snapshot"
)

// shooter takes what a test gives it.
type shooter func() (snapshot.Snapshot, error)

func (s shooter) Snapshot(context.Context, string, int) (snapshot.Snapshot, error) { return s() }

func pictureFiles(t *testing.T, take shooter) *eventPictures {
	t.Helper()
	camera := &eventCamera{from: take, clock: hal.NewClock(), log: slog.New(slog.DiscardHandler), asked: make(chan func(context.Context), maxAsked)}
	e := &eventPictures{camera: camera, channel: "gate", folder: t.TempDir(), open: map[string]pictureEnd{}}
	require.NoError(t, e.clean())
	return e
}

func filesIn(t *testing.T, folder string) int {
	t.Helper()
	all, err := os.ReadDir(folder)
	require.NoError(t, err)
	return len(all)
}

// dark is a picture of a night without light: a few hundred bytes.
func dark(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 48)), nil))
	require.Less(t, b.Len(), 2<<10)
	return b.Bytes()
}

// C8: the path is there at once, the file later, whole and larger than 2 KiB however dark the
// picture is; what has its result already gets no file.
func TestACaptureReturnsAtOnce(t *testing.T) {
	night := dark(t)
	e := pictureFiles(t, func() (snapshot.Snapshot, error) {
		return snapshot.Snapshot{ContentType: "image/jpeg", Data: night}, nil
	})
	path := e.capture(event.Picture{Event: 1, Source: event.Motion})
	require.NotEmpty(t, path)
	require.NoFileExists(t, path)
	(<-e.camera.asked)(t.Context())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Greater(t, len(text), 2<<10)
	_, err = jpeg.Decode(bytes.NewReader(text))
	require.NoError(t, err)
	require.Equal(t, 1, filesIn(t, e.folder))

	late := e.capture(event.Picture{Event: 1, Source: event.Person})
	e.camera.from = shooter(func() (snapshot.Snapshot, error) {
		e.forget(late)
		return snapshot.Snapshot{ContentType: "image/jpeg", Data: night}, nil
	})
	(<-e.camera.asked)(t.Context())
	require.Equal(t, 1, filesIn(t, e.folder))
}

// C8: what is no JPEG, too large or fails leaves no file: the picture is not there.
func TestAPictureThatCannotBeTaken(t *testing.T) {
	for name, take := range map[string]shooter{
		"fails": func() (snapshot.Snapshot, error) { return snapshot.Snapshot{}, errors.New("no key frame") },
		"too large": func() (snapshot.Snapshot, error) {
			return snapshot.Snapshot{ContentType: "image/jpeg", Data: make([]byte, maxPicture+1)}, nil
		},
		"a key frame": func() (snapshot.Snapshot, error) {
			return snapshot.Snapshot{ContentType: "video/mp4", Data: make([]byte, 4096)}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := pictureFiles(t, take)
			require.NotEmpty(t, e.capture(event.Picture{Event: 1}))
			(<-e.camera.asked)(t.Context())
			require.Zero(t, filesIn(t, e.folder))
		})
	}
}

// The files are bounded: one too many is no picture, until one has its result.
func TestTooManyPictures(t *testing.T) {
	e := pictureFiles(t, nil)
	var paths []string
	for i := range maxPictures {
		paths = append(paths, e.capture(event.Picture{Event: uint64(i)}))
	}
	require.Empty(t, e.capture(event.Picture{Event: 1000}))
	e.forget(paths[0])
	require.NotEmpty(t, e.capture(event.Picture{Event: 1000}))
	e.camera.asked = make(chan func(context.Context))
	e.forget(paths[1])
	require.Empty(t, e.capture(event.Picture{Event: 1001}), "nobody takes it in time")
	require.Len(t, e.open, maxPictures-1)
}

// What a run before left behind goes, and nothing else.
func TestPicturesOfARunBefore(t *testing.T) {
	e := pictureFiles(t, nil)
	for _, name := range []string{"event-1-20270101T000000.000Z-motion.jpg", "event-2-20270101T000000.000Z-person.jpg.part", "mine.jpg"} {
		require.NoError(t, os.WriteFile(filepath.Join(e.folder, name), nil, 0o600))
	}
	require.NoError(t, e.clean())
	require.Equal(t, 1, filesIn(t, e.folder))
	require.FileExists(t, filepath.Join(e.folder, "mine.jpg"))
}

// ITU-T T.81: a JPEG that is filled up is the same picture, just large enough.
func TestFill(t *testing.T) {
	small := dark(t)
	for _, n := range []int{len(small), minPicture - 1, minPicture - 3, minPicture - 4, minPicture} {
		in := append(bytes.Clone(small), make([]byte, n-len(small))...) // what lies behind the end is no matter
		out := fill(in)
		require.GreaterOrEqual(t, len(out), minPicture)
		require.LessOrEqual(t, len(out), minPicture+4)
		_, err := jpeg.Decode(bytes.NewReader(out))
		require.NoError(t, err, "%d bytes", n)
	}
}
