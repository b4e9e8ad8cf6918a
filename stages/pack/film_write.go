package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// finish ends the tables, once.
func (f *Film) finish() {
	for i := range f.reels {
		if r := &f.reels[i]; r.chunk > 0 {
			r.finish()
		}
	}
}

// Size returns how large the file will be.
func (f *Film) Size() int64 {
	f.finish()
	_, n := f.head()
	return n + f.size
}

// WriteFile writes the film to an empty file. The kernel copies the payload, or lets both files
// share it where the file system can. wrote, which may be nil, is told how far the file has got
// each time it got further.
func (f *Film) WriteFile(ctx context.Context, to *os.File, wrote func(end int64) error) error {
	f.finish()
	parts, at := f.head()
	var v Vector
	if _, err := v.Write(to, parts); err != nil {
		return err
	}
	if wrote == nil {
		wrote = func(int64) error { return nil }
	}
	return f.each(func(p *piece, from *os.File) error { return p.copy(ctx, to, at+p.at, from, wrote) })
}

// each opens the files that the film is made of, one after the other.
func (f *Film) each(do func(p *piece, from *os.File) error) (err error) {
	var from *os.File
	own := false // it was opened here
	leave := func() error {
		if !own {
			return nil
		}
		own = false
		return from.Close()
	}
	defer func() { err = errors.Join(err, leave()) }()
	for i := range f.pieces {
		p := &f.pieces[i]
		if i == 0 || p.path != f.pieces[i-1].path {
			if err = leave(); err != nil {
				return err
			}
			if from = p.file; from == nil {
				if from, err = os.Open(p.path); err != nil {
					return err
				}
				own = true
			}
		}
		if err = do(p, from); err != nil {
			return fmt.Errorf("copy %s: %w", p.path, err)
		}
	}
	return nil
}

// WriteTo implements io.WriterTo. Where w takes a file as it is (a socket) the kernel copies the
// payload.
func (f *Film) WriteTo(w io.Writer) (int64, error) {
	f.finish()
	parts, _ := f.head()
	total := int64(0)
	write := func(b []byte) error {
		n, err := w.Write(b)
		total += int64(n)
		return err
	}
	for _, b := range parts {
		if err := write(b); err != nil {
			return total, err
		}
	}
	at := int64(0)
	err := f.each(func(p *piece, from *os.File) error {
		if p.at > at {
			if err := write(make([]byte, p.at-at)); err != nil {
				return err
			}
		}
		n, err := p.send(w, from)
		total += n
		at = p.at + p.size
		return err
	})
	return total, err
}

func (p *piece) send(w io.Writer, from *os.File) (int64, error) {
	if _, err := from.Seek(p.offset, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.CopyN(w, from, p.size)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// copy copies the piece to byte at of a file.
func (p *piece) copy(ctx context.Context, to *os.File, at int64, from *os.File, wrote func(end int64) error) error {
	const most = 32 << 20 // so that it can be cancelled
	for done := int64(0); done < p.size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := copyRange(to, at+done, from, p.offset+done, min(most, p.size-done))
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		done += n
		if err := wrote(at + done); err != nil {
			return err
		}
	}
	return nil
}

// copyThrough copies a bounded piece through memory, for where the kernel does not.
func copyThrough(to *os.File, at int64, from *os.File, offset, n int64) (int64, error) {
	const most = 256 << 10
	return io.CopyBuffer(io.NewOffsetWriter(to, at), struct{ io.Reader }{io.NewSectionReader(from, offset, n)}, make([]byte, most))
}
