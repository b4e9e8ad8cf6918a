package file

import (
	"context"
	"io"
	"net/url"

	"github.com/millrace-video/millrace/hal"
)

// OpenContent opens what is in memory as if it were a file.
func OpenContent(ctx context.Context, r io.ReaderAt, size int64, rawURL string, opts hal.Options) (hal.Source, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	p, err := parse(u)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, closer{r}, size, p, opts.WithDefaults())
	if err != nil {
		return nil, err
	}
	return s, nil
}

type closer struct{ io.ReaderAt }

func (closer) Close() error { return nil }

// Refused is what an open that failed says.
func Refused(path string, err error) error { return refused(path, err) }

// Held is how many frames a source's arena has on loan.
func Held(s hal.Source) int {
	switch d := s.(*Source).demux.(type) {
	case *mp4:
		return d.lender.arena.Stats().Held
	case *ordered:
		return d.lender.arena.Stats().Held
	case *annex:
		return d.in.lender.arena.Stats().Held
	}
	return -1
}

// CRC is the checksum of TS tables.
func CRC(p []byte) uint32 { return crc32MPEG(p) }
