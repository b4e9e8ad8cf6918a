package outage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace-video/millrace/bench/hil"
)

// Cut is one boot of the machine and its end.
type Cut struct {
	Sync   string // record.sync: fragment, a duration or segment
	Random bool   // what is not flushed is written early, and a part of it stays, by chance; else nothing of it
	Clock  string // shell commands that set the machine's wall clock, each said by "OUTAGE stepped"
	Before string // the same, before the program starts
	Steps  int    // how often Clock does, while the program runs
	Label  string // what the name of a file of this boot has in it
}

// What the machine says.
const (
	saysAlive   = "ALIVE "
	saysStart   = "OUTAGE start"
	saysStepped = "OUTAGE stepped"
)

// Segment is how long a file of a trial is. Channels are small: the machine is emulated.
const (
	Segment  = 6 * time.Second
	channels = `channels:
  - {name: a, source: 'synth://?size=160x112&rate=25&gop=25&audio=aac&bitrate=3M'}
  - {name: b, source: 'synth://?size=160x112&rate=15&gop=10&audio=aac&bitrate=300k'}
`
)

// program is what the machine runs. It tells its monotonic clock all along, so that one knows outside how far it came.
const program = `#!/bin/sh
now=$(date +%%s)
%s
while read -r up _ </proc/uptime; do
	echo "ALIVE $up"
	usleep 40000
done &
cp /host/millrace /tmp/
echo "OUTAGE start"
(
:
%s
) &
exec /tmp/millrace run --listen 127.0.0.1:0 --rtsp 127.0.0.1:0 --config /host/millrace.yml 2>&1
`

// A random cut comes while the disk is written, or, where it is not written that much, after a while.
const (
	burst    = 40 // writes
	patience = 10 * time.Second
)

// eager has the machine write what nobody asked it to make durable after a moment, as it does after
// half a minute by itself. What it did not write a cut takes, and chance has nothing to choose from.
const eager = `
echo 10 >/proc/sys/vm/dirty_writeback_centisecs
echo 10 >/proc/sys/vm/dirty_expire_centisecs
`

func configuration(data, sync, more string) string {
	return fmt.Sprintf("data: %s\nlog: {level: debug}\ndisk: {min_free: 1MB}\n"+
		"defaults: {record: {segment_duration: %s, sync: %s%s}, live: {enabled: false}}\n%s", data, Segment, sync, more, channels)
}

// boot runs the machine until a random instant of a span after the program was started, or after
// the clock was set for the last time.
func boot(ctx context.Context, m hil.Machine, c Cut, from, to time.Duration) (*console, error) {
	if c.Random {
		c.Before += eager
	}
	err := errors.Join(
		os.WriteFile(filepath.Join(m.Share, "outage"), fmt.Appendf(nil, program, c.Before, c.Clock), 0o755), //nolint:gosec // it is a program
		os.WriteFile(filepath.Join(m.Share, "args"), nil, 0o600),
		os.WriteFile(filepath.Join(m.Share, "millrace.yml"), []byte(configuration("/disk/rec", c.Sync, "")), 0o600))
	if err != nil {
		return nil, err
	}
	const longest = 3 * time.Minute
	ctx, cut := context.WithTimeout(ctx, longest)
	defer cut()
	out := &console{starts: 1 + c.Steps, act: func() {
		time.AfterFunc(from+rand.N(to-from+1), func() {
			if !c.Random {
				cut()
				return
			}
			m.Disk.CutAt(1+rand.IntN(burst), cut) //nolint:gosec // no secret
			time.AfterFunc(patience, cut)
		})
	}}
	m.Program = "outage"
	_, err = m.Run(ctx, out)
	if !errors.Is(err, context.Canceled) {
		return nil, fmt.Errorf("the machine ended before its power was cut: %w\n%s", err, out.text.Bytes())
	}
	return out, nil
}

// console is what the machine says.
type console struct {
	act    func() // once it has said so often that something begins
	starts int

	mu    sync.Mutex
	text  bytes.Buffer // without signs of life
	rest  []byte       // a line that has not ended
	alive time.Duration
	stood []stall
	begun map[string]time.Duration // a channel's first file of this boot, by the machine's clock
}

// stall is a time in which the machine did nothing, not even show that it is alive: its host was
// busy with others.
type stall struct{ end, length time.Duration }

// beat is how far apart signs of life are at the most in a machine that is given its time.
const beat = 400 * time.Millisecond

// stalled is how long the machine stood still in the last while before the end.
func (c *console) stalled(last time.Duration) (sum time.Duration) {
	for _, s := range c.stood {
		if s.end > c.alive-last {
			sum += s.length
		}
	}
	return sum
}

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rest = append(c.rest, b...)
	for {
		line, rest, ok := bytes.Cut(c.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		c.line(strings.TrimRight(string(line), "\r"))
		c.rest = rest
	}
}

var opened = regexp.MustCompile(`msg=recording channel=(\w+) `)

func (c *console) line(text string) {
	if up, ok := strings.CutPrefix(text, saysAlive); ok {
		if s, err := strconv.ParseFloat(up, 64); err == nil {
			now := time.Duration(s * float64(time.Second))
			if still := now - c.alive; c.alive > 0 && still > beat {
				c.stood = append(c.stood, stall{now, still - beat})
			}
			c.alive = now
		}
		return
	}
	c.text.WriteString(text + "\n")
	if m := opened.FindStringSubmatch(text); m != nil {
		if c.begun == nil {
			c.begun = map[string]time.Duration{}
		}
		if _, known := c.begun[m[1]]; !known {
			c.begun[m[1]] = c.alive
		}
	}
	if text == saysStart || text == saysStepped {
		if c.starts--; c.starts == 0 {
			c.act()
		}
	}
}

var finding = regexp.MustCompile(`found="(?:[^"]*/)?(\w+/[0-9]{8}-[^"]*)"`)

// report is what a start said of files that were open, and whether it came that far.
func report(log string) (lines []string, through bool) {
	for _, m := range finding.FindAllStringSubmatch(log, -1) {
		lines = append(lines, m[1])
	}
	return lines, strings.Contains(log, `msg="rtsp server listens"`)
}
