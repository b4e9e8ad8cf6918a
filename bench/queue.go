package bench

import (
	"context"
	"errors"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
)

// Queue measures how long a frame takes from one worker to another: through our queue, and through the two
// that a Go program would take instead.
type Queue struct{}

// queueRoom is how many frames each of the queues holds, queueBatch how many are taken at once.
const (
	queueRoom  = 1024
	queueBatch = 64
)

// line is where frames wait between two workers.
type line interface {
	Push(f hal.Frame) error
	// PopBatch waits for frames and takes up to len(dst).
	PopBatch(dst []hal.Frame) (int, error)
}

// Spawn starts a job beside the caller's.
type Spawn func(job func()) error

// lines are the queues that are compared, by name.
func lines() (names []string, open func(name string) (line, error)) {
	return []string{"ours", "mutex-ring", "go-channel"}, func(name string) (line, error) {
		switch name {
		case "mutex-ring":
			return newMutexRing(), nil
		case "go-channel":
			return make(goChannel, queueRoom), nil
		}
		return pipeline.NewQueue(name, pipeline.Limit{Frames: queueRoom, Full: pipeline.Wait})
	}
}

// HandOver is a frame's way through our queue, flat out, taken in batches as a stage does.
func HandOver(spawn Spawn) (Load, error) {
	_, open := lines()
	l, err := open("ours")
	if err != nil {
		return Load{}, err
	}
	return flatOut("Queue/ours/batch", l, queueBatch, spawn), nil
}

// queueFrame is the one frame that goes through all of them.
func queueFrame() (hal.Frame, error) {
	b, err := pool.NewArena(pool.ArenaConfig{}).Get(1)
	return hal.Frame{Buf: b, Key: true, Stream: &hal.Stream{Tracks: []hal.Track{{Codec: hal.H264}}}}, err
}

// flatOut pushes as fast as it can, and takes up to batch frames at once.
func flatOut(name string, l line, batch int, spawn Spawn) Load {
	taken := make([]hal.Frame, batch)
	return Load{Name: name, Do: func(n int) error {
		f, err := queueFrame()
		if err != nil {
			return err
		}
		defer f.Release()
		pushed := make(chan error, 1)
		err = spawn(func() {
			for range n {
				if failed := l.Push(f.Retain()); failed != nil {
					pushed <- failed
					return
				}
			}
			pushed <- nil
		})
		if err != nil {
			return err
		}
		for left := n; left > 0; {
			got, err := l.PopBatch(taken)
			if err != nil {
				return errors.Join(err, <-pushed)
			}
			for _, one := range taken[:got] {
				one.Release()
			}
			left -= got
		}
		return <-pushed
	}}
}

// oneAtATime pushes a frame there and waits until it is back, so that each hand-over wakes somebody. The
// way back is another queue of the same kind: what is timed is one of the two ways.
func oneAtATime(name string, there, back line, spawn Spawn) Load {
	return Load{Name: name, Do: func(n int) error {
		f, err := queueFrame()
		if err != nil {
			return err
		}
		defer f.Release()
		trips := (n + 1) / 2
		echoed := make(chan error, 1)
		err = spawn(func() { echoed <- echo(there, back, trips) })
		if err != nil {
			return err
		}
		var one [1]hal.Frame
		for range trips {
			if err := there.Push(f.Retain()); err != nil {
				return errors.Join(err, <-echoed)
			}
			if _, err := back.PopBatch(one[:]); err != nil {
				return errors.Join(err, <-echoed)
			}
			one[0].Release()
		}
		return <-echoed
	}}
}

// echo sends back what comes.
func echo(there, back line, trips int) error {
	var one [1]hal.Frame
	for range trips {
		if _, err := there.PopBatch(one[:]); err != nil {
			return err
		}
		if err := back.Push(one[0]); err != nil {
			return err
		}
	}
	return nil
}

// About implements Bench.
func (*Queue) About() About {
	return About{
		Name: "queue", Title: "a frame's hand-over from one worker to another",
		Text: "One producer, one consumer, a queue of 1,024 frames: our queue (counted, with a policy and a limit by bytes), a plain ring under a mutex, and a Go channel. " +
			"Flat out, taken one by one (single) or up to 64 at once (batch); and one at a time, so that each hand-over wakes a sleeper (woken). Each figure has a frame's Retain and Release in it.",
	}
}

// Run implements Bench.
func (*Queue) Run(ctx context.Context, r *Report) (err error) {
	threads, err := pool.NewPool(0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, threads.Close(5*time.Second)) }()
	workers, err := threads.Reserve(1)
	if err != nil {
		return err
	}
	defer workers.Close()
	spawn := func(job func()) error {
		workers.Wait() // the one before has said that it is done, and may not have left yet
		return workers.Go(func() error { job(); return nil }, nil)
	}
	var loads []Load
	names, open := lines()
	for _, name := range names {
		there, err := open(name)
		if err != nil {
			return err
		}
		back, err := open(name)
		if err != nil {
			return err
		}
		loads = append(
			loads, flatOut("Queue/"+name+"/single", there, 1, spawn), flatOut("Queue/"+name+"/batch", there, queueBatch, spawn),
			oneAtATime("Queue/"+name+"/woken", there, back, spawn),
		)
	}
	return weighAll(ctx, r, loads)
}

// Judge implements Bench.
func (*Queue) Judge(r *Report) {
	promiseNone(r, "Queue/ours/batch", "allocations of a hand-over")
	names, _ := lines()
	flat := Chart{Title: "Flat out", Y: "ns a frame", Limits: []Limit{{Name: "goal for ours in batches", Y: 150}}}
	for _, way := range []string{"single", "batch"} {
		flat.Series = append(flat.Series, medianBars(r, way, names, "Queue/", "/"+way))
	}
	woken := Chart{Title: "One at a time: each wakes a sleeper", Y: "ns a frame", Series: []Series{medianBars(r, "woken", names, "Queue/", "/woken")}}
	r.Charts = append(r.Charts, flat, woken)
}

// medianBars is a series of median times, one for each label; a result's name is before+label+after.
func medianBars(r *Report, name string, labels []string, before, after string) Series {
	s := Series{Name: name}
	for _, label := range labels {
		if v, ok := r.Median(before+label+after, "ns/op"); ok {
			s.Points = append(s.Points, Point{Label: label, Y: v})
		}
	}
	return s
}
