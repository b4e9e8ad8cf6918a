package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// Fanout measures what a live reader costs the server: ours beside MediaMTX and gortsplib's own server, each of which
// reads one simulated camera and serves it to 10 and to 50 readers over RTSP/TCP. The cost of one is the slope between
// the two. Then one of the readers stops reading, and the 50 others are looked at.
type Fanout struct {
	Readers [2]int        // default 10 and 50
	Window  time.Duration // of each measurement; default 15 s
	Settle  time.Duration // before it, once every reader plays; default 4 s
	Clip    ClipSpec      // default 1080p H.264 of 4.1 Mbit/s and a key frame in 50
	Peers   []string      // mediamtx, gortsplib; auto: those that are there; none. Default auto
	Dir     string        // for configurations; default the system's temporary folder
	Self    Self

	skipped []string
	heard   map[string]*heard
}

// heard is what the readers of a server heard, with and without a slow one; of all runs.
type heard struct {
	missing int64 // packets that did not come, or in another order
	frames  int64
	starved int64 // readers that got fewer pictures than the camera sent
	late    []Spread
	beside  []Spread
}

const gortsplibName = "gortsplib"

func (b *Fanout) withDefaults() {
	if b.Readers == [2]int{} {
		b.Readers = [2]int{10, 50}
	}
	b.Clip = b.Clip.withDefaults()
	if b.heard == nil {
		b.heard = map[string]*heard{}
	}
}

// About implements Bench.
func (b *Fanout) About() About {
	b.withDefaults()
	return About{
		Name: "fanout", Title: "what a live reader costs",
		Text: fmt.Sprintf("A simulated camera (%s, a process of its own) is read by one server at a time, which serves it over RTSP/TCP "+
			"to %d and to %d readers (another process). Counted is the server's CPU alone, user and system; the cost of a reader is the slope "+
			"between the two. Then one more reader plays and takes nothing: every other one must go on getting every packet in order, no later than before.",
			b.Clip, b.Readers[0], b.Readers[1]),
		Peers: []string{mediamtxName},
	}
}

// Run implements Bench.
func (b *Fanout) Run(ctx context.Context, r *Report) error {
	b.withDefaults()
	if b.Window == 0 {
		b.Window = r.lasting(15*time.Second, 3*time.Second)
	}
	if b.Settle == 0 {
		b.Settle = min(b.Window/2, 4*time.Second)
	}
	if err := enoughFiles(4*b.Readers[1] + 200); err != nil {
		return err
	}
	self, err := b.Self.withDefaults()
	if err != nil {
		return err
	}
	b.Self = self
	where, err := findClip(ctx, b.Clip)
	if err != nil {
		return err
	}
	for _, s := range b.servers() {
		if err := b.serve(ctx, r, s, where); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// relay is a server that is measured.
type relay struct {
	name  string
	begin func(ctx context.Context, camera, listen, dir string) (*underway, error)
}

func (b *Fanout) servers() []relay {
	all := []relay{{oursName, b.beginOurs}}
	wanted := func(name string) bool {
		return len(b.Peers) == 0 || b.Peers[0] == "auto" || strings.Contains(strings.Join(b.Peers, ","), name)
	}
	b.skipped = nil
	if wanted(gortsplibName) {
		all = append(all, relay{gortsplibName, b.beginGortsplib})
	}
	if wanted(mediamtxName) {
		if _, err := exec.LookPath("mediamtx"); err != nil {
			b.skipped = append(b.skipped, "mediamtx: not on PATH")
		} else {
			all = append(all, relay{mediamtxName, beginMediaMTX})
		}
	}
	return all
}

// serve measures one server: few readers, many, and many with a slow one.
func (b *Fanout) serve(ctx context.Context, r *Report, s relay, where string) (err error) {
	dir, remove, err := workspace(b.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	camera, err := b.Self.start(ctx, roleSimulator, SimulatorConfig{Spec: b.Clip, Clip: where, Channels: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, camera.end()) }()
	var address string
	if err = camera.ask(askAddress, &address); err != nil {
		return err
	}
	listen, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	server, err := s.begin(ctx, "rtsp://"+address+"/"+channelName(0), listen, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop(context.WithoutCancel(ctx))) }()
	url := "rtsp://" + listen + "/" + channelName(0)
	var spent [2]float64
	for i, n := range b.Readers {
		r.Tell("%s, %d readers", s.name, n)
		if spent[i], err = b.listenTo(ctx, r, s, server, url, n, i == 1); err != nil {
			return errors.Join(err, server.broken())
		}
	}
	r.Add(readerCost(s.name), 1, Value{(spent[1] - spent[0]) / float64(b.Readers[1]-b.Readers[0]), unitPerReader})
	return nil
}

const (
	unitPerReader = "cpu-ms/reader-s"
	unitServer    = "cpu-ms/s"
	unitBehind    = "late-p99-ms"
)

func readerCost(server string) string { return "Fanout/server=" + server }

func serverCost(server string, readers int) string {
	return fmt.Sprintf("Fanout/server=%s/readers=%d", server, readers)
}

func besideSlow(server string, readers int) string { return serverCost(server, readers) + "+slow" }

// listenTo lets n readers play and returns the server's CPU, ms a second.
func (b *Fanout) listenTo(ctx context.Context, r *Report, s relay, server *underway, url string, n int, slow bool) (spent float64, err error) {
	audience, err := b.Self.start(ctx, roleAudience, audienceConfig{URL: url, Readers: n})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, audience.end()) }()
	window := func(name string) (float64, Attention, error) {
		var got Attention
		before, failed := usageOf(server.pids)
		began := monotonic()
		if failed = errors.Join(failed, audience.ask(askMark, new(bool)), hal.Wait(ctx, b.Window)); failed != nil {
			return 0, got, failed
		}
		after, failed := usageOf(server.pids)
		seconds := float64(monotonic()-began) / 1e9
		if failed = errors.Join(failed, audience.ask(askAttention, &got)); failed != nil {
			return 0, got, failed
		}
		cost := float64(after.CPU-before.CPU) / 1e6 / seconds
		r.Add(name, 1, Value{cost, unitServer}, Value{float64(after.Wakes-before.Wakes) / seconds, "wakes/s"},
			Value{got.Late.P50, "late-p50-ms"}, Value{got.Late.P99, unitBehind}, Value{float64(got.Missing), "missing"})
		return cost, got, nil
	}
	if err = hal.Wait(ctx, b.Settle); err != nil {
		return 0, err
	}
	spent, calm, err := window(serverCost(s.name, n))
	if err != nil || !slow {
		return spent, err
	}
	r.Tell("%s, %d readers and a slow one", s.name, n)
	h := b.heard[s.name]
	if h == nil {
		h = &heard{}
		b.heard[s.name] = h
	}
	if err = audience.ask(askSlow, new(bool)); err != nil {
		return 0, err
	}
	if err = hal.Wait(ctx, b.Settle); err != nil {
		return 0, err
	}
	_, beside, err := window(besideSlow(s.name, n))
	if err == nil {
		h.missing += beside.Missing
		h.frames += beside.Pictures
		h.starved += int64(beside.Starved)
		h.late, h.beside = append(h.late, calm.Late), append(h.beside, beside.Late)
	}
	return spent, err
}
