package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// The questions that an audience answers, besides askMark.
const (
	askSlow      = "slow"      // one more reader plays, and takes nothing
	askAttention = "attention" // what came in the window so far
)

type audienceConfig struct {
	URL     string `json:"url"`
	Readers int    `json:"readers"`
}

// Attention is what an audience saw in a window.
type Attention struct {
	Pictures int64  `json:"pictures"` // of all readers
	Missing  int64  `json:"missing"`  // packets that did not come, or came in another order
	Starved  int    `json:"starved"`  // readers that got fewer pictures than the one that got most, by more than one
	Late     Spread `json:"late"`     // pictures, behind the earliest that any came, by their time stamps
}

// audience is readers of one stream that look at every packet.
type audience struct {
	cfg   audienceConfig
	slow  chan struct{}
	plays sync.WaitGroup // every reader plays

	mu       sync.Mutex
	all      []*listener
	earliest int64 // CLOCK_MONOTONIC − RTP time, ns: the least of all
	began    bool
	stamp    uint32 // from which RTP times count
	late     histogram
	failed   error
}

// listener is one of them. The audience's mu guards what is counted.
type listener struct {
	seq      [2]uint16
	known    [2]bool
	pictures int64
	missing  int64
}

func newAudience(cfg audienceConfig) *audience {
	a := &audience{cfg: cfg, slow: make(chan struct{}, 1)}
	a.plays.Add(cfg.Readers)
	return a
}

// run implements role.
func (a *audience) run(ctx context.Context) error {
	var all sync.WaitGroup
	for range a.cfg.Readers {
		l := &listener{}
		a.all = append(a.all, l)
		all.Go(func() { a.listen(ctx, l) })
	}
	all.Go(func() { a.sleep(ctx) })
	all.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

// answer implements role.
func (a *audience) answer(question string) (any, error) {
	switch question {
	case askMark:
		a.plays.Wait()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.late = histogram{}
		for _, l := range a.all {
			l.pictures, l.missing = 0, 0
		}
		return true, a.failed
	case askSlow:
		a.slow <- struct{}{}
		return true, nil
	case askAttention:
		return a.attention()
	}
	return nil, fmt.Errorf("an audience knows nothing of %q", question)
}

func (a *audience) attention() (Attention, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	got := Attention{Late: a.late.spread()}
	most := int64(0)
	for _, l := range a.all {
		most = max(most, l.pictures)
	}
	for _, l := range a.all {
		got.Pictures += l.pictures
		got.Missing += l.missing
		if l.pictures < most-1 {
			got.Starved++
		}
	}
	return got, a.failed
}

// listen plays until ctx ends. A server that is just starting is asked again.
func (a *audience) listen(ctx context.Context, l *listener) {
	conn, rest, err := a.open(ctx)
	a.plays.Done()
	if err == nil {
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) //nolint:errcheck // it is thrown away
		defer stop()
		err = a.read(conn, rest, l)
	}
	if ctx.Err() == nil {
		a.mu.Lock()
		a.failed = errors.Join(a.failed, fmt.Errorf("a reader ended: %w", err))
		a.mu.Unlock()
		fmt.Fprintf(os.Stderr, "bench: %s: %v\n", a.cfg.URL, err)
	}
}

func (a *audience) open(ctx context.Context) (net.Conn, []byte, error) {
	const tries = 40
	for i := 0; ; i++ {
		conn, o, err := playRTSP(ctx, a.cfg.URL)
		if err == nil {
			return conn, o.rest, nil
		}
		if i == tries || ctx.Err() != nil {
			return nil, nil, err
		}
		t := time.NewTimer(250 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// sleep plays when it is told to, and takes nothing.
func (a *audience) sleep(ctx context.Context) {
	select {
	case <-a.slow:
	case <-ctx.Done():
		return
	}
	conn, _, err := a.open(ctx)
	if err != nil {
		a.mu.Lock()
		a.failed = errors.Join(a.failed, fmt.Errorf("the slow reader: %w", err))
		a.mu.Unlock()
		return
	}
	<-ctx.Done()
	_ = conn.Close() //nolint:errcheck // as above
}

// read takes interleaved frames apart until the connection ends.
func (a *audience) read(conn net.Conn, in []byte, l *listener) error {
	buf := make([]byte, 128<<10)
	held := copy(buf, in)
	for {
		used, err := a.take(buf[:held], l)
		if err != nil {
			return err
		}
		held = copy(buf, buf[used:held])
		n, err := conn.Read(buf[held:])
		if held += n; err != nil {
			return err
		}
	}
}

// take looks at the whole frames in b and returns how many bytes they have. A message of RTSP
// between them is passed over.
func (a *audience) take(b []byte, l *listener) (used int, err error) {
	now := monotonic()
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		in := b[used:]
		if len(in) > 0 && in[0] != '$' {
			end := bytes.Index(in, []byte("\r\n\r\n"))
			if end < 0 {
				return used, nil
			}
			used += end + 4
			continue
		}
		if len(in) < interleavedHead {
			return used, nil
		}
		n := interleavedHead + int(binary.BigEndian.Uint16(in[2:]))
		if n > len(in) {
			return used, nil
		}
		if in[1]%2 == 0 {
			if n < interleavedHead+rtpHead || in[1] > 2 {
				return used, fmt.Errorf("%w: a packet of %d bytes on channel %d", errNoPacket, n, in[1])
			}
			a.packet(in[interleavedHead:n], int(in[1]/2), l, now)
		}
		used += n
	}
}

var errNoPacket = errors.New("no RTP")

// packet counts one. A picture's lateness is that of its last packet. The caller holds mu.
func (a *audience) packet(p []byte, track int, l *listener, now int64) {
	seq := binary.BigEndian.Uint16(p[2:])
	if l.known[track] && seq != l.seq[track]+1 {
		l.missing += max(1, int64(seq-l.seq[track]-1)&0x7fff)
	}
	l.seq[track], l.known[track] = seq, true
	if track != 0 || p[1]&0x80 == 0 {
		return
	}
	l.pictures++
	stamp := binary.BigEndian.Uint32(p[4:])
	if !a.began {
		a.began, a.stamp, a.earliest = true, stamp, now
	}
	due := int64(int32(stamp-a.stamp)) * int64(time.Second) / simScale
	a.earliest = min(a.earliest, now-due)
	a.late.add(time.Duration(now - due - a.earliest))
}
