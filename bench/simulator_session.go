package bench

import (
	"errors"
	"net"
	"sync"
	"time"
)

const (
	openingDelay = 100 * time.Millisecond // from PLAY to the first parcel, at least: as cameras do, and GStreamer links its elements then
	soundLead    = 300 * time.Millisecond // of sound before the key frame, where sound comes first
	// sendBuffer is what the kernel keeps of a camera's packets: a camera has no more.
	sendBuffer = 256 << 10
)

// session is one reader of a simulated camera.
type session struct {
	channel    int
	offset     time.Duration // of the camera's time line
	soundFirst bool
	conn       *net.TCPConn
	fd         uintptr // its descriptor: used and closed under mu

	// Of the wheel, under its mutex.
	nextPicture, nextSound int64
	nextReport             time.Duration
	blocked                bool

	mu    sync.Mutex
	queue []outgoing // what the kernel has not taken yet, in order
	log   Session
}

// outgoing is something on its way to the kernel.
type outgoing struct {
	rest   []byte
	heads  []int // where packets of it begin, where each is a write; nil: one write is enough
	size   int   // of all of it, where it had to wait
	due    time.Duration
	number int64
	sound  bool
	text   bool // an answer or a report: nobody measures it
}

// Session is what a camera knows of one reader. Times are of the simulator's clock.
type Session struct {
	Channel      int           `json:"channel"`
	SoundFirst   bool          `json:"sound_first"`
	Accepted     int64         `json:"accepted"` // CLOCK_MONOTONIC, ns
	Played       int64         `json:"played"`   // as above; 0: never
	FirstPicture int64         `json:"first_picture"`
	FirstSound   int64         `json:"first_sound"`
	Pictures     int64         `json:"pictures"` // that the kernel has all of
	Sounds       int64         `json:"sounds"`
	Ended        string        `json:"ended,omitempty"`
	Wait         time.Duration `json:"wait"` // from PLAY until the first picture was due
}

func newSession(conn *net.TCPConn, accepted int64) (*session, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(conn.SetNoDelay(true), conn.SetWriteBuffer(sendBuffer)); err != nil {
		return nil, err
	}
	s := &session{channel: -1, conn: conn, log: Session{Channel: -1, Accepted: accepted}}
	return s, raw.Control(func(fd uintptr) { s.fd = fd })
}

// begin is where the session starts. The wheel holds its mutex.
func (s *session) begin(now time.Duration, picture, sound int64) {
	s.nextPicture, s.nextSound = picture, sound
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.Played, s.log.FirstPicture, s.log.FirstSound = monotonic(), picture, sound
	s.log.SoundFirst = s.soundFirst
	s.log.Wait = s.offset + time.Duration(picture)*time.Second/simRate - now
}

// put writes something, or as much of it as the kernel takes now; the rest waits for flush. It says
// false where the session has ended.
func (s *session) put(out outgoing) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log.Ended != "" {
		return false
	}
	if len(s.queue) > 0 {
		out.size = len(out.rest)
		s.queue = append(s.queue, out)
		return true
	}
	n, err := s.writes(out)
	if err != nil {
		s.leave(err.Error())
		return false
	}
	if n < len(out.rest) {
		out.size, out.rest = len(out.rest), out.rest[n:]
		s.queue = append(s.queue, out)
	}
	return true
}

// writes gives the kernel what it takes, packet by packet where that is wanted. The caller holds mu, under which the
// connection is closed: the descriptor is still its own.
func (s *session) writes(out outgoing) (n int, err error) {
	for i := 1; i < len(out.heads); i++ {
		end := out.heads[i] - interleavedHead
		k, failed := writeNow(s.fd, out.rest[n:end])
		if n += k; failed != nil || n < end {
			return n, failed
		}
	}
	k, err := writeNow(s.fd, out.rest[n:])
	return n + k, err
}

// flush writes what waits. It returns the parcels that are done, and when the oldest that is not
// was due.
func (s *session) flush() (done []outgoing, oldest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 && s.log.Ended == "" {
		head := &s.queue[0]
		n, err := writeNow(s.fd, head.rest)
		if err != nil {
			s.leave(err.Error())
			break
		}
		if n < len(head.rest) {
			head.rest = head.rest[n:]
			break
		}
		if !head.text {
			done = append(done, *head)
		}
		s.queue = s.queue[1:]
	}
	return done, s.waitsSince()
}

// oldest is when the oldest parcel that waits was due; 0: none does.
func (s *session) oldest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waitsSince()
}

// waitsSince is oldest for who holds mu.
func (s *session) waitsSince() time.Duration {
	for _, out := range s.queue {
		if !out.text {
			return out.due
		}
	}
	return 0
}

func (s *session) waits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}

// sent takes down a parcel.
func (s *session) sent(out outgoing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if out.sound {
		s.log.Sounds++
	} else {
		s.log.Pictures++
	}
}

func (s *session) end(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave(why)
}

// leave ends the session. The caller holds mu.
func (s *session) leave(why string) {
	if s.log.Ended != "" {
		return
	}
	s.log.Ended = why
	s.queue = nil
	_ = s.conn.Close() //nolint:errcheck // it may be closed already
}

func (s *session) report() Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log
}
