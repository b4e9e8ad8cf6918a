package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
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

	used map[string]string // a backend's library
}

// encodeShare is what N workers must reach of N times the rate of one.
const encodeShare = 0.9

// backends are the encoders in software.
func backends() []string { return []string{"turbojpeg", "gojpeg"} }

// rounds is how often each number of workers has its turn in a run: one after the other, so that a load
// from elsewhere hits all of them.
const rounds = 3

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
		Text: fmt.Sprintf("Raw pictures (I420, %d different ones, rendered beforehand) through a whole channel: source, encode stage, branch. Quality %d. "+
			"Each picture that comes out is compared with the one that must: order and content.", stillCount, b.Quality),
		Peers: []string{"ustreamer"},
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
		if err := b.backend(ctx, r, backend, stills); err != nil {
			return err
		}
	}
	return nil
}

// backend measures one encoder with each number of workers in turn.
func (b *Encode) backend(ctx context.Context, r *Report, name string, stills *stills) error {
	want, err := b.once(ctx, name, 1, stills, &checker{}, 0) // each picture once
	if errors.Is(err, errOtherBackend) {
		r.Tell("%s is not installed", name)
		return nil
	}
	if err != nil {
		return err
	}
	b.used[name] = want.detail
	span := 3 * part(r)
	all := make([][]turn, b.Workers+1)
	for range rounds {
		for n := 1; n <= b.Workers; n++ {
			r.Tell("%s, %d workers", name, n)
			got, err := b.once(ctx, name, n, stills, &checker{want: want.seen}, span)
			if err != nil {
				return err
			}
			all[n] = append(all[n], got)
		}
	}
	for n := 1; n <= b.Workers; n++ {
		var sum turn
		for i := range rounds {
			sum.frames, sum.took, sum.wrong = sum.frames+all[n][i].frames, sum.took+all[n][i].took, sum.wrong+all[n][i].wrong
			sum.cpu += all[n][i].cpu
		}
		rate := float64(sum.frames) / sum.took.Seconds()
		r.Add(b.name(name, n), sum.frames, Value{1e3 / rate, "ms/frame"}, Value{rate, "frames/s"},
			Value{sum.cpu.Seconds() * 1e3 / float64(sum.frames), "cpu-ms/frame"}, Value{float64(sum.wrong), "out-of-order"}, Value{float64(want.bytes) / stillCount, "B/frame"})
	}
	for n := 2; n <= b.Workers; n++ {
		var one, many float64
		for i := range rounds {
			one, many = one+all[1][i].rate(), many+all[n][i].rate()
		}
		r.Add(b.name(name, n)+"/share", rounds, Value{many / one / float64(n), "of-n-times-one"})
	}
	return nil
}

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
	check.clock, check.done = hal.NewClock(), make(chan struct{})
	stage := encode.To(hal.NewRegistry(soft.Driver{}), hal.MJPEG, encode.Config{Quality: b.Quality, Parallel: workers, Prefer: []string{backend}})
	origin := pipeline.Origin{Candidates: []pipeline.Candidate{&stillCandidate{stills: stills, span: span}}}
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
	for _, backend := range backends() {
		series := Series{Name: backend}
		for n := 1; n <= b.Workers; n++ {
			rate, ok := r.Median(b.name(backend, n), "frames/s")
			if !ok {
				continue
			}
			series.Points = append(series.Points, Point{X: float64(n), Y: rate})
			_, wrong := r.span(b.name(backend, n), "out-of-order")
			r.Promise(wrong == 0, fmt.Sprintf("%s, %d workers: each picture in its place", backend, n), "all", figure(wrong)+" out of order")
			if share, ok := r.Median(b.name(backend, n)+"/share", "of-n-times-one"); ok {
				r.Promise(share >= encodeShare, fmt.Sprintf("%s, %d workers: rate to %d times one worker's", backend, n, n), fmt.Sprintf("at least %.1f", encodeShare), fmt.Sprintf("%.3f", share))
			}
		}
		if len(series.Points) > 0 {
			chart.Series = append(chart.Series, series)
			r.Versions = append(r.Versions, Version{backend, b.used[backend]})
		}
	}
	r.Charts = append(r.Charts, chart)
	r.Tables = append(r.Tables, Table{Title: "beside it", Columns: []string{"program", "figure"}, Rows: [][]string{{"µStreamer", b.peer()}}})
}

// peer says why there is no figure of µStreamer's.
func (b *Encode) peer() string {
	if _, err := exec.LookPath("ustreamer"); err != nil {
		return "not installed (Debian: ustreamer)"
	}
	return "installed, but it takes pictures from a V4L2 camera only: it cannot be given these (up to " + strconv.Itoa(b.Workers) + " workers)"
}
