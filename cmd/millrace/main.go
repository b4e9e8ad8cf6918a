// Command millrace records cameras and serves them live. See millrace --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/millrace-video/millrace/cmd/internal/cli"
	"github.com/millrace-video/millrace/cmd/internal/config"
)

var version string // set when it is linked: -X main.version=…

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program, but for the end of its process.
func run(args []string, stdout, stderr io.Writer) int {
	var cmd commands
	chosen, err := cli.Program{Name: "millrace", About: about, Commands: &cmd}.Parse(args, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "millrace: %v\nmillrace --help tells what there is.\n", err)
		return exitUsage
	}
	if chosen == nil {
		return exitOK // the help that was asked for is told
	}
	// The first signal ends in order; it also makes the second one end the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	err = errors.New("a command that does nothing")
	if r, ok := chosen.(runner); ok {
		err = r.Run(&console{ctx: ctx, out: stdout, err: stderr, all: &cmd, args: args})
	}
	var wrong config.FileError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrong), errors.Is(err, errUsage):
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	fmt.Fprintln(stderr, "millrace:", err)
	if odd := (oddError{}); errors.As(err, &odd) {
		return exitOdd
	}
	return exitFailure
}
