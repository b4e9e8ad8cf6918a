// Command run is `make hil`: it sets the virtual machine up, builds the suite, runs it inside and
// prints the table of cases.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-video/millrace/bench/hil"
)

// settings are the flags.
type settings struct {
	arch, run string
	limit     time.Duration
	count     int
	keep      bool
	cuts      int
}

// everything is what -run is where nobody says.
const everything = "."

func main() {
	var s settings
	flag.StringVar(&s.arch, "arch", "amd64", "of the machine: amd64 or arm64")
	flag.StringVar(&s.run, "run", everything, "only the cases that match, as for go test")
	flag.IntVar(&s.count, "count", 1, "how often each case runs")
	flag.DurationVar(&s.limit, "limit", 8*time.Minute, "of the run inside the machine")
	flag.IntVar(&s.cuts, "power", 0, "only the cases of the power cut, with so many cuts of a recorder's")
	flag.BoolVar(&s.keep, "keep", false, "keep what the machine and its host shared")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := s.all(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hil:", err)
		os.Exit(1)
	}
}

// all is the whole run, from the root of the repository.
func (s settings) all(ctx context.Context) error {
	dir, err := s.setUp(ctx)
	if err != nil {
		return err
	}
	if s.cuts > 0 {
		var bad int
		bad, err = hil.WriteTable(os.Stdout, append(s.outages(ctx, dir, s.cuts), s.powerCut(ctx, dir)))
		if err == nil && bad > 0 {
			err = fmt.Errorf("%d cases of the power cut failed", bad)
		}
		return err
	}
	share, err := os.MkdirTemp("", "millrace-hil-")
	if err != nil {
		return err
	}
	if s.keep {
		fmt.Println("hil: shared directory:", share)
	} else {
		defer os.RemoveAll(share) //nolint:errcheck // a leftover in the temporary directory
	}
	if err = s.build(ctx, share); err != nil {
		return err
	}
	code, err := s.boot(ctx, hil.Machine{Arch: s.arch, Dir: dir, Share: share})
	var beside []hil.Case
	if err == nil && s.run == everything {
		beside = append(s.outages(ctx, dir, len(policies())), s.powerCut(ctx, dir))
	}
	cases, bad, tableErr := table(ctx, share, beside)
	switch {
	case err != nil:
		return errors.Join(err, tableErr)
	case tableErr != nil:
		return tableErr
	case bad > 0 || code != 0 || cases == 0:
		return fmt.Errorf("the suite failed with code %d: %d of %d cases did not pass", code, bad, cases)
	}
	return nil
}

// setUp returns the directory of the machine.
func (s settings) setUp(ctx context.Context) (string, error) {
	defer took("setting up the machine", time.Now())
	cmd := exec.CommandContext(ctx, "bash", "bench/hil/setup.sh", s.arch) //nolint:gosec // our own script
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("setting up the machine: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// build links the suite and the program that some of its cases run, both statically, because there
// is no library in the machine.
func (s settings) build(ctx context.Context, share string) error {
	defer took("building the suite", time.Now())
	for _, args := range [][]string{
		{"test", "-c", "-tags", "hil,netgo,osusergo", "-o", filepath.Join(share, "hil.test"), "./bench/hil"},
		{"build", "-tags", "netgo,osusergo", "-o", filepath.Join(share, "millrace"), "./cmd/millrace"},
	} {
		if err := link(ctx, s.arch, args...); err != nil {
			return err
		}
	}
	args := fmt.Sprintf("-test.v -test.timeout %v -test.count %d -test.run %s\n", s.limit, s.count, s.run)
	return os.WriteFile(filepath.Join(share, "args"), []byte(args), 0o600)
}

// link has the Go command make a static program.
func link(ctx context.Context, arch string, args ...string) error {
	args = slices.Insert(args, len(args)-1, "-trimpath", "-ldflags", "-s -w -extldflags -static")
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // our own command
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOOS=linux", "GOARCH="+arch, "CC="+map[string]string{
		"amd64": "x86_64-linux-gnu-gcc", "arm64": "aarch64-linux-gnu-gcc",
	}[arch])
	if out, err := cmd.CombinedOutput(); err != nil { // the linker's warning about dlopen is of no interest
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// boot runs the suite inside the machine, with a camera on the host beside it.
func (s settings) boot(ctx context.Context, m hil.Machine) (code int, err error) {
	defer took("the machine", time.Now())
	fallback, err := hil.NewFallback() //nolint:contextcheck // the camera has a life of its own, until Close
	if err != nil {
		return 0, fmt.Errorf("the RTSP camera on the host: %w", err)
	}
	defer func() { err = errors.Join(err, fallback.Close(context.WithoutCancel(ctx))) }()
	url, err := fallback.URL()
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(m.Share, "fallback"), []byte(url), 0o600); err != nil {
		return 0, err
	}
	if err := os.Mkdir(filepath.Join(m.Share, "out"), 0o755); err != nil { //nolint:gosec // others judge what lies there
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.limit+time.Minute)
	defer cancel()
	return m.Run(ctx, os.Stdout)
}

// table prints the cases, with what the host has to say of the recordings and those that it ran
// beside the suite, and returns how many there are and how many did not pass.
func table(ctx context.Context, share string, beside []hil.Case) (cases, bad int, err error) {
	log, err := os.Open(filepath.Join(share, "log")) //nolint:gosec // of our own directory
	if err != nil {
		return 0, 0, err
	}
	defer log.Close() //nolint:errcheck // it was only read
	all, err := hil.Cases(log)
	if err != nil {
		return 0, 0, err
	}
	judged, err := hil.Judge(ctx, filepath.Join(share, "out"))
	if err != nil {
		return 0, 0, err
	}
	all = slices.Concat(all, judged, beside)
	fmt.Println()
	bad, err = hil.WriteTable(os.Stdout, all)
	fmt.Printf("\nhil: %d passed, %d failed\n", len(all)-bad, bad)
	return len(all), bad, err
}

func took(what string, since time.Time) {
	fmt.Printf("hil: %s: %.1f s\n", what, time.Since(since).Seconds())
}
