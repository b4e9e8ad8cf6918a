package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
)

const about = `Records cameras and serves them live: every camera has a pipeline of its own.

Exit codes: 0 done; 1 something failed; 2 the command line or the configuration is wrong; 3 doctor: works, but something
is odd.
The first Ctrl-C (or SIGTERM) ends in order: queues drain and files are finished. A second one ends at once; files are
whole all the same, but for their last second.`

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // the command line or the configuration is wrong
	exitOdd     = 3 // all works, and something is odd
)

// errUsage marks an error that the command line or the configuration is to blame for.
var errUsage = errors.New("wrong use")

// usageError is an error of the command line, told as it is.
type usageError struct{ error }

func (usageError) Is(target error) bool { return target == errUsage }
func (e usageError) Unwrap() error      { return e.error }

// commands is the command line.
type commands struct {
	logFlags

	Run       runCommand       `cmd:"" help:"Record and serve every channel until told to end."`
	Check     checkCommand     `cmd:"" help:"Report everything that is wrong with a configuration, with file, line and column."`
	Devices   devicesCommand   `cmd:"" help:"List the cameras and encoders that are usable here."`
	Doctor    doctorCommand    `cmd:"" help:"Measure what cameras really deliver, say what to choose and what is odd."`
	Record    recordCommand    `cmd:"" help:"Record one source into one MP4 file."`
	Trace     traceCommand     `cmd:"" help:"Record what a V4L2 camera and its driver say to each other, to be sent with a report."`
	Channel   channelCommand   `cmd:"" help:"Look at and command the channels of a running millrace."`
	Recording recordingCommand `cmd:"" help:"Start or stop the recording of a channel of a running millrace; the channel goes on."`
	Snapshot  snapshotCommand  `cmd:"" help:"Save a picture of a channel of a running millrace."`
	Timeline  timelineCommand  `cmd:"" help:"Show what was recorded of a channel, and what is missing and why."`
	Export    exportCommand    `cmd:"" help:"Write what was recorded of a channel in a time into an MP4 file, nothing coded anew."`
	Disk      diskCommand      `cmd:"" help:"Tell what recordings take, what may stay, and what would go next and why."`
	Catalog   catalogCommand   `cmd:"" help:"Look at the catalog of what was recorded, or make it anew."`
	Bench     benchCommand     `cmd:"" help:"Measure what this machine does."`
	Cloud     cloudCommand     `cmd:"" help:"Look at the cloud storage of a running millrace, and switch its services."`
	Event     eventCommand     `cmd:"" help:"Say that something happened in a channel of a running millrace, or show its events."`
	Version   versionCommand   `cmd:"" help:"Tell what this program is."`
}

type logFlags struct {
	LogLevel  string `enum:",debug,info,warn,error" default:"" placeholder:"LEVEL" help:"Log from this level on: debug, info, warn or error. Default: info for run, warn for the others."`
	LogFormat string `enum:",text,json" default:"" placeholder:"FORMAT" help:"Log as text (default) or json, on standard error."`
}

// runner is a command that can be run; all that have no commands below them can.
type runner interface{ Run(c *console) error }

// console is what a command has of the world.
type console struct {
	ctx      context.Context //nolint:containedctx // the process's life, handed to one command
	out, err io.Writer
	all      *commands // what the flags say
	args     []string  // the command line
}

// logger returns a logger as the flags say, and where they say nothing as the defaults do.
// scrub, which may be nil, hides secrets.
func (c *console) logger(level, format string, scrub func(string) string) (*slog.Logger, error) {
	if c.all.LogLevel != "" {
		level = c.all.LogLevel
	}
	if c.all.LogFormat != "" {
		format = c.all.LogFormat
	}
	var options slog.HandlerOptions
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, err
	}
	options.Level = l
	w := c.err
	if scrub != nil {
		w = scrubbing{w, scrub}
	}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, &options)), nil
	}
	return slog.New(slog.NewTextHandler(w, &options)), nil
}

// scrubbing hides secrets in what is written.
type scrubbing struct {
	io.Writer
	scrub func(string) string
}

func (s scrubbing) Write(text []byte) (int, error) {
	if _, err := io.WriteString(s.Writer, s.scrub(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}

// isTerminal says whether somebody sees what is written while it is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
