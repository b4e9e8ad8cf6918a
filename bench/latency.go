package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/hal"
	rtspcam "github.com/millrace-video/millrace/hal/rtsp"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/record"
	"github.com/millrace-video/millrace/stages/send/rtsp"
)

// Latency measures how long a frame takes through the engine: from the instant at which the read that brought its last
// byte has returned from the kernel, until a live branch's sink is handed it. Every channel is recorded, and watched by
// one viewer in another process.
type Latency struct {
	Channels int           // default 64
	Window   time.Duration // default 20 s
	WarmUp   time.Duration // before it, once every viewer plays; default 6 s
	Clip     ClipSpec      // default 1080p H.264 of 4.1 Mbit/s and a key frame in 50
	Dir      string        // for the recordings; default the system's temporary folder
	Self     Self

	took []time.Duration // of the last run, sorted
	busy float64         // of the machine meanwhile, 0 to 1: the last run's
}

// latencyLimit is what 99 of 100 frames keep below, and busyLimit from when on the machine counts as saturated.
const (
	latencyLimit = 1.0 // ms
	busyLimit    = 0.8
)

func (b *Latency) withDefaults() {
	if b.Channels == 0 {
		b.Channels = 64
	}
	b.Clip = b.Clip.withDefaults()
}

// About implements Bench.
func (b *Latency) About() About {
	b.withDefaults()
	return About{
		Name: "latency", Title: "from the kernel to a live branch's sink",
		Text: fmt.Sprintf("%d simulated cameras (%s, another process) are recorded in this process and watched by one viewer each (a third process). "+
			"Measured is every frame, pictures and sound, from the return of the read that brought its last byte until the live branch's sink is handed it.",
			b.Channels, b.Clip),
	}
}

// tap stands before a live branch's sink and takes down when it is handed a frame.
type tap struct {
	pipeline.Stage

	clock *hal.Clock
	on    *atomic.Bool
	took  []time.Duration // who hands frames over writes it, until the channel has left
}

// Work implements pipeline.Stage.
func (t *tap) Work(ctx context.Context, f hal.Frame) error {
	if t.on.Load() && len(t.took) < cap(t.took) {
		t.took = append(t.took, time.Duration(t.clock.Mono()-f.Stamp.Mono))
	}
	return t.Stage.Work(ctx, f)
}

// Prompt implements pipeline.Prompt.
func (t *tap) Prompt() bool {
	p, ok := t.Stage.(pipeline.Prompt)
	return ok && p.Prompt()
}

// EndBatch implements pipeline.EndBatch.
func (t *tap) EndBatch(ctx context.Context) error {
	if b, ok := t.Stage.(pipeline.EndBatch); ok {
		return b.EndBatch(ctx)
	}
	return nil
}

// Run implements Bench.
func (b *Latency) Run(ctx context.Context, r *Report) (err error) {
	b.withDefaults()
	if b.Window == 0 {
		b.Window = r.lasting(20*time.Second, 5*time.Second)
	}
	if b.WarmUp == 0 {
		b.WarmUp = min(b.Window, 6*time.Second)
	}
	if b.Self, err = b.Self.withDefaults(); err != nil {
		return err
	}
	if err = enoughFiles(8*b.Channels + 200); err != nil {
		return err
	}
	where, err := findClip(ctx, b.Clip)
	if err != nil {
		return err
	}
	cameras, err := b.Self.start(ctx, roleSimulator, SimulatorConfig{Spec: b.Clip, Clip: where, Channels: b.Channels})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cameras.end()) }()
	var address string
	if err = cameras.ask(askAddress, &address); err != nil {
		return err
	}
	dir, remove, err := workspace(b.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	r.Tell("%d channels", b.Channels)
	return b.watch(ctx, r, address, dir)
}

// watch runs the channels and their viewers, and measures.
func (b *Latency) watch(ctx context.Context, r *Report, cameras, dir string) (err error) {
	rig, err := b.begin(cameras, dir) //nolint:contextcheck // channels live until their exit
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rig.end(context.WithoutCancel(ctx))) }()
	var urls []string
	for i := range b.Channels {
		urls = append(urls, "rtsp://"+rig.server.Addr().String()+"/"+channelName(i))
	}
	if b.busy, err = b.window(ctx, rig, urls); err != nil {
		return err
	}
	if err = rig.end(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	b.took = b.took[:0]
	for _, t := range rig.taps {
		b.took = append(b.took, t.took...)
	}
	if len(b.took) == 0 {
		return errors.New("no frame reached a viewer")
	}
	slices.Sort(b.took)
	values := []Value{{100 * b.busy, "cpu-%"}}
	for _, q := range []float64{0.5, 0.9, 0.99, 1} {
		values = append(values, Value{quantile(b.took, q), percentileUnit(q)})
	}
	r.Add(b.name(), len(b.took), values...)
	return nil
}

// window has the viewers watch, notes for how long frames take meanwhile, and returns how busy the
// machine was. The viewers leave before the channels do.
func (b *Latency) window(ctx context.Context, rig *latencyRig, urls []string) (busy float64, err error) {
	viewers, err := b.Self.start(ctx, roleViewers, readersConfig{URLs: urls})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, viewers.end()) }()
	if err = hal.Wait(ctx, b.WarmUp); err != nil {
		return 0, err
	}
	from, err := loadOf()
	if err != nil {
		return 0, err
	}
	rig.on.Store(true)
	err = hal.Wait(ctx, b.Window)
	rig.on.Store(false)
	to, failed := loadOf()
	return to.since(from), errors.Join(err, failed)
}

func (b *Latency) name() string { return fmt.Sprintf("Latency/channels=%d", b.Channels) }

func percentileUnit(q float64) string {
	if q == 1 {
		return "max-ms"
	}
	return fmt.Sprintf("p%.0f-ms", 100*q)
}

// quantile is of sorted times, in ms.
func quantile(took []time.Duration, q float64) float64 {
	return ms(took[max(int(math.Ceil(q*float64(len(took))))-1, 0)])
}

// latencyRig is the channels under measurement.
type latencyRig struct {
	eng    *pipeline.Engine
	server *rtsp.Server
	taps   []*tap
	on     atomic.Bool
	over   bool
}

func (b *Latency) begin(cameras, dir string) (*latencyRig, error) {
	clock := hal.NewClock()
	rig := &latencyRig{
		eng:    pipeline.NewEngine(pipeline.Config{Clock: clock}),
		server: rtsp.NewServer(rtsp.Config{Listen: "127.0.0.1:0", UDP: rtsp.UDPOff, MaxReaders: b.Channels + 16, Clock: clock}),
	}
	if err := rig.server.Start(); err != nil {
		return nil, err
	}
	reg := hal.NewRegistry(rtspcam.Driver{})
	for i := range b.Channels {
		name := channelName(i)
		t := &tap{Stage: rig.server.Mount(name), clock: clock, on: &rig.on}
		t.took = make([]time.Duration, 0, int(b.Window.Seconds()+1)*100)
		rig.taps = append(rig.taps, t)
		ch, err := rig.eng.Add(pipeline.Define(name, acquire.From(reg, "rtsp://"+cameras+"/"+name)).
			Branch("disk", record.Ring{}, record.To(filepath.Join(dir, name), record.Config{})).
			Branch("live", rtsp.Limit(), t))
		if err == nil {
			err = ch.Start()
		}
		if err != nil {
			return nil, errors.Join(err, rig.end(context.Background()))
		}
	}
	return rig, nil
}

// end ends the channels, once.
func (g *latencyRig) end(ctx context.Context) error {
	if g.over {
		return nil
	}
	g.over = true
	return errors.Join(g.eng.Exit(ctx), g.server.Close(ctx))
}
