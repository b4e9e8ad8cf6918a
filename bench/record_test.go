package bench_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-video/millrace/hal"
	rtspcam "github.com/millrace-video/millrace/hal/rtsp"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/record"
	"github.com/millrace-video/millrace/stages/send/rtsp"
)

// serveEnv makes the test binary a camera simulator in a process of its own, so that its work
// is not counted as the recorder's.
const serveEnv = "MILLRACE_BENCH_SERVE"

func TestMain(m *testing.M) {
	if url := os.Getenv(serveEnv); url != "" {
		if err := serve(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve plays a synthetic camera to any number of readers until standard input ends.
func serve(url string) error {
	server := rtsp.NewServer(rtsp.Config{Listen: "127.0.0.1:0", MaxReaders: 1024})
	if err := server.Start(); err != nil {
		return err
	}
	eng := pipeline.NewEngine(pipeline.Config{})
	ch, err := eng.Add(pipeline.Define("cam", acquire.From(hal.NewRegistry(synth.Driver{}), url)).
		Branch("live", rtsp.Limit(), server.Mount("cam")))
	if err != nil {
		return err
	}
	if err := ch.Start(); err != nil {
		return err
	}
	fmt.Println(server.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// simulator starts the camera simulator and returns its address.
func simulator(b *testing.B, url string) string {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), serveEnv+"="+url)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(addr)
}

// cpu is the process's own accounting, user and system.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRecordRTSP is what recording costs, 1080p25 at 4 Mbit/s and AAC over RTSP/TCP, each
// channel its own connection, nobody watching: the simulator is a process of its own. One
// iteration is one second of all channels.
func BenchmarkRecordRTSP(b *testing.B) {
	for _, channels := range []int{8, 64} {
		b.Run(fmt.Sprintf("channels=%d", channels), func(b *testing.B) {
			addr := simulator(b, "synth://?size=1920x1080&rate=25&gop=50&bitrate=4M")
			eng := pipeline.NewEngine(pipeline.Config{})
			reg := hal.NewRegistry(rtspcam.Driver{})
			dir := b.TempDir()
			for i := range channels {
				name := fmt.Sprintf("cam%03d", i)
				ch, err := eng.Add(pipeline.Define(name, acquire.From(reg, "rtsp://"+addr+"/cam")).
					Branch("disk", record.Ring{}, record.To(dir+"/"+name, record.Config{})))
				if err != nil {
					b.Fatal(err)
				}
				if err := ch.Start(); err != nil {
					b.Fatal(err)
				}
			}
			<-time.After(4 * time.Second)
			before := cpu(b)
			frames := framesOf(eng)
			b.ResetTimer()
			<-time.After(time.Duration(b.N) * time.Second)
			b.StopTimer()
			seconds := float64(b.N) * float64(channels)
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/1000/seconds, "cpu-ms/channel-s")
			b.ReportMetric(float64(framesOf(eng)-frames)/seconds, "frames/channel-s")
			if err := eng.Exit(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func framesOf(eng *pipeline.Engine) (n uint64) {
	for _, ch := range eng.Channels() {
		n += ch.Status().Stages[0].Frames
	}
	return n
}
