package snapshot_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/encode"
	"github.com/millrace-video/millrace/stages/pack/packtest"
	"github.com/millrace-video/millrace/stages/snapshot"
)

// channel runs a synthetic camera with a snapshot branch.
func channel(t *testing.T, s *snapshot.Service, url string, trunk ...pipeline.Stage) *pipeline.Channel {
	t.Helper()
	reg := hal.NewRegistry(soft.Driver{}, synth.Driver{})
	eng := pipeline.NewEngine(pipeline.Config{})
	ch, err := eng.Add(pipeline.Define("gate", acquire.From(reg, url), trunk...).
		Branch("snapshot", snapshot.Limit(), s.Camera("gate", snapshot.CameraConfig{})))
	require.NoError(t, err)
	require.NoError(t, ch.Start())
	t.Cleanup(func() { require.NoError(t, eng.Exit(context.Background())) })
	return ch
}

// frames is how many frames came to a stage.
func frames(ch *pipeline.Channel, stage string) (n uint64) {
	for _, st := range ch.Status().Stages {
		if st.Name == stage {
			n = st.Frames
		}
	}
	return n
}

func TestAPictureOfARunningChannel(t *testing.T) {
	reg := hal.NewRegistry(soft.Driver{})
	for _, tc := range []struct {
		name, url string
		way       snapshot.Way
		trunk     []pipeline.Stage
	}{
		{"the last key frame of H.264", "synth://?size=320x240&gop=10&audio=none", snapshot.Decoded, nil},
		{"the camera's JPEG", "synth://?size=320x240&codec=raw&audio=none", snapshot.Passed, []pipeline.Stage{encode.To(reg, hal.MJPEG, encode.Config{})}},
		{"a raw picture", "synth://?size=320x240&codec=raw&pixel=yuyv&audio=none", snapshot.Raw, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := service(t, nil)
			ch := channel(t, s, tc.url, tc.trunk...)
			got, err := s.Snapshot(t.Context(), "gate", 0)
			require.NoError(t, err)
			require.Equal(t, tc.way, got.Way)
			require.Equal(t, []any{"gate", 320, 240}, []any{got.Channel, got.Width, got.Height})
			require.WithinDuration(t, time.Now(), got.Time, time.Minute)
			n := number(t, got)
			if tc.way == snapshot.Decoded {
				require.Zero(t, n%10, "no key frame's picture")
			}
			narrow, err := s.Snapshot(t.Context(), "gate", 160)
			require.NoError(t, err)
			require.Equal(t, []int{160, 120}, []int{narrow.Width, narrow.Height})
			require.GreaterOrEqual(t, number(t, narrow), n)

			// Nobody asks: no frame comes to the branch.
			require.Eventually(t, func() bool {
				for _, q := range ch.Status().Queues {
					if q.Name == "snapshot" {
						return q.Depth == 0
					}
				}
				return false
			}, time.Minute, time.Millisecond)
			before, passed := frames(ch, "snapshot"), frames(ch, "acquire")
			require.Eventually(t, func() bool { return frames(ch, "acquire") > passed+10 }, time.Minute, time.Millisecond)
			require.Equal(t, before, frames(ch, "snapshot"), "it costs although nobody asks")
		})
	}
}

// A key frame is decoded once, however many ask, for whatever widths.
func TestAKeyFrameIsDecodedOnce(t *testing.T) {
	s := service(t, nil)
	e := attach(t, s, "gate", snapshot.CameraConfig{})
	c := clip(t, "320x240", "-c:v", "libx264", "-g", "5", "-bf", "2")
	e.hold(at(c.Frame(t, e.arena, 0), 0))
	ask := func() {
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				got, err := s.Snapshot(t.Context(), "gate", []int{0, 160, 200}[i%3])
				require.NoError(t, err)
				require.Equal(t, snapshot.Decoded, got.Way)
			})
		}
		all.Wait()
	}
	ask()
	require.EqualValues(t, 1, s.Stats().Decodes)
	ask()
	require.EqualValues(t, 1, s.Stats().Decodes)
	require.Equal(t, map[snapshot.Way]uint64{snapshot.Decoded: 3}, s.Stats().Ways)
	e.hold(at(c.Frame(t, e.arena, 0), 1))
	ask()
	require.EqualValues(t, 2, s.Stats().Decodes, "a newer key frame is decoded")
	require.Zero(t, e.arena.Stats().Held-1, "the key frame was not copied out of the channel's arena")
}

// Every codec that comes in an MP4 is decoded by an ffmpeg process where nothing else does.
func TestEveryCodecHasAPicture(t *testing.T) {
	for codec, args := range map[string][]string{
		"h264":  {"-c:v", "libx264", "-profile:v", "high", "-bf", "3"},
		"h264i": {"-c:v", "libx264", "-profile:v", "high422", "-pix_fmt", "yuv422p"}, // beyond openh264
		"h265":  {"-c:v", "libx265", "-x265-params", "log-level=error"},
		"av1":   {"-c:v", "libaom-av1", "-cpu-used", "8"},
		"mjpeg": {"-c:v", "mjpeg", "-pix_fmt", "yuvj422p"},
	} {
		t.Run(codec, func(t *testing.T) {
			s := service(t, nil)
			e := attach(t, s, "gate", snapshot.CameraConfig{})
			e.hold(at(clip(t, "330x242", args...).Frame(t, e.arena, 0), 0))
			for _, width := range []int{0, 160} {
				got, err := s.Snapshot(t.Context(), "gate", width)
				require.NoError(t, err)
				decode(t, got)
				said := likeness(t, got, "-f", "lavfi", "-i", "testsrc2=size=330x242:rate=5:duration=1")
				ssim, err := strconv.ParseFloat(regexp.MustCompile(`Y:([0-9.]+)`).FindStringSubmatch(said)[1], 64)
				require.NoError(t, err)
				require.Greater(t, ssim, 0.8, said)
			}
		})
	}
}

// What nothing decodes is still a picture to who has a player: the key frame in an MP4.
func TestAKeyFrameThatNothingDecodesComesAsAnMP4(t *testing.T) {
	s := service(t, func(c *snapshot.Config) { c.Decoders = nil })
	e := attach(t, s, "gate", snapshot.CameraConfig{})
	e.hold(at(clip(t, "320x240", "-c:v", "libx265", "-x265-params", "log-level=error").Frame(t, e.arena, 0), 0))
	got, err := s.Snapshot(t.Context(), "gate", 0)
	require.NoError(t, err)
	require.Equal(t, snapshot.KeyFrame, got.Way)
	require.Equal(t, "video/mp4", got.ContentType)
	require.Contains(t, got.Cause, "nothing here decodes h265")
	file := filepath.Join(t.TempDir(), "key.mp4")
	require.NoError(t, os.WriteFile(file, got.Data, 0o600))
	require.Len(t, packtest.Probe(t, file), 1)
	require.Contains(t, likeness(t, got, "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=5:duration=1"), "Y:0.9")
	require.Regexp(t, `^snapshots/gate/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d\.\d{3}Z-[0-9a-f]{8}\.mp4$`, got.Key())
}

func TestAFFmpegThatTakesTooLongIsEnded(t *testing.T) {
	slow := filepath.Join(t.TempDir(), "slow")
	require.NoError(t, os.WriteFile(slow, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o700))
	s := service(t, func(c *snapshot.Config) {
		c.Decoders = []snapshot.Decoder{snapshot.NewFFmpeg(slow, 1, 50*time.Millisecond), snapshot.NewFFmpeg("no-such-program", 1, 0)}
	})
	e := attach(t, s, "gate", snapshot.CameraConfig{})
	e.hold(at(clip(t, "320x240", "-c:v", "libx264").Frame(t, e.arena, 0), 0))
	got, err := s.Snapshot(t.Context(), "gate", 0)
	require.NoError(t, err)
	require.Equal(t, snapshot.KeyFrame, got.Way)
	require.Contains(t, got.Cause, "ffmpeg took longer than 50ms")
	require.Contains(t, got.Cause, "install Debian's ffmpeg")
}

func TestWhereNoKeyFrameComesTheErrorSaysSo(t *testing.T) {
	s := service(t, func(c *snapshot.Config) { c.Timeout = 50 * time.Millisecond })
	_, err := s.Snapshot(t.Context(), "yard", 0)
	require.ErrorIs(t, err, snapshot.ErrNoChannel)
	_, err = s.Snapshot(t.Context(), "gate", 5)
	require.ErrorContains(t, err, "5 pixels wide: 16 to 16384")
	closed := s.Camera("gate", snapshot.CameraConfig{})
	_, err = s.Snapshot(t.Context(), "gate", 0)
	require.ErrorContains(t, err, "not initialised")
	require.NoError(t, closed.Close())
	e := attach(t, s, "gate", snapshot.CameraConfig{})
	_, err = s.Snapshot(t.Context(), "gate", 0)
	require.ErrorIs(t, err, snapshot.ErrNoKeyFrame)
	require.ErrorContains(t, err, "channel gate: no key frame came in time: within 50ms")
	require.False(t, e.joined, "it waits on")
	require.Equal(t, 1, e.joins)
}

// Where the tee holds no key frame the source is asked for one, once.
func TestAKeyFrameIsAskedFor(t *testing.T) {
	s := service(t, nil)
	e := attach(t, s, "gate", snapshot.CameraConfig{})
	c := clip(t, "320x240", "-c:v", "libx264", "-bf", "0")
	done := make(chan error)
	go func() {
		_, err := s.Snapshot(t.Context(), "gate", 0)
		done <- err
	}()
	for asked := 0; asked == 0; {
		e.push(at(c.Frame(t, e.arena, 1), 1))
		e.mu.Lock()
		asked = e.asked
		e.mu.Unlock()
	}
	e.push(at(c.Frame(t, e.arena, 2), 2))
	e.push(at(c.Frame(t, e.arena, 0), 3))
	require.NoError(t, <-done)
	require.Equal(t, 1, e.asked)
}

func TestSoundAloneHasNoPicture(t *testing.T) {
	s := service(t, nil)
	e := attach(t, s, "gate", snapshot.CameraConfig{})
	c := packtest.Encode(t, "-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac")
	e.hold(c.Frame(t, e.arena, 0))
	_, err := s.Snapshot(t.Context(), "gate", 0)
	require.ErrorIs(t, err, snapshot.ErrNoPictures)
}

// The memory is bounded however many channels are asked.
func TestMemoryIsBounded(t *testing.T) {
	s := service(t, func(c *snapshot.Config) { c.Memory = 16 << 20 })
	c := clip(t, "1280x720", "-c:v", "libx264")
	tees := make([]*tee, 40)
	for i := range tees {
		name := fmt.Sprint("c", i)
		tees[i] = attach(t, s, name, snapshot.CameraConfig{})
		tees[i].hold(at(c.Frame(t, tees[i].arena, 0), 0))
	}
	for range 2 {
		for i := range tees {
			_, err := s.Snapshot(t.Context(), fmt.Sprint("c", i), 0)
			require.NoError(t, err)
			require.LessOrEqual(t, s.Stats().Memory, 16<<20)
		}
	}
	require.EqualValues(t, 80, s.Stats().Decodes, "nothing went, so that nothing was bounded")
	s.Close()
	huge := tees[0].arena
	buf, err := huge.Get(9 << 20)
	require.NoError(t, err)
	f := tees[0].hand[0]
	f.Buf = buf
	tees[0].push(f) // nobody waits: it is let go
	buf, err = huge.Get(9 << 20)
	require.NoError(t, err)
	f.Buf = buf
	tees[0].hold(f)
	_, err = s.Snapshot(t.Context(), "c0", 0)
	require.ErrorContains(t, err, "a key frame of 9437184 bytes, at most 8388608")
}

// Whoever asks and gives up at any instant neither waits for others nor takes their picture away.
func TestManyAskAndGiveUp(t *testing.T) {
	c := clip(t, "160x120", "-c:v", "libx264")
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			s := service(t, func(cfg *snapshot.Config) { cfg.Timeout = 3 * time.Second })
			e := attach(t, s, "gate", snapshot.CameraConfig{})
			var all sync.WaitGroup
			for range 30 {
				begin, patience := time.Duration(rnd.Int64N(int64(10*time.Second))), time.Duration(rnd.Int64N(int64(4*time.Second)))
				all.Go(func() {
					<-time.After(begin)
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					if _, err := s.Snapshot(ctx, "gate", 0); err != nil {
						require.Contains(t, []string{"channel gate: no key frame came in time: within 3s", "channel gate: context deadline exceeded"}, err.Error())
					}
				})
			}
			for n := range 6 {
				<-time.After(time.Duration(rnd.Int64N(int64(3 * time.Second))))
				e.push(at(c.Frame(t, e.arena, 0), n))
			}
			all.Wait()
			require.False(t, e.joined)
		})
	}
}
