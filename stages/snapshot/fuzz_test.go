package snapshot_test

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/pack/packtest"
	"github.com/millrace-video/millrace/stages/snapshot"
)

// A camera's challenge is hostile: what is answered is a header, and shows no password.
func FuzzChallenge(f *testing.F) {
	for _, c := range []string{
		`Digest realm="a cam", qop="auth", nonce="n0nce", algorithm=MD5`, `Digest realm=x,nonce=y,opaque="z"`, `Basic realm="x"`,
		`Digest nonce="`, `Digest`, `digest =,=,=`, `Digest nonce="a", algorithm=SHA-256`, ``,
	} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, challenge string) {
		sign := snapshot.Authorise([]string{challenge}, url.UserPassword("bob", "hunter2-hunter2"), "/x")
		require.NotEmpty(t, sign)
		require.NotContains(t, sign, "hunter2")
		require.Less(t, len(sign), len(challenge)*2+300)
		require.NotPanics(t, func() { http.Header{}.Set("Authorization", sign) })
	})
}

// jpegs are cameras' JPEGs of every kind of chroma, and odd sizes.
func jpegs(t testing.TB) (all [][]byte) {
	t.Helper()
	for _, format := range []string{"yuvj420p", "yuvj422p", "yuvj444p", "gray"} {
		all = append(all, packtest.Tool(t, "ffmpeg", "-f", "lavfi", "-i", "testsrc2=size=75x51:rate=1:duration=1", "-frames:v", "1", "-pix_fmt", format, "-strict", "-1", "-c:v", "mjpeg", "-f", "image2", "-update", "1", "-"))
	}
	return append(all, small(t)...)
}

// small are JPEGs that need no program.
func small(t testing.TB) (all [][]byte) {
	t.Helper()
	area := image.Rect(0, 0, 75, 51)
	for _, img := range []image.Image{image.NewGray(area), image.NewYCbCr(area, image.YCbCrSubsampleRatio420)} {
		var file bytes.Buffer
		require.NoError(t, jpeg.Encode(&file, img, nil))
		all = append(all, file.Bytes())
	}
	return all
}

// narrow asks for a narrower picture of a camera's JPEG.
func narrow(t testing.TB, s *snapshot.Service, e *tee, file []byte, n int) (snapshot.Snapshot, error) {
	t.Helper()
	buf, err := e.arena.Get(max(1, len(file)))
	require.NoError(t, err)
	copy(buf.Bytes(), file)
	stream := &hal.Stream{Tracks: []hal.Track{{Codec: hal.MJPEG, Width: 75, Height: 51}}}
	e.hold(at(hal.Frame{Buf: buf, Stream: stream, Key: true}, n))
	return s.Snapshot(context.Background(), "gate", 32)
}

func TestEveryKindOfJPEGCanBeMadeNarrower(t *testing.T) {
	s := service(t, nil)
	e := attach(t, s, "gate", snapshot.CameraConfig{})
	for i, file := range jpegs(t) {
		got, err := narrow(t, s, e, file, i)
		require.NoError(t, err)
		require.Equal(t, 32, decode(t, got).Bounds().Dx(), got.Cause)
	}
}

// Whatever a camera sends as a JPEG, there is an answer.
func FuzzNarrowJPEG(f *testing.F) {
	for _, file := range small(f) {
		f.Add(file)
		f.Add(file[:len(file)/2])
	}
	s := service(f, nil)
	n := 0
	f.Fuzz(func(t *testing.T, file []byte) {
		e := attach(t, s, "gate", snapshot.CameraConfig{})
		n++
		_, _ = narrow(t, s, e, file, n)
	})
}
