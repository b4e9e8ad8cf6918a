package cloud_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/cloud"
	"github.com/millrace-video/millrace/stages/pack/packtest"
)

// packetsOf returns what ffprobe finds in a playlist in a folder.
func packetsOf(t *testing.T, path string) (video, audio []packtest.Packet) {
	t.Helper()
	for _, p := range packtest.Probe(t, path) {
		if p.Track == 0 {
			video = append(video, p)
		} else {
			audio = append(audio, p)
		}
	}
	return video, audio
}

// first returns when a track of a clip begins to show.
func first(c *packtest.Clip, track int) time.Duration {
	for _, u := range c.Units {
		if u.Track == track {
			return u.PTS
		}
	}
	return 0
}

// C2, C9: what lies in the bucket plays from its playlist: every picture and every piece of sound
// once, in time.
func TestBucketPlays(t *testing.T) {
	clip := camera(t)
	b := newBucket()
	s := start(t, b, cloud.Config{Dir: t.TempDir(), Spool: true}, cloud.ChannelConfig{FullTime: true, Bytes: cloud.DefaultBytes})
	s.feed(clip)
	s.exit()
	lists := b.keys("gate/full/")
	require.Len(t, lists, 1)
	require.Len(t, b.keys("gate/media/"), 3, "packages of 4 s")
	require.Len(t, b.keys("gate/init/"), 1)
	require.Empty(t, b.missing)
	path := filepath.Join(b.folder(t), lists[0])
	video, audio := packetsOf(t, path)
	require.Len(t, video, clip.Count(0))
	require.Len(t, audio, clip.Count(1))
	require.Equal(t, clip.Count(0), packtest.Plays(t, path, 0))
	for i, p := range video[1:] {
		require.EqualValues(t, 3600, p.DTS-video[i].DTS, "picture %d: no seam between packages", i)
	}
	apart := first(clip, 0) - first(clip, 1)
	require.InDelta(t, apart.Seconds(), float64(video[0].PTS)/90000-float64(audio[0].PTS)/48000, 0.040, "sound beside its picture")
	last := len(audio) - 1
	require.InDelta(t, clip.Units[len(clip.Units)-1].DTS.Seconds(), float64(audio[last].DTS)/48000-float64(audio[0].DTS)/48000, 0.2)
	text := b.object(lists[0])
	require.Contains(t, text, "#EXT-X-PLAYLIST-TYPE:VOD")
	require.Contains(t, text, "#EXT-X-ENDLIST")
	require.Len(t, regexp.MustCompile(`#EXT-X-PROGRAM-DATE-TIME:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`).FindAllString(text, -1), 3)
	require.Equal(t, 3, strings.Count(text, "#EXTINF:4.000"))
	require.NotContains(t, text, "DISCONTINUITY")
}

// C9: where the stream has a seam the playlist says so, and goes on.
func TestSeams(t *testing.T) {
	clip := camera(t)
	b := newBucket()
	s := start(t, b, cloud.Config{}, cloud.ChannelConfig{FullTime: true, Bytes: 16 << 20})
	s.feed(clip)
	s.run = 1 // the source starts again
	s.feed(clip)
	s.exit()
	list := b.keys("gate/full/")[0]
	require.Equal(t, 1, strings.Count(b.object(list), "#EXT-X-DISCONTINUITY\n"))
	path := filepath.Join(b.folder(t), list)
	video, audio := packetsOf(t, path)
	require.Len(t, video, 2*clip.Count(0))
	require.Equal(t, 2*clip.Count(0), packtest.Plays(t, path, 0))
	require.Len(t, audio, 2*clip.Count(1))
}

// C2: sound that comes late is waited for as long as the reorder buffers hold, and then no more;
// it is stored all the same.
func TestLateSound(t *testing.T) {
	clip := camera(t)
	for name, late := range map[string]time.Duration{"within the buffers": time.Second, "beyond them": 6 * time.Second} {
		t.Run(name, func(t *testing.T) {
			shuffled := &packtest.Clip{Stream: clip.Stream}
			var sound []packtest.Unit
			for _, u := range clip.Units {
				if u.Track == 1 {
					sound = append(sound, u)
					continue
				}
				for len(sound) > 0 && sound[0].DTS+late <= u.DTS {
					shuffled.Units = append(shuffled.Units, sound[0])
					sound = sound[1:]
				}
				shuffled.Units = append(shuffled.Units, u)
			}
			shuffled.Units = append(shuffled.Units, sound...)
			b := newBucket()
			s := start(t, b, cloud.Config{}, cloud.ChannelConfig{FullTime: true, Bytes: 16 << 20})
			s.feed(shuffled)
			s.exit()
			dir := b.folder(t)
			path := filepath.Join(dir, b.keys("gate/full/")[0])
			video, audio := packetsOf(t, path)
			require.Len(t, video, clip.Count(0))
			require.Len(t, audio, clip.Count(1))
			if late > 4*time.Second {
				return
			}
			zero := time.Duration(0)
			for i, key := range b.keys("gate/media/") {
				one := packtest.Parse(t, []byte(b.object(b.keys("gate/init/")[0])+b.object(key)))
				if i == 0 {
					zero = one.Units[0].DTS
				}
				for _, u := range one.Units {
					require.InDelta(t, float64(4*i)+2, (u.DTS - zero).Seconds(), 2.05, "package %d: sound lies with its pictures", i)
				}
			}
		})
	}
}
