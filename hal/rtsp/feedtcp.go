package rtsp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/millrace-video/millrace/pool"
)

const (
	// patience is how old packets in a queue get at most when nobody waits for them. With what
	// timers and a busy machine add it stays under 250 ms.
	patience = 220 * time.Millisecond
	// gather is how long media comes together between two reads that nobody waits for. They lie on
	// whole multiples of grid on the clock, so that many cameras are read in one go: what a read
	// costs is mostly waking up.
	gather = 200 * time.Millisecond
	grid   = 50 * time.Millisecond
	// overfull is how much media wakes the reader before its time.
	overfull = 400 * time.Millisecond
	// liveTick is how often a stall is looked for while every byte wakes the reader.
	liveTick = 500 * time.Millisecond
	// rateWindow is how long the rate is measured before the mark follows it.
	rateWindow = 500 * time.Millisecond
	// maxMark bounds the mark.
	maxMark = maxBlock / 2
	// feedEvery is how often gortsplib is told that media arrives, so that it does not take the
	// connection for dead.
	feedEvery = 2 * time.Second
)

// tcpFeed owns the socket of a session over TCP. The worker that reads frames reads the
// socket: it takes RTP packets out of the blocks it reads, with nobody woken in between, and
// leaves RTSP messages and RTCP to gortsplib.
type tcpFeed struct {
	source *Source
	link   *link
	socket *net.TCPConn // under TLS where there is TLS
	in     block

	reserve *pool.Reserve // lends the memory of in
	raw     syscall.RawConn
	receive func(fd uintptr) bool // reads the socket once; raw's
	look    func(fd uintptr)      // the same
	drained bool                  // the last read left nothing: where nobody waits, the next waits at once
	more    bool                  // the last read filled its memory
	got     int                   // by it
	broke   error

	uses     [256]byte // of a channel: the place in channels plus one; 0: nobody's
	channels []channel
	idle     byte // a channel that nobody uses

	stop  func() bool // of the ctx that is watched
	watch <-chan struct{}

	bytes  int   // of this window
	since  int64 // when it began
	rate   int64 // bytes a second
	readAt int64 // when the block at hand was read
	seen   int64 // as step returns it
	fed    int64 // when gortsplib last heard something
	room   int   // the media of gather: blocks hold some more
	urgent atomic.Bool

	patient int64       // until when the deadline that was set will do, while urgent
	hurried atomic.Bool // interrupt has set another

	crowd    *coalescer // of the watched cameras
	turn     turn       // in it
	forecast forecast   // of what comes until the next one

	mu        sync.Mutex
	mark      int  // as the socket has it
	coalesced bool // reads wait for their turn; the reader writes it
	counted   bool // in the crowd
	over      bool // closed: it is not counted any more
}

type channel struct {
	track *track
	rtcp  bool
}

func (f *tcpFeed) known(ch byte) bool { return f.uses[ch] > 0 }

// step hands on what was read, and where that made no frame reads a block.
func (f *tcpFeed) step(ctx context.Context) (seen int64, err error) {
	err = f.advance(ctx)
	return f.seen, err
}

func (f *tcpFeed) advance(ctx context.Context) error {
	s := f.source
	if len(f.in.buf) == 0 || f.in.r == f.in.w {
		return f.fillAndKeepAlive(ctx)
	}
	for s.head == len(s.ready) {
		kind, item, err := f.in.next()
		if err != nil {
			return err
		}
		switch kind {
		case itemNone:
			return f.fillAndKeepAlive(ctx)
		case itemText:
			if err := f.mail(item); err != nil {
				return err
			}
		case itemFrame:
			if err := f.frame(item); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *tcpFeed) frame(item []byte) error {
	if !f.known(item[1]) {
		return nil
	}
	ch := f.channels[f.uses[item[1]]-1]
	if !ch.rtcp {
		ch.track.rtp(item[4:], f.readAt)
		f.forecast.follow(ch.track, len(item), f.readAt)
		return nil
	}
	if err := f.mail(item); err != nil {
		return err
	}
	ok := parseRTCP(item[4:],
		func(sr senderReport) { f.source.report(ch.track, sr) },
		func() { ch.track.ended = true })
	if !ok {
		f.source.stats.malformed.Add(1)
	}
	return nil
}

func (f *tcpFeed) mail(item []byte) error {
	f.fed = f.readAt
	return f.link.mail.put(item)
}

func (f *tcpFeed) fillAndKeepAlive(ctx context.Context) error {
	if err := f.fill(ctx); err != nil {
		return err
	}
	if f.readAt-f.fed < int64(feedEvery) {
		return nil
	}
	return f.mail([]byte{'$', f.idle, 0, 0})
}

// fill reads once. It returns without bytes when its patience ends and there are none, so that a stall is seen.
func (f *tcpFeed) fill(ctx context.Context) error {
	f.seen = f.readAt // all of that block was handed on
	f.observe(ctx)
	if !f.takesTurns() {
		if err := f.setPatience(); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil { // after the deadline was set: interrupt sets it again
		return err
	}
	if f.source.closed.Load() {
		return errClosed
	}
	// Read takes what is there even below the mark; only waiting heeds the mark.
	looked := f.source.clock.Mono()
	n, err := f.read()
	f.in.w += n
	if n > 0 {
		f.readAt = f.source.clock.Mono()
		f.meter(n, f.readAt)
		return nil
	}
	if err == nil { // read looked at the end, too
		looked = f.source.clock.Mono()
	} else if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	f.patient, f.seen = 0, looked
	return ctx.Err()
}

// setPatience says how long the read that comes may wait. Where every byte ends it, the deadline
// of one read does for those after it, until little of it is left.
func (f *tcpFeed) setPatience() error {
	if hurried := f.hurried.Swap(false); !f.urgent.Load() && f.rate > 0 {
		f.patient = 0
		return f.link.SetReadDeadline(deadline(untilRead(f.source.clock.Mono())))
	} else if now := f.source.clock.Mono(); now >= f.patient || hurried {
		f.patient = now + int64(liveTick)/2
		return f.link.SetReadDeadline(deadline(liveTick))
	}
	return nil
}

// untilRead is how long it is until a read that nobody waits for: gather at most.
func untilRead(now int64) time.Duration {
	at := (now + int64(gather-grid)) / int64(grid) * int64(grid)
	return time.Duration(at - now + int64(grid))
}

// read waits for bytes and puts them into the block. On a socket without TLS no memory is held
// while it waits, and where the deadline ends that it takes what is there: what came below the
// mark, or while this program stood still. Then there may be nothing, and no error.
func (f *tcpFeed) read() (int, error) {
	if f.raw == nil {
		return f.link.Conn.Read(f.in.space(f.room))
	}
	f.got, f.broke = 0, nil
	if err := f.readDirect(); err != nil {
		return 0, err
	}
	return f.got, f.broke
}

func (f *tcpFeed) readDirect() error {
	if f.coalesced {
		if !f.more {
			f.settle()
			f.crowd.wait(&f.turn, f.forecast.expect)
		}
		f.drained = false // who called has looked
		return f.raw.Control(f.look)
	}
	err := f.raw.Read(f.receive)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		f.drained = false
		err = f.raw.Control(f.look)
	}
	return err
}

// direct has the socket read by the feed itself, where the system lets it.
func (f *tcpFeed) direct() (err error) {
	if !canReceive {
		return nil
	}
	f.receive = func(fd uintptr) bool {
		if f.drained && f.rate > 0 && !f.urgent.Load() {
			f.drained = false
			f.settle()
			return false
		}
		room := f.in.space(f.room)
		n, failed := receive(fd, room)
		f.drained, f.more = n > 0 && n < len(room), n == len(room)
		switch {
		case errors.Is(failed, syscall.EAGAIN):
			f.settle()
			return false
		case failed != nil:
			f.broke = os.NewSyscallError("read", failed)
		case n == 0:
			f.broke = io.EOF
		}
		f.got = max(n, 0)
		return true
	}
	f.look = func(fd uintptr) { f.receive(fd) }
	f.raw, err = f.socket.SyscallConn()
	f.turn = newTurn(f.unread())
	return err
}

// unread returns what says how much the socket holds, or that it is closed.
func (f *tcpFeed) unread() func() int {
	n := 0
	ask := func(fd uintptr) { n = unread(fd) }
	return func() int {
		if f.raw.Control(ask) != nil {
			return -1
		}
		return n
	}
}

// settle gives memory back before a wait: all that was read into, and what frames have left unless
// the next byte is waited for.
func (f *tcpFeed) settle() {
	f.in.settle()
	if f.urgent.Load() {
		return
	}
	for _, t := range f.source.tracks {
		t.build.Settle()
	}
}

// observe sees to it that ctx ends a read. It costs nothing while ctx stays the same.
func (f *tcpFeed) observe(ctx context.Context) {
	if done := ctx.Done(); done != f.watch {
		f.unobserve()
		f.watch, f.stop = done, context.AfterFunc(ctx, f.interrupt)
	}
}

func (f *tcpFeed) unobserve() {
	if f.stop != nil {
		f.stop()
		f.stop, f.watch = nil, nil
	}
}

// interrupt implements feed. A deadline in the past ends a read under way.
func (f *tcpFeed) interrupt() {
	f.hurried.Store(true)
	f.turn.call()
	if err := f.link.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return // closed: no read is under way
	}
}

// close implements feed.
func (f *tcpFeed) close() {
	f.unobserve()
	f.in.giveBack()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	f.count(false)
}

// meter measures the rate and lets the mark follow it.
func (f *tcpFeed) meter(n int, now int64) {
	f.bytes += n
	took := now - f.since
	if f.since == 0 || took < int64(rateWindow) {
		if f.since == 0 {
			f.since, f.bytes = now, 0
		}
		return
	}
	rate := int64(f.bytes) * int64(time.Second) / took
	if f.rate == 0 {
		f.rate = rate
	}
	f.rate += (rate - f.rate) / 4
	f.since, f.bytes = now, 0
	f.room = f.media(gather)
	f.mu.Lock()
	defer f.mu.Unlock()
	want := f.wantedMark()
	if off := want - f.mark; f.mark == 0 || 5*max(off, -off) > f.mark {
		f.setMark(want)
	}
}

// media is how many bytes come in a while, within bounds.
func (f *tcpFeed) media(d time.Duration) int {
	return min(max(int(f.rate*int64(d)/int64(time.Second)), 1), maxMark)
}

// wantedMark is how much has to be there to wake the reader, who asks. The caller holds mu.
func (f *tcpFeed) wantedMark() int {
	if f.urgent.Load() && !f.coalesced {
		return 1
	}
	return f.media(overfull)
}

// takesTurns says whether the read that comes waits for its turn, and for no single byte.
func (f *tcpFeed) takesTurns() bool {
	turns := f.raw != nil && f.rate > 0 && f.urgent.Load() && f.crowd.crowded()
	if turns != f.coalesced {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.coalesced = turns
		f.setMark(f.wantedMark())
	}
	return turns
}

// setUrgent implements feed.
func (f *tcpFeed) setUrgent(urgent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.urgent.Store(urgent)
	f.count(urgent)
	if urgent && !f.coalesced && f.mark > 1 {
		f.setMark(1) // wakes the reader where something waits below the mark
	}
}

// count has the camera among the watched ones, or not. The caller holds mu.
func (f *tcpFeed) count(watched bool) {
	watched = watched && f.raw != nil && !f.over
	if watched == f.counted {
		return
	}
	f.counted = watched
	if watched {
		f.crowd.watch(1)
	} else {
		f.crowd.watch(-1)
	}
}

// setMark sets SO_RCVLOWAT. The caller holds mu.
func (f *tcpFeed) setMark(mark int) {
	if err := setLowWater(f.socket, mark); err != nil {
		mark = 1 // a system without it wakes for every packet
	}
	f.mark = mark
}

// deadline returns the instant in wait from now, as the net package wants it.
func deadline(wait time.Duration) time.Time {
	return time.Now().Add(wait) //nolint:forbidigo // the kernel's deadlines are on this clock
}
