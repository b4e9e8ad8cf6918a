package playback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/stages/pack"
)

// Pieces of a playlist begin with a key frame and are at least shortest long; where no key frame
// comes they are cut at longest all the same.
const (
	shortest   = 4 * time.Second
	longest    = 12 * time.Second
	mostPieces = 100_000 // of a playlist: five days
)

// Playlist returns the range as an HLS playlist of the kind VOD (RFC 8216). Its URIs are relative:
// files/NAME with a byte range of a file as it was recorded; of a merged file, which has no
// fragments, files/NAME?slice=LO-HI, as Slice writes it. Every file begins with its own
// parameters and time, so that no change of the format ends it.
func Playlist(ctx context.Context, lib Library, a Ask) ([]byte, error) {
	t, err := lib.Timeline(a.Channel, a.From, a.To)
	if err != nil {
		return nil, err
	}
	p := &playlist{ask: a}
	for i := range t.Segments {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s := &t.Segments[i]
		if !s.Start.Time().Before(a.To) || !s.End().Time().After(a.From) {
			continue
		}
		x, err := pack.OpenIndex(s.Path)
		if unplayable(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		p.file(s, x)
		if p.pieces > mostPieces {
			return nil, fmt.Errorf("%w: more than %d pieces: ask for a shorter time", ErrAsk, mostPieces)
		}
	}
	if p.pieces == 0 {
		return nil, nothing(lib, a)
	}
	return p.text(), nil
}

type playlist struct {
	ask    Ask
	body   bytes.Buffer
	pieces int
	target time.Duration
	start  time.Time // of the first piece
}

// cut is a piece of a file.
type cut struct {
	lo, hi       int // samples of the lead track
	at, end      time.Duration
	offset, size int64 // of a fragmented file
	key          bool  // it begins with a key frame
}

func (p *playlist) file(s *catalog.Segment, x *pack.Index) {
	zero := s.Start.Time()
	cuts := choose(cutsOf(x), p.ask.From.Sub(zero), p.ask.To.Sub(zero))
	if len(cuts) == 0 {
		return
	}
	name := "files/" + url.PathEscape(s.File)
	if p.pieces > 0 {
		p.body.WriteString("#EXT-X-DISCONTINUITY\n")
	} else {
		p.start = zero.Add(cuts[0].at)
	}
	if x.Progressive {
		fmt.Fprintf(&p.body, "#EXT-X-MAP:URI=\"%s?slice=init\"\n", name)
	} else {
		fmt.Fprintf(&p.body, "#EXT-X-MAP:URI=\"%s\",BYTERANGE=\"%d@0\"\n", name, len(x.Head))
	}
	fmt.Fprintf(&p.body, "#EXT-X-PROGRAM-DATE-TIME:%s\n", zero.Add(cuts[0].at).UTC().Format("2006-01-02T15:04:05.000Z"))
	for _, c := range cuts {
		p.target = max(p.target, c.end-c.at)
		fmt.Fprintf(&p.body, "#EXTINF:%.6f,\n", (c.end - c.at).Seconds())
		if x.Progressive {
			fmt.Fprintf(&p.body, "%s?slice=%d-%d\n", name, c.lo, c.hi)
		} else {
			fmt.Fprintf(&p.body, "#EXT-X-BYTERANGE:%d@%d\n%s\n", c.size, c.offset, name)
		}
	}
	p.pieces += len(cuts)
}

func (p *playlist) text() []byte {
	var all bytes.Buffer
	fmt.Fprintf(&all, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n",
		int((p.target+time.Second-1)/time.Second))
	if lead := p.ask.From.Sub(p.start); lead > 0 {
		fmt.Fprintf(&all, "#EXT-X-START:TIME-OFFSET=%.3f,PRECISE=YES\n", lead.Seconds())
	}
	_, _ = p.body.WriteTo(&all) //nolint:errcheck // a buffer takes all
	all.WriteString("#EXT-X-ENDLIST\n")
	return all.Bytes()
}

// choose returns the pieces that show the range, from one on that begins with a key frame.
func choose(all []cut, from, to time.Duration) []cut {
	lo, hi := 0, 0
	for i, c := range all {
		if c.end <= from {
			continue
		}
		if c.at >= to {
			break
		}
		if hi == 0 {
			lo = i
		}
		hi = i + 1
	}
	for lo > 0 && hi > 0 && !all[lo].key {
		lo--
	}
	return all[lo:max(hi, lo)]
}

// cutsOf divides a file.
func cutsOf(x *pack.Index) []cut {
	lead := &x.Tracks[x.Lead()]
	if x.Progressive {
		return progressiveCuts(lead)
	}
	var all []cut
	for _, f := range x.Fragments {
		if f.First >= len(lead.Samples) || len(all) > 0 && all[len(all)-1].lo == f.First { // it has none of them
			if n := len(all); n > 0 && all[n-1].offset+all[n-1].size == f.Offset {
				all[n-1].size += f.Size
			}
			continue
		}
		key := lead.Samples[f.First].Sync
		if n := len(all); n > 0 && all[n-1].offset+all[n-1].size == f.Offset && !full(f.DTS-all[n-1].at, key) {
			all[n-1].size += f.Size
			continue
		}
		all = append(all, cut{lo: f.First, at: f.DTS, offset: f.Offset, size: f.Size, key: key})
	}
	return ended(all, lead)
}

// full says whether a piece is long enough to end here.
func full(length time.Duration, key bool) bool {
	return key && length >= shortest || length >= longest
}

func progressiveCuts(lead *pack.IndexTrack) []cut {
	var all []cut
	for i := range lead.Samples {
		a := &lead.Samples[i]
		at := lead.Time(a.DTS)
		if n := len(all); n == 0 || full(at-all[n-1].at, a.Sync) {
			all = append(all, cut{lo: i, at: at, key: a.Sync})
		}
	}
	return ended(all, lead)
}

// ended gives each piece its end, which is where the next begins.
func ended(all []cut, lead *pack.IndexTrack) []cut {
	for i := range all {
		if i+1 < len(all) {
			all[i].hi, all[i].end = all[i+1].lo, all[i+1].at
			continue
		}
		all[i].hi = len(lead.Samples)
		last := &lead.Samples[all[i].hi-1]
		all[i].end = lead.Time(last.DTS + int64(last.Duration))
	}
	return all
}

// ErrNoFile says that the catalog knows no such file.
var ErrNoFile = errors.New("no such recording")

// File finds a file that the catalog names.
func File(lib Library, channel, name string) (catalog.Segment, error) {
	from, to := time.Unix(0, 0), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	type span struct{ from, to time.Time }
	spans := []span{{from, to}}
	if _, at, ok := named(name); ok {
		spans = []span{{at.Add(-time.Hour), at.Add(time.Hour)}, {from, to}}
	}
	for _, look := range spans {
		t, err := lib.Timeline(channel, look.from, look.to)
		if err != nil {
			return catalog.Segment{}, err
		}
		for _, s := range t.Segments {
			if s.File == name {
				return s, nil
			}
		}
	}
	return catalog.Segment{}, fmt.Errorf("%w: %q of %s", ErrNoFile, name, channel)
}

// Slice writes a piece of a merged file as fragments; init writes what stands before them.
func Slice(w io.Writer, s pack.Source, x *pack.Index, init bool, lo, hi int) (int64, error) {
	if init {
		n, err := w.Write(x.Init())
		return int64(n), err
	}
	return s.WriteSlice(w, x, lo, hi)
}
