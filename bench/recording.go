package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// underway is a recorder at work: its processes.
type underway struct {
	pids   []int
	stop   func(ctx context.Context) error // in order, and waits until it is gone
	broken func() error                    // what has gone wrong so far
	said   func() string                   // the end of what its processes said
}

// underway is the process of a role as what is measured.
func (c *child) underway() *underway {
	return &underway{
		pids:   []int{c.cmd.Process.Pid},
		stop:   func(context.Context) error { return c.end() },
		broken: func() error { return nil },
		said:   func() string { return "" },
	}
}

// stopLimit is how long a recorder may take to finish its files.
const stopLimit = 60 * time.Second

// begin starts a recorder.
func (r recorder) begin(ctx context.Context, j job) (*underway, error) {
	if r.commands == nil {
		return beginFloor(ctx, j)
	}
	cmds, err := r.commands(ctx, j)
	if err != nil {
		return nil, err
	}
	u := &underway{}
	live := &processes{name: r.name}
	u.stop, u.broken, u.said = live.stop, live.err, live.said.String
	for _, cmd := range cmds {
		if err := live.start(cmd); err != nil {
			return nil, errors.Join(err, live.stop(ctx))
		}
		u.pids = append(u.pids, cmd.Process.Pid)
	}
	return u, nil
}

// beginFloor starts a process that reads and writes and no more.
func beginFloor(ctx context.Context, j job) (*underway, error) {
	var cfg readersConfig
	for i := range j.channels {
		cfg.URLs = append(cfg.URLs, j.camera(i))
		cfg.Files = append(cfg.Files, filepath.Join(j.dir, channelName(i)+".bin"))
	}
	c, err := j.self.start(ctx, roleFloor, cfg)
	if err != nil {
		return nil, err
	}
	return c.underway(), nil
}

// processes are those of one recorder, each in a group of its own.
type processes struct {
	name string
	said tail
	all  sync.WaitGroup

	mu       sync.Mutex
	cmds     []*exec.Cmd
	stopping bool
	failed   error
}

// start starts a process; what it says on its standard error is kept, cut short.
func (p *processes) start(cmd *exec.Cmd) error {
	cmd.Stderr = &p.said
	if cmd.Stdout == nil {
		cmd.Stdout = &p.said
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	p.mu.Lock()
	p.cmds = append(p.cmds, cmd)
	p.mu.Unlock()
	p.all.Go(func() {
		err := cmd.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.failed == nil && !p.stopping {
			p.failed = fmt.Errorf("%s ended by itself (%w): %s", p.name, errors.Join(err), p.said.String())
		}
	})
	return nil
}

func (p *processes) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// stop asks every process to end, and ends by force what does not.
func (p *processes) stop(context.Context) error {
	p.mu.Lock()
	p.stopping = true
	cmds := p.cmds
	p.mu.Unlock()
	for _, cmd := range cmds {
		_ = cmd.Process.Signal(syscall.SIGINT) //nolint:errcheck // it may have ended
	}
	again := time.AfterFunc(stopLimit/2, func() { // the second time is for those that wait for what does not come
		for _, cmd := range cmds {
			_ = cmd.Process.Signal(syscall.SIGINT) //nolint:errcheck // as above
		}
	})
	defer again.Stop()
	forced := time.AfterFunc(stopLimit, func() {
		p.mu.Lock()
		p.failed = errors.Join(p.failed, fmt.Errorf("%s does not end within %s of Ctrl-C", p.name, stopLimit))
		p.mu.Unlock()
		for _, cmd := range cmds {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // as above
		}
	})
	defer forced.Stop()
	p.all.Wait()
	return p.err()
}

// tail keeps the end of what is written.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 3000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if off := len(t.text) - tailSize; off > 0 {
		t.text = append(t.text[:0], t.text[off:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// workspace makes a folder for one recording and returns how to remove it.
func workspace(dir string) (path string, remove func() error, err error) {
	path, err = os.MkdirTemp(dir, "millrace-bench-")
	return path, func() error { return os.RemoveAll(path) }, err
}
