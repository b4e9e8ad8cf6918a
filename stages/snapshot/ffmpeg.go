package snapshot

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// FFmpeg decodes key frames with an ffmpeg process each, a few at once: whatever codec it knows,
// at more than a tenth of a second and 70 MB each.
type FFmpeg struct {
	program string
	timeout time.Duration
	slots   chan struct{}
}

// NewFFmpeg returns a decoder by the program, "" being the ffmpeg of the PATH. It runs at most
// so many processes at once (0: 2), each no longer than the timeout (0: 5 s).
func NewFFmpeg(program string, atOnce int, timeout time.Duration) *FFmpeg {
	if program == "" {
		program = "ffmpeg"
	}
	if atOnce < 1 {
		atOnce = 2
	}
	if timeout <= 0 {
		timeout = 5 * time.Second
	}
	return &FFmpeg{program: program, timeout: timeout, slots: make(chan struct{}, atOnce)}
}

// Find returns the program's path, or hal.ErrNoDevice.
func (d *FFmpeg) Find() (string, error) {
	path, err := exec.LookPath(d.program)
	if err != nil {
		return "", fmt.Errorf("%w: ffmpeg: install Debian's ffmpeg", hal.ErrNoDevice)
	}
	return path, nil
}

// DecodeKey implements Decoder.
func (d *FFmpeg) DecodeKey(ctx context.Context, key hal.Frame, arena *pool.Arena) (hal.Frame, error) {
	program, err := d.Find()
	if err != nil {
		return hal.Frame{}, err
	}
	in, err := movie(key)
	if err != nil {
		return hal.Frame{}, err
	}
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return hal.Frame{}, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d.timeout, fmt.Errorf("ffmpeg took longer than %s", d.timeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-v", "error", "-protocol_whitelist", "pipe", "-threads", "1", "-f", "mp4", "-i", "pipe:0",
		"-frames:v", "1", "-an", "-vf", "scale=trunc(iw/2)*2:trunc(ih/2)*2:out_range=full,format=yuvj420p", "-strict", "-1", "-f", "yuv4mpegpipe", "pipe:1") //nolint:gosec // the program of the configuration
	cmd.Env = []string{"LC_ALL=C"}
	cmd.WaitDelay = time.Second
	cmd.Stdin = bytes.NewReader(in.Data)
	said := &tail{}
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return hal.Frame{}, fmt.Errorf("start ffmpeg: %w", err)
	}
	raw, readErr := readY4M(out, key, arena)
	if readErr != nil {
		cancel() // it may still want to write
	}
	if err = cmd.Wait(); err == nil && readErr == nil {
		return raw, nil
	}
	raw.Release()
	if errors.Is(readErr, pool.ErrArenaFull) {
		return hal.Frame{}, readErr
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return hal.Frame{}, cause
	}
	return hal.Frame{}, fmt.Errorf("ffmpeg cannot decode the key frame: %w: %s", errors.Join(readErr, err), said)
}

// readY4M reads the one picture of a YUV4MPEG2 stream of 4:2:0.
func readY4M(r io.Reader, key hal.Frame, arena *pool.Arena) (hal.Frame, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := line(b)
	if err != nil {
		return hal.Frame{}, fmt.Errorf("no picture: %w", err)
	}
	fields := strings.Fields(head)
	if len(fields) == 0 || fields[0] != "YUV4MPEG2" {
		return hal.Frame{}, errors.New("no picture")
	}
	width, height := 0, 0
	for _, f := range fields[1:] {
		switch f[0] {
		case 'W':
			width, err = strconv.Atoi(f[1:])
		case 'H':
			height, err = strconv.Atoi(f[1:])
		case 'C':
			if !strings.HasPrefix(f, "C420") {
				err = fmt.Errorf("a picture of kind %.10q", f)
			}
		}
		if err != nil {
			return hal.Frame{}, err
		}
	}
	layout, err := hal.PackedLayout(hal.I420, width, height)
	if err != nil {
		return hal.Frame{}, err
	}
	if frame, lineErr := line(b); lineErr != nil || !strings.HasPrefix(frame, "FRAME") {
		return hal.Frame{}, errors.New("a picture without its samples")
	}
	buf, err := arena.Get(layout.Size)
	if err != nil {
		return hal.Frame{}, err
	}
	if _, err := io.ReadFull(b, buf.Bytes()); err != nil {
		buf.Release()
		return hal.Frame{}, fmt.Errorf("half a picture: %w", err)
	}
	t := hal.Track{Codec: hal.Raw, TimeScale: 90000, Width: width, Height: height, Layout: layout, Colour: key.Info().Colour}
	t.Colour.FullRange = true
	return hal.Frame{Buf: buf, Stream: &hal.Stream{Tracks: []hal.Track{t}}, Stamp: key.Stamp, Key: true}, nil
}

// line reads a line that fits into the reader.
func line(b *bufio.Reader) (string, error) {
	l, err := b.ReadSlice('\n')
	return strings.TrimSuffix(string(l), "\n"), err
}

// tail keeps the beginning of what a process says.
type tail struct{ text []byte }

const maxSaid = 400

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p[:min(len(p), maxSaid-len(t.text))]...)
	return len(p), nil
}

func (t *tail) String() string { return strings.Join(strings.Fields(string(t.text)), " ") }
