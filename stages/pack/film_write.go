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
// share it where the file system can.
func (f *Film) WriteFile(ctx context.Context, to *os.File) error {
	f.finish()
	parts, at := f.head()
	var v Vector
	if _, err := v.Write(to, parts); err != nil {
		return err
	}
	for i := range f.pieces {
		if err := f.pieces[i].copy(ctx, to, at+f.pieces[i].at); err != nil {
			return err
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
	for _, b := range parts {
		n, err := w.Write(b)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	at := int64(0)
	for i := range f.pieces {
		p := &f.pieces[i]
		pad, err := w.Write(make([]byte, p.at-at))
		total += int64(pad)
		if err != nil {
			return total, err
		}
		n, err := p.send(w)
		total += n
		if err != nil {
			return total, err
		}
		at = p.at + p.size
	}
	return total, nil
}

func (p *piece) send(w io.Writer) (n int64, err error) {
	from, err := os.Open(p.path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if _, err = from.Seek(p.offset, io.SeekStart); err != nil {
		return 0, err
	}
	n, err = io.CopyN(w, from, p.size)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %w", p.path, io.ErrUnexpectedEOF)
	}
	return n, err
}

// copy copies the piece to byte at of a file.
func (p *piece) copy(ctx context.Context, to *os.File, at int64) (err error) {
	from, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	const most = 32 << 20 // so that it can be cancelled
	done := int64(0)
	for done < p.size {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := copyRange(to, at+done, from, p.offset+done, min(most, p.size-done))
		if err != nil {
			return fmt.Errorf("copy %s: %w", p.path, err)
		}
		if n == 0 {
			return fmt.Errorf("copy %s: %w", p.path, io.ErrUnexpectedEOF)
		}
		done += n
	}
	return nil
}

// copyThrough copies a bounded piece through memory, for where the kernel does not.
func copyThrough(to *os.File, at int64, from *os.File, offset, n int64) (int64, error) {
	const most = 256 << 10
	return io.CopyBuffer(io.NewOffsetWriter(to, at), struct{ io.Reader }{io.NewSectionReader(from, offset, n)}, make([]byte, most))
}
