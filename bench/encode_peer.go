package bench

import (
	"bytes"
	"context"
	_ "embed" // the stand-in camera
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
)

//go:embed ustreamer/camera.c
var cameraSource []byte

// microStreamer is µStreamer's name among the backends.
const microStreamer = "ustreamer"

// errNoPeer says why there is no figure of µStreamer's.
var errNoPeer = errors.New("no figure")

// peer is µStreamer with pictures that it can take: it knows no source but a V4L2 camera, so it gets a
// stand-in for one, made by the C compiler that there is.
type peer struct {
	folder  string
	quality int
	size    string
}

// newPeer lays the pictures and the camera into a folder of their own.
func newPeer(ctx context.Context, s *stills, width, height, quality int) (*peer, error) {
	if _, err := exec.LookPath(microStreamer); err != nil {
		return nil, fmt.Errorf("%w: it is not installed (Debian: ustreamer)", errNoPeer)
	}
	compiler, err := exec.LookPath("cc")
	if err != nil {
		return nil, fmt.Errorf("%w: it takes pictures from a V4L2 camera only, and there is no C compiler (cc) to make a stand-in with", errNoPeer)
	}
	folder, err := os.MkdirTemp("", "millrace-bench-")
	if err != nil {
		return nil, err
	}
	p := &peer{folder: folder, quality: quality, size: fmt.Sprintf("%dx%d", width, height)}
	if err = p.lay(ctx, compiler, s); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *peer) lay(ctx context.Context, compiler string, s *stills) error {
	var all []byte
	for _, b := range s.all {
		all = append(all, b.Bytes()...)
		all = append(all, make([]byte, -len(all)&4095)...) // whole pages
	}
	source := filepath.Join(p.folder, "camera.c")
	if err := errors.Join(os.WriteFile(filepath.Join(p.folder, "pictures"), all, 0o600), os.WriteFile(source, cameraSource, 0o600)); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, compiler, "-O2", "-shared", "-fPIC", "-o", filepath.Join(p.folder, "camera.so"), source, "-ldl", "-lpthread")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: the stand-in camera does not compile: %w: %.300s", errNoPeer, err, out)
	}
	return nil
}

func (p *peer) close() error { return os.RemoveAll(p.folder) }

// frameLines counts what µStreamer says of its frames.
type frameLines struct {
	mu               sync.Mutex
	rest             []byte // of a line that is not whole yet
	exposed, dropped int
}

// Write implements io.Writer.
func (l *frameLines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, text...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			break
		}
		switch {
		case bytes.Contains(line, []byte("Encoded frame exposed")):
			l.exposed++
		case bytes.Contains(line, []byte("Encoded frame dropped")):
			l.dropped++
		}
		l.rest = rest
	}
	l.rest = append([]byte(nil), l.rest[:min(len(l.rest), 4096)]...)
	return len(text), nil
}

func (l *frameLines) counts() (exposed, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.exposed, l.dropped
}

// once lets it encode for a while. What it encoded and then threw away, since another worker was sooner, is
// wrong: it is not among its frames.
func (p *peer) once(ctx context.Context, workers int, span time.Duration) (got turn, err error) {
	ctx, cancel := context.WithTimeout(ctx, span+30*time.Second)
	defer cancel()
	lines := &frameLines{}
	socket := filepath.Join(p.folder, "socket")
	if err = os.RemoveAll(socket); err != nil {
		return got, err
	}
	cmd := exec.CommandContext(ctx, microStreamer, "--device", filepath.Join(p.folder, "pictures"), "--resolution", p.size, "--format", "YUYV",
		"--quality", strconv.Itoa(p.quality), "--workers", strconv.Itoa(workers), "--buffers", strconv.Itoa(workers+1), "--unix", socket, "--log-level", "1")
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+filepath.Join(p.folder, "camera.so"))
	cmd.Stdout, cmd.Stderr = lines, lines
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err = cmd.Start(); err != nil {
		return got, err
	}
	clock, tick := hal.NewClock(), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	var began int64
	var before, wrong int
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		exposed, dropped := lines.counts()
		now := clock.Mono()
		if began == 0 && exposed > 2 {
			began, before, wrong = now, exposed, dropped
		}
		if began != 0 && now-began >= int64(span) {
			got.frames, got.took, got.wrong = exposed-before, time.Duration(now-began), dropped-wrong
			break
		}
	}
	late := ctx.Err()
	cancel()
	if err = cmd.Wait(); late != nil {
		return got, fmt.Errorf("%w: %w: it encoded nothing in time: %w", errNoPeer, late, err)
	}
	exposed, dropped := lines.counts()
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	got.cpu = used * time.Duration(got.frames) / time.Duration(max(exposed+dropped, 1)) // of a frame, times frames
	return got, nil
}
