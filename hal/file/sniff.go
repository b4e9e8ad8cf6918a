package file

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// input is a file and what its demuxer works with.
type input struct {
	r      io.ReaderAt
	size   int64
	rate   float64
	log    *slog.Logger
	counts *counters
	lender lender
}

// sniffLen is how much of a file's beginning is looked at to know what it is.
const sniffLen = 1 << 20

// sniff opens the demuxer for what the file contains.
func sniff(ctx context.Context, in *input) (demuxer, error) { //nolint:ireturn // which one, the content says
	if in.size == 0 {
		return nil, fmt.Errorf("%w: the file is empty: record or copy it again", hal.ErrUnsupported)
	}
	w := newWindow(in.r, in.size, int(min(sniffLen, in.size)))
	head, err := w.rest(0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", hal.ErrNoDevice, err)
	}
	timed := isMP4(head)
	layout, isTS := findPackets(head)
	if in.rate != 0 && (timed || isTS) {
		return nil, fmt.Errorf("%w: rate= is for Annex B, this file has time stamps of its own: leave it out", hal.ErrUnsupported)
	}
	if timed {
		return openMP4(in)
	}
	if isTS {
		d, err := openTS(ctx, in, layout)
		if err != nil {
			return nil, err
		}
		return newOrdered(d, &in.lender), nil
	}
	if codec := annexB(head); codec != hal.CodecUnknown {
		return openAnnexB(ctx, in, codec)
	}
	return nil, fmt.Errorf("%w: the content is neither MP4, MPEG-TS nor Annex B with parameter sets (%s); %s",
		hal.ErrUnsupported, guess(head), adviceConvert)
}

// isMP4 looks for a box that may stand first.
func isMP4(head []byte) bool {
	first := []string{"ftyp", "styp", "moov", "moof", "mdat", "sidx", "free", "skip", "wide", "pnot", "uuid", "prft", "emsg"}
	return len(head) >= 8 && slices.Contains(first, string(head[4:8]))
}

// annexB looks for a sequence parameter set that makes sense.
func annexB(head []byte) hal.Codec {
	walk := nal.ByteStreamOf(head)
	for u, ok := walk.Next(); ok; u, ok = walk.Next() {
		if len(u) < 4 {
			continue
		}
		u = u[:min(len(u), nal.MaxSet)]
		if u[0] == 0x42 && u[1]&0xf8 == 0 {
			if _, ok := nal.Describe(&hal.Track{Codec: hal.H265}, u); ok {
				return hal.H265
			}
		}
		if u[0]&0x9f == 7 {
			if _, ok := nal.Describe(&hal.Track{Codec: hal.H264}, u); ok {
				return hal.H264
			}
		}
	}
	return hal.CodecUnknown
}

// guess says what a file that cannot be played looks like.
func guess(head []byte) string {
	for _, known := range []struct{ magic, name string }{
		{"FLV\x01", "it looks like FLV"},
		{"\x1aE\xdf\xa3", "it looks like Matroska or WebM"},
		{"RIFF", "it looks like AVI or WAV"},
		{"OggS", "it looks like Ogg"},
		{"\xff\xd8\xff", "it looks like a JPEG picture"},
		{"\x89PNG", "it looks like a PNG picture"},
		{"ID3", "it looks like MP3"},
	} {
		if bytes.HasPrefix(head, []byte(known.magic)) {
			return known.name
		}
	}
	start := head[:min(len(head), 512)]
	if !bytes.ContainsFunc(start, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == '\ufffd' }) {
		return "it looks like text"
	}
	return fmt.Sprintf("it begins with % x", head[:min(len(head), 16)])
}
