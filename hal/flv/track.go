package flv

import (
	"bytes"
	"fmt"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

const (
	// timeScale: FLV counts milliseconds.
	timeScale = 1000
	// maxDelay: a composition time beyond this is not believed.
	maxDelay = 10 * time.Second
	// g711Rate is the only rate that FLV has for G.711.
	g711Rate = 8000
)

// track is the pictures or the sound of a stream.
type track struct {
	hal.Track

	index  int // in the stream; −1 where it is in none
	record []byte
	config nal.Config

	clock    clock
	dts, pts time.Duration // of the frame at hand, on the media clock
	dirty    bool          // its description is not in the stream
	started  bool          // its first frame was delivered
	awaits   bool          // pictures are let go until a key frame
	gap      bool
	leading  bool          // pictures before floor cannot be decoded
	floor    time.Duration // the first key frame's presentation time
	lastDTS  time.Duration
	unwanted string // the last codec that was not taken
}

// complete says whether all is known that the stream has to name.
func (t *track) complete() bool {
	switch {
	case t.Codec == hal.CodecUnknown:
		return false
	case t.Codec.IsVideo():
		return nal.Complete(&t.Track) && t.Width > 0
	default:
		return t.SampleRate > 0
	}
}

// use makes the track one of a codec, where it is none yet or one of another.
func (t *track) use(h *bodyHead) (changed bool) {
	channels := 1
	if h.stereo {
		channels = 2
	}
	g711 := h.codec == hal.G711A || h.codec == hal.G711U
	if t.Codec == h.codec && (!g711 || t.Channels == channels) {
		return false
	}
	t.Track = hal.Track{Codec: h.codec, TimeScale: timeScale}
	if g711 {
		t.SampleRate, t.Channels = g711Rate, channels
	}
	t.record, t.config = nil, nal.Config{LengthSize: nal.PrefixLen}
	t.awaits = true
	return true
}

// learn takes a sequence header. It returns false where that says nothing new.
func (t *track) learn(record []byte) (changed bool, err error) {
	if t.record != nil && bytes.Equal(t.record, record) {
		return false, nil
	}
	next := hal.Track{Codec: t.Codec, TimeScale: timeScale}
	var config nal.Config
	if t.Codec == hal.AAC {
		err = describeAAC(&next, record)
	} else {
		config, err = nal.ReadConfig(&next, record)
	}
	if err != nil {
		return false, err
	}
	t.record = bytes.Clone(record)
	t.config = config
	if next.Equal(t.Track) {
		return false, nil
	}
	t.Track, t.awaits = next, true
	return true, nil
}

func describeAAC(t *hal.Track, record []byte) error {
	var c mpeg4audio.AudioSpecificConfig
	if err := c.Unmarshal(record); err != nil {
		return fmt.Errorf("AudioSpecificConfig: %w", err)
	}
	if c.SampleRate <= 0 {
		return fmt.Errorf("AAC of %d Hz", c.SampleRate)
	}
	t.AudioConfig, t.SampleRate, t.Channels = bytes.Clone(record), c.SampleRate, max(int(c.ChannelConfig), 1)
	if c.ChannelConfig == 7 {
		t.Channels = 8
	}
	return nil
}

// when returns where a frame stands on the media clock.
func (t *track) when(ts uint32, delay int32, mono int64, other *track) (dts, pts time.Duration) {
	dts, jumped := t.clock.next(ts, mono, &other.clock)
	t.gap = t.gap || jumped
	later := time.Duration(delay) * time.Millisecond
	if later < 0 || later > maxDelay {
		later = 0
	}
	return dts, dts + later
}
