package rtsp_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// need fails where a program is missing and says which package has it.
func need(t *testing.T, program, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is missing: apt-get install %s", program, pkg)
	}
}

// mount is a stream of the GStreamer server.
type mount struct {
	Launch    string `json:"launch"`
	Multicast bool   `json:"multicast,omitempty"`
}

type serverConfig struct {
	Mounts   map[string]mount `json:"mounts"`
	TLS      string           `json:"tls,omitempty"`
	User     string           `json:"user,omitempty"`
	Password string           `json:"password,omitempty"`
	Auth     string           `json:"auth,omitempty"`
	Address  string           `json:"address,omitempty"`

	wrap []string // a command that runs the server's
	// ready is called once the wrapping command has said "ready"; stdin is its standard input.
	ready func(pid int, stdin io.Writer)
}

// gstServer is GStreamer's RTSP server in a process of its own.
type gstServer struct {
	port    string
	clients atomic.Int64 // connections accepted
	cmd     *exec.Cmd
}

func startServer(t *testing.T, conf serverConfig) *gstServer {
	t.Helper()
	const pkgs = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base " +
		"gstreamer1.0-plugins-good gstreamer1.0-plugins-bad glib-networking"
	raw, err := json.Marshal(conf)
	require.NoError(t, err)
	args := append(append([]string(nil), conf.wrap...), "/usr/bin/python3", "testdata/server.py", string(raw))
	s := &gstServer{cmd: exec.CommandContext(t.Context(), args[0], args[1:]...)}
	var stderr strings.Builder
	s.cmd.Stderr = &stderr
	s.cmd.WaitDelay = time.Second
	out, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	stdin, err := s.cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start(), "apt-get install %s", pkgs)
	lines := bufio.NewScanner(out)
	if conf.ready != nil && lines.Scan() {
		conf.ready(s.cmd.Process.Pid, stdin)
	}
	for s.port == "" && lines.Scan() {
		s.port = strings.TrimPrefix(lines.Text(), "port ")
	}
	if s.port == "" {
		_ = s.cmd.Wait()
		t.Fatalf("no RTSP server: apt-get install %s\n%s", pkgs, stderr.String())
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines.Scan() {
			if lines.Text() == "client" {
				s.clients.Add(1)
			}
		}
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-done
		_ = s.cmd.Wait()
	})
	return s
}

func (s *gstServer) url(path string) string { return "rtsp://127.0.0.1:" + s.port + path }

// certificate writes a certificate for 127.0.0.1 and its key, and returns the file and the DER.
func certificate(t *testing.T) (file string, der []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "camera"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err = x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	rawKey, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), "camera.pem")
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rawKey})...)
	require.NoError(t, os.WriteFile(file, out, 0o600))
	return file, der
}

// film is a prepared stream: a flash and a beep half a second after each whole one.
type film struct {
	name   string
	video  []string // ffmpeg's encoder arguments
	audio  []string
	launch string // what follows the demuxer, to the payloaders
	rate   int    // of the sound
}

func films() []film {
	const (
		h264 = "d.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 "
		aac  = "d.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 "
		h265 = "d.video_0 ! queue ! h265parse ! rtph265pay name=pay0 pt=96 "
		jpeg = "d.video_0 ! queue ! jpegparse ! rtpjpegpay name=pay0 pt=26 "
	)
	x264 := []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "25"}
	with := func(a []string, b ...string) []string { return append(append([]string(nil), a...), b...) }
	toAAC := []string{"-c:a", "aac", "-b:a", "64k"}
	mjpeg := []string{"-c:v", "mjpeg", "-huffman", "default", "-pix_fmt", "yuvj420p", "-q:v", "6"}
	return []film{
		{"h264-aac", with(x264, "-bf", "0"), toAAC, h264 + aac, 48000},
		{"h264-bframes-aac", with(x264, "-bf", "2", "-b_strategy", "0"), toAAC, h264 + aac, 48000},
		{"h264-slices-aac", with(x264, "-bf", "0", "-x264-params", "slices=4"), toAAC, h264 + aac, 48000},
		{
			"h265-opus",
			[]string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=25:bframes=2"},
			[]string{"-c:a", "libopus", "-b:a", "48k"},
			h265 + "d.audio_0 ! queue ! opusparse ! rtpopuspay name=pay1 pt=97 ", 48000,
		},
		{"mjpeg-pcma", mjpeg, []string{"-c:a", "pcm_alaw"}, jpeg + "d.audio_0 ! queue ! rtppcmapay name=pay1 pt=8 ", 8000},
		{"mjpeg-pcmu", mjpeg, []string{"-c:a", "pcm_mulaw"}, jpeg + "d.audio_0 ! queue ! rtppcmupay name=pay1 pt=0 ", 8000},
	}
}

// seconds is how long the films are.
func seconds() int {
	if os.Getenv("MILLRACE_TORTURE") != "" {
		return 10
	}
	return 3
}

const filmRate = 25

// shoot makes a film's file.
func (f film) shoot(t *testing.T, dir string) string {
	t.Helper()
	need(t, "ffmpeg", "ffmpeg")
	path := filepath.Join(dir, f.name+".mkv")
	n := seconds()
	picture := fmt.Sprintf("testsrc2=s=320x180:r=%d:d=%d,drawbox=x=0:y=0:w=iw:h=ih:color=white:t=fill:enable='lt(mod(t+0.5,1),0.079)'", filmRate, n)
	sound := fmt.Sprintf("aevalsrc='if(lt(mod(t+0.5,1),0.08),0.8*sin(2*PI*1000*t),0)':s=%d:d=%d", f.rate, n)
	args := []string{"-v", "error", "-y", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-threads", "1"}
	args = append(append(append(args, f.video...), f.audio...), path)
	out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// mount serves the film's file.
func (f film) mount(path string) mount {
	return mount{Launch: "( filesrc location=" + path + " ! matroskademux name=d " + f.launch + ")"}
}

// shootAll makes all films and their mounts.
func shootAll(t *testing.T) map[string]mount {
	t.Helper()
	dir, all := t.TempDir(), map[string]mount{}
	for _, f := range films() {
		all["/"+f.name] = f.mount(f.shoot(t, dir))
	}
	return all
}
