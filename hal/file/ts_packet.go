package file

import (
	"context"
	"errors"
	"io"
)

// packets is how TS packets (ISO/IEC 13818-1, 2.4.3.2) lie in a file.
type packets struct {
	start  int64 // of the first
	stride int   // from one to the next: 188; 192 with a time code before, 204 with parity behind
	lead   int   // from the stride's beginning to the sync byte
}

const (
	packetLen = 188
	syncByte  = 0x47
	syncRun   = 5 // sync bytes in a row that are no accident
)

// findPackets looks for packets in a file's beginning, past some garbage too.
func findPackets(head []byte) (packets, bool) {
	for start := range min(len(head), 64<<10) {
		if head[start] != syncByte {
			continue
		}
		for _, stride := range [...]int{188, 192, 204} {
			n := 0
			for at := start; at < len(head) && head[at] == syncByte && n < syncRun; at += stride {
				n++
			}
			whole := (len(head) - start) / stride
			if n == syncRun || start == 0 && n >= 2 && n >= whole {
				p := packets{start: int64(start), stride: stride}
				if stride == 192 && start >= 4 {
					p.start, p.lead = p.start-4, 4
				}
				return p, true
			}
		}
	}
	return packets{}, false
}

// packet reads the packet at pos. Where there is none it looks for the next one: skipped is
// how many bytes it passed over.
func (d *ts) packet(ctx context.Context) (p []byte, skipped int64, err error) {
	from := d.pos
	for {
		p, err = d.win.bytes(d.pos, d.layout.stride)
		if err == nil && p[d.layout.lead] == syncByte {
			return p[d.layout.lead : d.layout.lead+packetLen], d.pos - from, nil
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			// The last packet may lack what stands behind it.
			if n := d.layout.lead + packetLen; len(p) >= n && p[d.layout.lead] == syncByte {
				return p[d.layout.lead:n], d.pos - from, nil
			}
			if len(p) == 0 && d.pos == from {
				return nil, 0, io.EOF
			}
			return nil, d.in.size - from, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, 0, err
		}
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		if err := d.resync(); err != nil {
			return nil, 0, err
		}
	}
}

// resync moves pos on to where two packets follow each other, or to the end of the window.
func (d *ts) resync() error {
	rest, err := d.win.rest(d.pos + 1)
	if errors.Is(err, io.EOF) {
		d.pos++
		return nil
	}
	if err != nil {
		return err
	}
	lead, stride := d.layout.lead, d.layout.stride
	for i := range rest {
		if i+lead < len(rest) && rest[i+lead] == syncByte &&
			(i+lead+stride >= len(rest) || rest[i+lead+stride] == syncByte) {
			d.pos += int64(i) + 1
			return nil
		}
	}
	d.pos += int64(len(rest))
	return nil
}
