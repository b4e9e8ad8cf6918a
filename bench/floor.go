package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// floorBlock is what the floor writes at a time.
const floorBlock = 1 << 20

// readersConfig is what a process that reads RTSP over TCP is started with.
type readersConfig struct {
	URLs  []string `json:"urls"`
	Files []string `json:"files"` // one for each URL: what comes is written there; none: it is thrown away
}

// readers reads RTSP sessions over TCP and parses nothing of what they carry. With files it is the
// floor under every recorder: read the socket, write blocks of 1 MB. Without it is what watches.
type readers struct {
	cfg   readersConfig
	bytes []atomic.Int64
}

func newReaders(cfg readersConfig) *readers {
	return &readers{cfg: cfg, bytes: make([]atomic.Int64, len(cfg.URLs))}
}

// answer implements role: how many bytes each has read.
func (r *readers) answer(string) (any, error) {
	all := make([]int64, len(r.bytes))
	for i := range r.bytes {
		all[i] = r.bytes[i].Load()
	}
	return all, nil
}

// run reads until ctx ends. A session that does not come about, or ends, is an error.
func (r *readers) run(ctx context.Context) error {
	var all sync.WaitGroup
	failed := make(chan error, len(r.cfg.URLs))
	for i, url := range r.cfg.URLs {
		all.Go(func() {
			file := ""
			if i < len(r.cfg.Files) {
				file = r.cfg.Files[i]
			}
			err := r.read(ctx, url, file, &r.bytes[i])
			if ctx.Err() == nil {
				failed <- fmt.Errorf("%s: %w", url, err)
				fmt.Fprintf(os.Stderr, "bench: %s: %v\n", url, err)
			}
		})
	}
	all.Wait()
	close(failed)
	var err error
	for one := range failed {
		err = errors.Join(err, one)
	}
	return err
}

func (r *readers) read(ctx context.Context, url, file string, bytes *atomic.Int64) (err error) {
	conn, first, err := playRTSP(ctx, url)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		_ = conn.Close() //nolint:errcheck // it is thrown away
	})
	defer stop()
	alive := time.AfterFunc(aliveEvery, func() {})
	defer alive.Stop()
	keep := func() {
		_, _ = io.WriteString(conn, "GET_PARAMETER "+url+" RTSP/1.0\r\nCSeq: 9\r\nSession: "+first.session+"\r\n\r\n") //nolint:errcheck // the reader hears of it
	}
	alive = time.AfterFunc(aliveEvery, func() {
		keep()
		alive.Reset(aliveEvery)
	})
	bytes.Add(int64(len(first.rest)))
	if file == "" {
		return watch(conn, bytes)
	}
	return block(conn, first.rest, file, bytes)
}

// aliveEvery is how often a session is said to be alive.
const aliveEvery = 25 * time.Second

// watch throws away what comes.
func watch(conn net.Conn, bytes *atomic.Int64) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		bytes.Add(int64(n))
		if err != nil {
			return err
		}
	}
}

// block writes what comes in blocks.
func block(conn net.Conn, first []byte, file string, bytes *atomic.Int64) (err error) {
	f, err := os.Create(file) //nolint:gosec // a folder of ours
	if err != nil {
		return err
	}
	buf := make([]byte, floorBlock)
	w := copy(buf, first)
	defer func() {
		_, last := f.Write(buf[:w])
		err = errors.Join(err, last, f.Close())
	}()
	for {
		var n int
		n, err = conn.Read(buf[w:])
		bytes.Add(int64(n))
		if w += n; w == len(buf) {
			w = 0
			_, full := f.Write(buf)
			err = errors.Join(err, full)
		}
		if err != nil {
			return err
		}
	}
}

// opening is what is known of a session once it plays.
type opening struct {
	session string
	rest    []byte // what came behind the answer to PLAY
}

// dialTimeout bounds the opening of a session.
const dialTimeout = 20 * time.Second

// playRTSP opens a session over TCP for all tracks.
func playRTSP(ctx context.Context, url string) (conn net.Conn, o opening, err error) {
	address, _, _ := strings.Cut(strings.TrimPrefix(url, "rtsp://"), "/")
	dialer := net.Dialer{Timeout: dialTimeout}
	if conn, err = dialer.DialContext(ctx, "tcp", address); err != nil {
		return nil, o, err
	}
	dialled := conn // what is returned is nil with an error
	defer func() {
		if err != nil {
			err = errors.Join(err, dialled.Close())
		}
	}()
	if err = conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return nil, o, err
	}
	in := bufio.NewReader(conn)
	talk := func(method, url, head string) (map[string]string, string, error) {
		if _, lost := fmt.Fprintf(conn, "%s %s RTSP/1.0\r\nCSeq: 1\r\n%s\r\n", method, url, head); lost != nil {
			return nil, "", lost
		}
		return readAnswer(in, method)
	}
	heads, sdp, err := talk("DESCRIBE", url, "Accept: application/sdp\r\n")
	if err != nil {
		return nil, o, err
	}
	base := heads["content-base"]
	if base == "" {
		base = url + "/"
	}
	session := ""
	for i, control := range controls(sdp) {
		if !strings.HasPrefix(control, "rtsp://") {
			control = strings.TrimSuffix(base, "/") + "/" + control
		}
		heads, _, err = talk("SETUP", control, fmt.Sprintf("%sTransport: RTP/AVP/TCP;unicast;interleaved=%d-%d\r\n", session, 2*i, 2*i+1))
		if err != nil {
			return nil, o, err
		}
		o.session, _, _ = strings.Cut(heads["session"], ";")
		session = "Session: " + o.session + "\r\n"
	}
	if _, _, err = talk("PLAY", url, session); err != nil {
		return nil, o, err
	}
	o.rest = make([]byte, in.Buffered())
	if _, err = io.ReadFull(in, o.rest); err != nil {
		return nil, o, err
	}
	return conn, o, conn.SetDeadline(time.Time{})
}

// readAnswer reads a response and its body.
func readAnswer(r *bufio.Reader, method string) (map[string]string, string, error) {
	line, err := headLine(r)
	if err != nil {
		return nil, "", err
	}
	if !strings.HasPrefix(line, "RTSP/1.0 200") {
		return nil, "", fmt.Errorf("%s: answered %q", method, line[:min(len(line), 80)])
	}
	heads, size, err := readMessage(r)
	if err != nil {
		return nil, "", err
	}
	body := make([]byte, size)
	_, err = io.ReadFull(r, body)
	return heads, string(body), err
}

// controls are the tracks' URLs in an SDP.
func controls(sdp string) []string {
	var all []string
	media := false
	for line := range strings.Lines(sdp) {
		line = strings.TrimSpace(line)
		media = media || strings.HasPrefix(line, "m=")
		if control, ok := strings.CutPrefix(line, "a=control:"); ok && media {
			all = append(all, control)
		}
	}
	return all
}
