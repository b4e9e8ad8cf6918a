package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Self is how the program that measures starts itself again, as a process of its own.
type Self struct {
	Path string   // default: this program
	Args []string // in front of a role's name; default: bench role
	Run  []string // the program that records, in front of --config FILE and what follows; default: Path and run
}

func (s Self) withDefaults() (Self, error) {
	if s.Path == "" {
		path, err := os.Executable()
		if err != nil {
			return s, err
		}
		s.Path = path
	}
	if s.Args == nil {
		s.Args = []string{"bench", "role"}
	}
	if s.Run == nil {
		s.Run = []string{s.Path, "run"}
	}
	return s, nil
}

// The roles that a process can have.
const (
	roleSimulator = "simulator"
	roleFloor     = "floor"
	roleViewers   = "viewers"
)

// role answers questions until it is told to end.
type role interface {
	// run works until ctx ends.
	run(ctx context.Context) error
	// answer answers a question.
	answer(question string) (any, error)
}

// RunRole is the life of a process that a bench started: in gives its configuration as the first
// line and a question a line after it, out takes an answer a line. It ends with in.
func RunRole(ctx context.Context, name string, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() {
		return fmt.Errorf("bench role %s: no configuration on standard input: millrace bench starts it", name)
	}
	part, err := newRole(ctx, name, lines.Bytes())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	var work sync.WaitGroup
	work.Go(func() { ended <- part.run(ctx) })
	defer work.Wait()
	write := json.NewEncoder(out)
	err = write.Encode(map[string]bool{"ready": true})
	for err == nil && lines.Scan() {
		var said any
		if said, err = part.answer(lines.Text()); err == nil {
			err = write.Encode(said)
		}
	}
	cancel()
	return errors.Join(err, lines.Err(), <-ended)
}

//nolint:ireturn // which one it is the name says
func newRole(ctx context.Context, name string, config []byte) (role, error) {
	switch name {
	case roleSimulator:
		var cfg SimulatorConfig
		if err := json.Unmarshal(config, &cfg); err != nil {
			return nil, err
		}
		return newSimulator(ctx, cfg)
	case roleFloor, roleViewers:
		var cfg readersConfig
		if err := json.Unmarshal(config, &cfg); err != nil {
			return nil, err
		}
		return newReaders(cfg), nil
	}
	return fanoutRole(name, config)
}

// child is a process in a role.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// start starts a process in a role and waits until it is ready.
func (s Self) start(ctx context.Context, name string, config any) (*child, error) {
	cmd := exec.CommandContext(ctx, s.Path, append(append([]string(nil), s.Args...), name)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the one that measures
	if err = cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, in: in, out: json.NewDecoder(out)}
	text, err := json.Marshal(config)
	if err == nil {
		_, err = in.Write(append(text, '\n'))
	}
	var ready map[string]bool
	if err == nil {
		err = c.out.Decode(&ready)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bench role %s: %w", name, err), c.end())
	}
	return c, nil
}

// ask asks a question.
func (c *child) ask(question string, answer any) error {
	if _, err := io.WriteString(c.in, question+"\n"); err != nil {
		return err
	}
	return c.out.Decode(answer)
}

// end ends the process, by force where it does not end by itself.
func (c *child) end() error {
	err := c.in.Close()
	timer := time.AfterFunc(10*time.Second, func() {
		_ = c.cmd.Process.Kill() //nolint:errcheck // it may have ended
	})
	defer timer.Stop()
	return errors.Join(err, c.cmd.Wait())
}
