package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace-video/millrace/hal"
)

// The recorders that are measured.
const (
	floorName     = "floor"
	oursName      = "millrace"
	ffmpegName    = "ffmpeg"
	gstreamerName = "gstreamer"
	mediamtxName  = "mediamtx"
)

// job is what a recorder is asked to do.
type job struct {
	self     Self
	dir      string // for its files alone
	cameras  string // HOST:PORT of the simulator
	live     string // HOST:PORT for a recorder that serves live pictures, too
	channels int
	readers  int // that will watch
	codec    hal.Codec
	profile  string // where ours writes profiles; "": nowhere
}

func channelName(i int) string { return fmt.Sprintf("cam%03d", i) }

func (j job) camera(i int) string { return "rtsp://" + j.cameras + "/" + channelName(i) }

// recorder is a way to record cameras.
type recorder struct {
	name    string
	program string // that has to be on PATH; "": this one
	install string // what to do where it is not
	most    int    // channels at which it is still measured; 0: any number
	// commands are the processes to start.
	commands func(ctx context.Context, j job) ([]*exec.Cmd, error)
	// files is where the files of a channel are, as a pattern; "": they are no MP4.
	files func(j job, channel int) string
}

func recorders() []recorder {
	return []recorder{
		{name: floorName, commands: nil, files: func(job, int) string { return "" }},
		{name: oursName, commands: millraceCommand, files: func(j job, i int) string { return filepath.Join(j.dir, "rec", channelName(i), "*.mp4") }},
		{
			name: ffmpegName, program: "ffmpeg", install: "apt-get install ffmpeg", most: 128, commands: ffmpegCommands,
			files: func(j job, i int) string { return filepath.Join(j.dir, channelName(i)+".mp4") },
		},
		{
			name: gstreamerName, program: "gst-launch-1.0", install: "apt-get install gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-plugins-bad",
			most: 128, commands: gstreamerCommands,
			files: func(j job, i int) string { return filepath.Join(j.dir, channelName(i)+".mp4") },
		},
		{
			name: mediamtxName, program: "mediamtx", install: "put it on PATH", most: 256, commands: mediamtxCommand,
			files: func(j job, i int) string { return filepath.Join(j.dir, channelName(i), "*.mp4") },
		},
	}
}

// chosen returns the floor, ours and the peers that are asked for. Of those that are not there skipped
// says so; a peer that was named and is unknown is an error.
func chosen(peers []string) (all []recorder, skipped []string, err error) {
	known := recorders()
	auto := slices.Equal(peers, []string{"auto"}) || len(peers) == 0
	if !auto && !slices.Equal(peers, []string{"none"}) {
		for _, name := range peers {
			if !slices.ContainsFunc(known, func(r recorder) bool { return r.name == name && r.program != "" }) {
				return nil, nil, fmt.Errorf("--peers %s: unknown: ffmpeg, gstreamer, mediamtx, or auto or none alone", name)
			}
		}
	}
	for _, r := range known {
		if r.program == "" {
			all = append(all, r)
			continue
		}
		if !auto && !slices.Contains(peers, r.name) {
			continue
		}
		if _, err := exec.LookPath(r.program); err != nil {
			skipped = append(skipped, fmt.Sprintf("%s: %s is not on PATH (%s)", r.name, r.program, r.install))
			continue
		}
		all = append(all, r)
	}
	return all, skipped, nil
}

// millraceCommand is our own program with a configuration that names the cameras and nothing else: all is as it is by
// default, the live server included.
func millraceCommand(ctx context.Context, j job) ([]*exec.Cmd, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "data: %q\nlisten: \"127.0.0.1:0\"\nrtsp: {listen: %q, max_readers: %d}\nchannels:\n",
		filepath.Join(j.dir, "rec"), j.live, j.readers+64)
	for i := range j.channels {
		fmt.Fprintf(&b, "  - {name: %s, source: %q}\n", channelName(i), j.camera(i))
	}
	file := filepath.Join(j.dir, "millrace.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	args := append(slices.Clone(j.self.Run[1:]), "--config", file, "--log-level", "warn")
	if j.profile != "" {
		args = append(args, "--profile", filepath.Join(j.profile, fmt.Sprintf("channels=%d,viewers=%d", j.channels, j.readers)))
	}
	cmd := exec.CommandContext(ctx, j.self.Run[0], args...)
	cmd.Stdout = io.Discard // its summary
	return []*exec.Cmd{cmd}, nil
}

// ffmpegCommands is one process a camera: its demuxer reads, its muxer writes fragments of a second.
func ffmpegCommands(ctx context.Context, j job) ([]*exec.Cmd, error) {
	all := make([]*exec.Cmd, j.channels)
	for i := range all {
		all[i] = exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", j.camera(i), "-c", "copy",
			"-f", "mp4", "-movflags", "+empty_moov+default_base_moof+frag_keyframe", "-frag_duration", "1000000", "-y", filepath.Join(j.dir, channelName(i)+".mp4"))
	}
	return all, nil
}

// gstreamerCommands is one process a camera.
func gstreamerCommands(ctx context.Context, j job) ([]*exec.Cmd, error) {
	all := make([]*exec.Cmd, j.channels)
	depay, parse := "rtph264depay", "h264parse"
	if j.codec == hal.H265 {
		depay, parse = "rtph265depay", "h265parse"
	}
	for i := range all {
		line := "-e -q rtspsrc name=s protocols=tcp latency=200 location=" + j.camera(i) +
			" s. ! application/x-rtp,media=video ! queue ! " + depay + " ! " + parse + " ! mux." +
			" s. ! application/x-rtp,media=audio ! queue ! rtpmp4gdepay ! aacparse ! mux." +
			" mp4mux name=mux fragment-duration=1000 ! filesink location=" + filepath.Join(j.dir, channelName(i)+".mp4")
		all[i] = exec.CommandContext(ctx, "gst-launch-1.0", strings.Fields(line)...) //nolint:gosec // our own arguments
	}
	return all, nil
}

// mediamtxCommand is one process with a path for each camera, all recorded; what needs no port is off.
func mediamtxCommand(ctx context.Context, j job) ([]*exec.Cmd, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "logLevel: warn\nrtspTransports: [tcp]\nrtspAddress: %q\nrtmp: false\nhls: false\nwebrtc: false\nsrt: false\nmoq: false\n", j.live)
	fmt.Fprintf(&b, "pathDefaults:\n  record: true\n  recordPath: %q\n  recordFormat: fmp4\n  recordPartDuration: 1s\n  recordDeleteAfter: 0s\n  rtspTransport: tcp\npaths:\n",
		filepath.Join(j.dir, "%path", "%Y-%m-%d_%H-%M-%S-%f"))
	for i := range j.channels {
		fmt.Fprintf(&b, "  %s: {source: %q}\n", channelName(i), j.camera(i))
	}
	file := filepath.Join(j.dir, "mediamtx.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "mediamtx", file)
	cmd.Dir = j.dir
	return []*exec.Cmd{cmd}, nil
}

// freeAddress returns an address of this machine that nobody listens at now.
func freeAddress(ctx context.Context) (string, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), errors.Join(l.Close())
}
