package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/encode"
)

// Encode measures MJPEG encoding by 1 to as many workers as there are cores, through a whole channel: a
// source of raw pictures, the encode stage, and a branch that looks at what comes.
type Encode struct {
	Size     encode.Size   // of a picture; default 1920x1080
	Quality  int           // 1 to 100; default 80
	Workers  int           // the most; default one for each core
	Registry *hal.Registry // has the synthetic camera, whose pictures are encoded

	used    map[string]string // a backend's library
	without string            // why there is no figure of µStreamer's
}

// encodeShare is what N workers must reach of N times the rate of one.
const encodeShare = 0.9

// backends are the encoders in software.
func backends() []string { return []string{"turbojpeg", "gojpeg"} }

// rounds is how often each number of workers has its turn in a run: one after the other, so that a load
// from elsewhere hits all of them.
const rounds = 6

func (b *Encode) defaults() {
	if b.Size == (encode.Size{}) {
		b.Size = encode.Size{Width: 1920, Height: 1080}
	}
	if b.Quality == 0 {
		b.Quality = 80
	}
	if b.Workers == 0 {
		b.Workers = runtime.GOMAXPROCS(0)
	}
}

// About implements Bench.
func (b *Encode) About() About {
	b.defaults()
	return About{
		Name: "encode", Title: fmt.Sprintf("MJPEG %dx%d by 1 to %d workers", b.Size.Width, b.Size.Height, b.Workers),
		Text: fmt.Sprintf("Raw pictures (YUYV as USB cameras give, %d different ones, rendered beforehand) through a whole channel: source, encode stage, branch. Quality %d. "+
			"Each picture that comes out is compared with the one that must: order and content. µStreamer, where it is installed, is given the same pictures by a stand-in for a camera; "+
			"what it encodes and then throws away for the order's sake counts as out of order.", stillCount, b.Quality),
		Peers: []string{microStreamer},
	}
}

func (b *Encode) name(backend string, workers int) string {
	return fmt.Sprintf("Encode/backend=%s/workers=%d", backend, workers)
}

// Run implements Bench.
func (b *Encode) Run(ctx context.Context, r *Report) error {
	b.defaults()
	stills, err := render(ctx, b.Registry, b.Size)
	if err != nil {
		return err
	}
	defer stills.release()
	if b.used == nil {
		b.used = map[string]string{}
	}
	for _, backend := range backends() {
		if err = b.backend(ctx, r, backend, stills); err != nil {
			return err
		}
	}
	err = b.beside(ctx, r, stills)
	if b.without = ""; errors.Is(err, errNoPeer) && ctx.Err() == nil {
		b.without, err = err.Error(), nil
	}
	return err
}

// beside measures µStreamer.
func (b *Encode) beside(ctx context.Context, r *Report, stills *stills) (err error) {
	p, err := newPeer(ctx, stills, b.Size.Width, b.Size.Height, b.Quality)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	return b.turns(ctx, r, microStreamer, func(n int) (turn, error) { return p.once(ctx, n, encodeTurn(r)) })
}

// backend measures one encoder with each number of workers in turn.
func (b *Encode) backend(ctx context.Context, r *Report, name string, stills *stills) error {
	pace, leave := context.WithCancel(ctx)
	var pacing sync.WaitGroup
	pacing.Go(func() { hal.PaceProcessors(pace, hal.NewClock(), slog.New(slog.DiscardHandler)) }) // as millrace run does
	defer pacing.Wait()
	defer leave()
	want, err := b.once(ctx, name, 1, stills, &checker{}, 0) // each picture once
	if errors.Is(err, errOtherBackend) {
		r.Tell("%s is not installed", name)
		return nil
	}
	if err != nil {
		return err
	}
	b.used[name] = want.detail
	return b.turns(ctx, r, name, func(n int) (turn, error) {
		return b.once(ctx, name, n, stills, &checker{want: want.seen}, encodeTurn(r))
	})
}

// encodeTurn is how long a number of workers has its turn: dozens of frames of the slowest.
func encodeTurn(r *Report) time.Duration {
	return r.lasting(time.Second, 500*time.Millisecond)
}

// turns gives each number of workers its turns and adds what came of them.
func (b *Encode) turns(ctx context.Context, r *Report, name string, once func(workers int) (turn, error)) error {
	all := make([]turn, b.Workers+1)
	for range rounds {
		for n := 1; n <= b.Workers; n++ {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			r.Tell("%s, %s", name, workers(n))
			got, err := once(n)
			if err != nil {
				return err
			}
			all[n].frames, all[n].took, all[n].wrong = all[n].frames+got.frames, all[n].took+got.took, all[n].wrong+got.wrong
			all[n].cpu, all[n].bytes = all[n].cpu+got.cpu, all[n].bytes+got.bytes
		}
	}
	for n, t := range all[1:] {
		frames := float64(t.frames)
		values := []Value{{1e3 / t.rate(), "ms/frame"}, {t.rate(), "frames/s"}, {t.cpu.Seconds() * 1e3 / frames, "cpu-ms/frame"}, {float64(t.wrong), "out-of-order"}}
		if t.bytes > 0 {
			values = append(values, Value{float64(t.bytes) / frames, "B/frame"})
		}
		if n > 0 {
			values = append(values, Value{t.rate() / all[1].rate() / float64(n+1), ofNTimesOne})
		}
		r.Add(b.name(name, n+1), t.frames, values...)
	}
	return nil
}

// ofNTimesOne is the unit of N workers' rate to N times the rate of one.
const ofNTimesOne = "of-n-times-one"

// turn is what came out of a channel in a while.
type turn struct {
	frames int
	took   time.Duration
	cpu    time.Duration // of this process meanwhile
	wrong  int           // not the picture that was due
	bytes  int
	seen   map[int]uint32 // pictures' sums
	detail string
}

func (t turn) rate() float64 { return float64(t.frames) / t.took.Seconds() }

// errOtherBackend says that the encoder that was asked for is not there.
var errOtherBackend = errors.New("the encoder is not installed")

// once runs a channel for a while; for 0 until each picture went through it once.
func (b *Encode) once(ctx context.Context, backend string, workers int, stills *stills, check *checker, span time.Duration) (got turn, err error) {
	eng := pipeline.NewEngine(pipeline.Config{})
	defer func() {
		leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		err = errors.Join(err, eng.Exit(leave))
	}()
	check.clock, check.done, check.skip = hal.NewClock(), make(chan struct{}), 2*workers-1
	stage := encode.To(hal.NewRegistry(soft.Driver{}), hal.MJPEG, encode.Config{Quality: b.Quality, Parallel: workers, Prefer: []string{backend}})
	origin := pipeline.Origin{Candidates: []pipeline.Candidate{&stillCandidate{stills: stills, least: check.skip + stillCount, span: span}}}
	ch, err := eng.Add(pipeline.Define("encode", origin, stage).Branch("check", pipeline.Limit{}, check)) //nolint:contextcheck // a channel lives until its Exit
	if err == nil {
		err = ch.Start() //nolint:contextcheck // as above
	}
	if err != nil {
		return got, err
	}
	select {
	case <-check.done:
	case <-ctx.Done():
		return got, context.Cause(ctx)
	}
	stats, _ := stage.Stats().(encode.Stats)
	if stats.Encoder != backend {
		return got, errOtherBackend
	}
	if check.frames < 2 {
		return got, fmt.Errorf("%s: only %d frames came out", backend, check.frames)
	}
	got = check.turn
	got.detail = stats.Detail
	return got, nil
}

// Judge implements Bench.
func (b *Encode) Judge(r *Report) {
	chart := Chart{Title: "Rate by workers", X: "workers", Y: "frames a second"}
	work := Chart{Title: "CPU a frame, all of the program", X: "encoder", Y: "ms"}
	for n := 1; n <= b.Workers; n++ {
		work.Series = append(work.Series, Series{Name: workers(n)})
	}
	for _, backend := range append(backends(), microStreamer) {
		series := Series{Name: backend}
		for n := 1; n <= b.Workers; n++ {
			rate, ok := r.Median(b.name(backend, n), "frames/s")
			if !ok {
				continue
			}
			series.Points = append(series.Points, Point{X: float64(n), Y: rate})
			cpu, _ := r.Median(b.name(backend, n), "cpu-ms/frame")
			work.Series[n-1].Points = append(work.Series[n-1].Points, Point{Label: backend, Y: cpu})
			if backend != microStreamer {
				b.promise(r, backend, n)
			}
		}
		if len(series.Points) > 0 {
			chart.Series = append(chart.Series, series)
		}
		if library := b.used[backend]; library != "" {
			r.Versions = append(r.Versions, Version{backend, library})
		}
	}
	r.Charts = append(r.Charts, chart, work)
	if b.without != "" {
		r.Tables = append(r.Tables, Table{Title: "µStreamer", Rows: [][]string{{b.without}}})
	}
}

// promise judges an encoder of ours with n workers.
func (b *Encode) promise(r *Report, backend string, n int) {
	_, wrong := r.span(b.name(backend, n), "out-of-order")
	r.Promise(wrong == 0, fmt.Sprintf("%s, %s: each picture in its place", backend, workers(n)), "all", figure(wrong)+" out of order")
	if share, ok := r.Median(b.name(backend, n), ofNTimesOne); ok {
		r.Promise(share >= encodeShare, fmt.Sprintf("%s, %s: rate to %d times one worker's", backend, workers(n), n), fmt.Sprintf("at least %.1f", encodeShare), fmt.Sprintf("%.3f", share))
	}
}

func workers(n int) string {
	if n == 1 {
		return "1 worker"
	}
	return strconv.Itoa(n) + " workers"
}
