package rtsp_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmpeg4audio"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/rtsp"
	"github.com/millrace-video/millrace/pool"
)

// reel is a second of interleaved packets that can be sent again and again: 25 pictures of
// 4 Mbit/s and 47 pieces of AAC, about 400 packets. Sequence numbers and time stamps are patched.
type reel struct {
	bytes   []byte
	packets []cut // in order
}

type cut struct {
	at, end int // with the 4 bytes of the interleaved frame
	track   int
	picture int // counts a second's pictures, or pieces of sound
}

const reelPictures, reelSounds = 25, 47

func makeReel(t testing.TB) *reel {
	t.Helper()
	r := &reel{}
	add := func(track, picture int, packets ...[]byte) {
		for _, p := range packets {
			at := len(r.bytes)
			r.bytes = append(r.bytes, interleave(byte(2*track), p)...)
			r.packets = append(r.packets, cut{at, len(r.bytes), track, picture})
		}
	}
	c := newCamera(t)
	c.enc.PayloadMaxSize = 1400
	aac := rtpmpeg4audio.Encoder{PayloadType: 97, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3}
	require.NoError(t, aac.Init())
	sounds := 0
	for i := range reelPictures {
		if i == 0 {
			add(0, i, c.shoot(b64(t, sps264), b64(t, pps264), fill(80_000, 0x65, 0x88))...)
		} else {
			add(0, i, c.shoot(fill(18_000, 0x41, 0x9a))...)
		}
		for ; sounds < (i+1)*reelSounds/reelPictures; sounds++ {
			pkts, err := aac.Encode([][]byte{fill(170)})
			require.NoError(t, err)
			add(1, sounds, bytesOf(t, pkts[0], 0))
		}
	}
	return r
}

// wind patches the reel for its next showing. seq and ts carry on from one to the next.
func (r *reel) wind(seq *[2]uint16, ts *[2]uint32) {
	steps := [2]uint32{90000 / reelPictures, 1024}
	for _, c := range r.packets {
		p := r.bytes[c.at+4:]
		binary.BigEndian.PutUint16(p[2:], seq[c.track])
		binary.BigEndian.PutUint32(p[4:], ts[c.track]+uint32(c.picture)*steps[c.track])
		seq[c.track]++
	}
	ts[0] += reelPictures * steps[0]
	ts[1] += reelSounds * steps[1]
}

// endless is a camera that shows the reel as fast as it is taken.
func endless(t testing.TB) *fakeCamera {
	t.Helper()
	r := makeReel(t) // for one connection at a time
	return (&fakeCamera{sdp: sdpOf(sdpH264(), sdpAAC), replies: map[string]reply{
		"PLAY": after(func(c *fakeConn, _ string) bool {
			var seq [2]uint16
			var ts [2]uint32
			for ok := true; ok; {
				r.wind(&seq, &ts)
				ok = c.send(r.bytes)
			}
			return false
		}),
	}}).start(t)
}

// TestNothingIsAllocated: issue, Speed: no allocation a packet from the socket to the arena, for
// H.264 and AAC over TCP.
func TestNothingIsAllocated(t *testing.T) {
	reserve := pool.NewReserve() // as an engine has it
	defer reserve.Release()
	u, err := url.Parse("rtsp://" + endless(t).addr + "/x")
	require.NoError(t, err)
	s, err := rtsp.Driver{}.Open(t.Context(), u, hal.Options{Reserve: reserve})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	read := func() {
		f, err := s.Read(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		f.Release()
	}
	for range 3000 {
		read()
	}
	// A frame is 5.6 packets on average. What gortsplib does once a second falls below one.
	require.Zero(t, testing.AllocsPerRun(20_000, read), "allocations a frame")
	require.Zero(t, s.(hal.Reporter).SourceStats().Lost)
	require.Zero(t, s.(hal.Reporter).SourceStats().Malformed)
	require.Positive(t, reserve.Stats().Lent)
}

// TestNothingIsAllocatedUnpacking covers what the stream above has not: H.265.
func TestNothingIsAllocatedUnpacking(t *testing.T) {
	sdp := "m=video 0 RTP/AVP 99\r\na=rtpmap:99 H265/90000\r\na=fmtp:99 sprop-vps=QAEMAf//AWAAAAMAkAAAAwAAAwA8lZAJ; " +
		"sprop-sps=QgEBAWAAAAMAkAAAAwAAAwA8oAoIDB8+WVkSkwvAWgIAAAMAAgAAAwAyEA==; sprop-pps=RAHAc8GJ\r\n"
	d := desk(t, sdp)
	var seq uint16
	var ts uint32
	fragment := append([]byte{0x80, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x62, 0x01, 0x93}, fill(1200, 0xaf)...)
	picture := func() {
		for i := range 5 {
			fragment[1], fragment[14] = 99, 0x13
			if i == 0 {
				fragment[14] |= 0x80
			}
			if i == 4 {
				fragment[1], fragment[14] = 99|0x80, fragment[14]|0x40
			}
			binary.BigEndian.PutUint16(fragment[2:], seq)
			binary.BigEndian.PutUint32(fragment[4:], ts)
			seq++
			d.Put(0, fragment, 0)
		}
		ts += 3600
		d.Next()
	}
	for range 100 {
		picture()
	}
	require.Zero(t, testing.AllocsPerRun(1000, picture))
	require.EqualValues(t, 1101, d.S.SourceStats().Frames)
}

// BenchmarkReceive: one packet from the socket to the arena, the sender in the same process.
func BenchmarkReceive(b *testing.B) {
	s := open(b, rtsp.Driver{}, "rtsp://"+endless(b).addr+"/x")
	per := float64(len(makeReel(b).packets)) / (reelPictures + reelSounds)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0.0; n < float64(b.N); n += per {
		f, err := s.Read(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		f.Release()
	}
}

// BenchmarkUnpack: one packet from the block to the arena, without the socket.
func BenchmarkUnpack(b *testing.B) {
	d := desk(b, sdpH264(), sdpAAC)
	r := makeReel(b)
	var seq [2]uint16
	var ts [2]uint32
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		r.wind(&seq, &ts)
		for _, c := range r.packets {
			d.Put(c.track, r.bytes[c.at+4:c.end], 0)
			d.Next()
			n++
		}
	}
}

// BenchmarkChannels: the CPU time of a channel that is only recorded, against plain gortsplib that
// joins nothing. The cameras are another process and not counted.
func BenchmarkChannels(b *testing.B) {
	for _, n := range []int{8, 64} {
		b.Run(fmt.Sprintf("ours-%d", n), func(b *testing.B) { channels(b, n, ours) })
		b.Run(fmt.Sprintf("plain-%d", n), func(b *testing.B) { channels(b, n, plain) })
	}
}

func ours(ctx context.Context, b *testing.B, address string) {
	b.Helper()
	u, err := url.Parse(address)
	if err != nil {
		b.Error(err)
		return
	}
	src, err := rtsp.Driver{}.Open(ctx, u, hal.Options{})
	if err != nil {
		b.Error(err)
		return
	}
	defer src.Close() //nolint:errcheck // a benchmark
	for {
		f, err := src.Read(ctx)
		if err != nil {
			return
		}
		f.Release()
	}
}

func plain(ctx context.Context, b *testing.B, address string) {
	b.Helper()
	tcp := gortsplib.ProtocolTCP
	u, err := base.ParseURL(address)
	if err != nil {
		b.Error(err)
		return
	}
	c := &gortsplib.Client{Scheme: u.Scheme, Host: u.Host, Protocol: &tcp}
	if err := c.Start(); err != nil {
		b.Error(err)
		return
	}
	defer c.Close()
	desc, _, err := c.Describe(u)
	if err != nil {
		b.Error(err)
		return
	}
	if err := c.SetupAll(desc.BaseURL, desc.Medias); err != nil {
		b.Error(err)
		return
	}
	c.OnPacketRTPAny(func(*description.Media, format.Format, *rtp.Packet) {})
	if _, err := c.Play(nil); err != nil {
		b.Error(err)
		return
	}
	<-ctx.Done()
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

func channels(b *testing.B, n int, run func(context.Context, *testing.B, string)) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	sim := exec.CommandContext(b.Context(), self, "-test.run", "^TestSimulator$", "-test.v")
	sim.Env = append(os.Environ(), "MILLRACE_RTSP_SIMULATOR=1")
	out, err := sim.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := sim.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = sim.Process.Kill(); _ = sim.Wait() }()
	lines, address := bufio.NewScanner(out), ""
	for address == "" && lines.Scan() {
		if _, after, ok := strings.Cut(lines.Text(), "listening on "); ok {
			address = "rtsp://" + after + "/x"
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	var all sync.WaitGroup
	for range n {
		all.Go(func() { run(ctx, b, address) })
	}
	const warm, took = 3 * time.Second, 5 * time.Second
	<-time.After(warm)
	before := cpu(b)
	<-time.After(took)
	used := cpu(b) - before
	cancel()
	all.Wait()
	b.ReportMetric(float64(used.Microseconds())/1000/took.Seconds()/float64(n), "cpu-ms/channel-s")
	b.ReportMetric(0, "ns/op")
}

// TestSimulator is the cameras of BenchmarkChannels; by itself it does nothing.
func TestSimulator(t *testing.T) {
	if os.Getenv("MILLRACE_RTSP_SIMULATOR") == "" {
		return
	}
	master := makeReel(t)
	cam := (&fakeCamera{sdp: sdpOf(sdpH264(), sdpAAC), replies: map[string]reply{
		"PLAY": after(func(c *fakeConn, _ string) bool {
			go func() {
				r := &reel{bytes.Clone(master.bytes), master.packets}
				var seq [2]uint16
				var ts [2]uint32
				tick := time.NewTicker(time.Second / reelPictures)
				defer tick.Stop()
				for {
					r.wind(&seq, &ts)
					last := -1
					for _, p := range r.packets {
						if p.track == 0 && p.picture != last {
							last = p.picture
							<-tick.C
						}
						if !c.send(r.bytes[p.at:p.end]) {
							return
						}
					}
				}
			}()
			return true
		}),
	}}).start(t)
	fmt.Println("listening on " + cam.addr) //nolint:forbidigo // for the parent process
	<-time.After(time.Minute)
}
