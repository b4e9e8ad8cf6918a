package pack

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"

	"github.com/millrace-video/millrace/hal"
)

// Movie is how a stream lies in an MP4 file: which of its tracks are stored, as what, and the
// head of the file that says so. It is immutable.
type Movie struct {
	stream *hal.Stream
	tracks []plan
	slot   []int // by the stream's track, index into tracks; −1 is left out
	lead   int   // index into tracks
	head   []byte

	omitted []Omission
}

// plan is one stored track.
type plan struct {
	info  *hal.Track
	index int // in the stream
	id    uint32
	scale uint32
	law   *[256]int16 // G.711: the samples its bytes stand for
}

// Omission is a track that is left out, and why.
type Omission struct {
	Track int
	Err   error
}

// Plan decides how to store a stream that begins with the frame first: a key frame of its first
// storable video track, or any frame where there is sound only. Parameter sets that the stream
// does not name are taken from it; where they are missing there too the error is
// ErrNoParameters, and the next key frame may do. A stream that holds nothing for MP4 is
// refused with hal.ErrUnsupported.
func Plan(s *hal.Stream, first hal.Frame) (*Movie, error) {
	m := &Movie{stream: s, slot: make([]int, len(s.Tracks)), lead: -1}
	var head fmp4.Init
	for i := range s.Tracks {
		m.slot[i] = -1
		t := &s.Tracks[i]
		var key []byte
		if first.Track == i && !first.Buf.IsZero() {
			key = first.Buf.Bytes()
		}
		track, err := initTrack(len(m.tracks)+1, t, key)
		if errors.Is(err, ErrNoParameters) && first.Track == i {
			return nil, fmt.Errorf("track %d (%s): %w", i, t, err)
		}
		if err != nil {
			m.omitted = append(m.omitted, Omission{i, fmt.Errorf("track %d (%s) is left out: %w", i, t, err)})
			continue
		}
		m.slot[i] = len(m.tracks)
		if m.lead < 0 || t.Codec.IsVideo() && !m.tracks[m.lead].info.Codec.IsVideo() {
			m.lead = len(m.tracks)
		}
		m.tracks = append(m.tracks, plan{info: t, index: i, id: uint32(track.ID), scale: track.TimeScale, law: law(t.Codec)})
		head.Tracks = append(head.Tracks, track)
	}
	if len(m.tracks) == 0 {
		return nil, fmt.Errorf("%w: nothing in this stream can be stored as MP4: %s", hal.ErrUnsupported, m.reasons())
	}
	var err error
	m.head, err = marshal(head)
	return m, err
}

// Lead returns which track of a stream decides where files may begin: the first with pictures
// that MP4 can hold, else the first with sound; −1 where there is none.
func Lead(s *hal.Stream) int {
	sound := -1
	for i, t := range s.Tracks {
		switch {
		case t.Codec.IsVideo() && t.Codec != hal.Raw:
			return i
		case sound < 0 && t.Codec != hal.CodecUnknown && !t.Codec.IsVideo():
			sound = i
		}
	}
	return sound
}

// initTrack describes one track. It is tried out by itself, so that a parameter set that makes
// no sense costs its own track only.
func initTrack(id int, t *hal.Track, key []byte) (*fmp4.InitTrack, error) {
	codec, scale, err := entry(t, key)
	if err != nil {
		return nil, err
	}
	track := &fmp4.InitTrack{ID: id, TimeScale: scale, Codec: codec}
	if _, err := marshal(fmp4.Init{Tracks: []*fmp4.InitTrack{track}}); err != nil {
		return nil, err
	}
	return track, nil
}

func marshal(head fmp4.Init) ([]byte, error) {
	var out seekablebuffer.Buffer
	if err := head.Marshal(&out); err != nil {
		return nil, fmt.Errorf("head of the file: %w", err)
	}
	return out.Bytes(), nil
}

func law(c hal.Codec) *[256]int16 {
	switch c { //nolint:exhaustive // the two of G.711
	case hal.G711A:
		return alaw()
	case hal.G711U:
		return mulaw()
	default:
		return nil
	}
}

func (m *Movie) reasons() string {
	all := make([]string, 0, len(m.omitted))
	for _, o := range m.omitted {
		all = append(all, o.Err.Error())
	}
	if len(all) == 0 {
		return "it has no tracks"
	}
	return strings.Join(all, "; ")
}

// Head returns the file's first bytes: ftyp and moov. They are shared, not to be changed.
func (m *Movie) Head() []byte { return m.head }

// Stream returns what the movie was planned for.
func (m *Movie) Stream() *hal.Stream { return m.stream }

// Describe names the tracks that are stored.
func (m *Movie) Describe() []string {
	all := make([]string, 0, len(m.tracks))
	for i := range m.tracks {
		all = append(all, m.tracks[i].info.String())
	}
	return all
}

// Omitted returns the tracks that are left out.
func (m *Movie) Omitted() []Omission { return m.omitted }

// Lead returns the track, by its number in the stream, before whose key frames a file may be
// cut.
func (m *Movie) Lead() int { return m.tracks[m.lead].index }

// Stores says whether a track of the stream is part of the movie.
func (m *Movie) Stores(track int) bool {
	return track >= 0 && track < len(m.slot) && m.slot[track] >= 0
}
