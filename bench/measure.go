package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// Bench measures one thing.
type Bench interface {
	// About says what it is.
	About() About
	// Run measures once: it adds one Result of each thing to r, with the same names each time.
	// Promises and charts come later, from the medians. When ctx ends it returns soon, with
	// what it has added so far.
	Run(ctx context.Context, r *Report) error
	// Judge adds promises, tables and charts. It is called once, after the last run, and looks at
	// what is there: a run may have been cut short.
	Judge(r *Report)
}

// About is a bench in words.
type About struct {
	Name  string // as in millrace bench NAME
	Title string
	Text  string
	Peers []string // programs beside which it measures, whose versions the report tells where they are found
}

// Config is how a bench is run.
type Config struct {
	Count   int               // runs; default 1
	Short   bool              // a short run is asked for
	Version string            // of this program
	Command string            // that was given
	Tell    func(text string) // takes progress; nil: nobody waits
}

// Measure runs a bench. The report is there whatever the error: what was measured until then is in it.
// That ctx ended is in the report and no error.
func Measure(ctx context.Context, b Bench, cfg Config) (*Report, error) {
	about := b.About()
	clock := hal.NewClock()
	began := clock.Mono()
	r := &Report{
		Name: about.Name, Title: about.Title, About: about.Text, Command: cfg.Command,
		Began: clock.Now().Format(time.RFC3339), Machine: thisMachine(), Versions: versions(ctx, cfg.Version, about.Peers),
		Results: []Result{}, Tables: []Table{}, Promises: []Promise{}, Charts: []Chart{},
		short: cfg.Short, tell: cfg.Tell,
	}
	count := max(cfg.Count, 1)
	var err error
	for r.Runs < count && err == nil {
		if count > 1 {
			r.Tell("run %d of %d", r.Runs+1, count)
		}
		if err = b.Run(ctx, r); err == nil {
			r.Runs++
		}
	}
	switch {
	case ctx.Err() != nil && r.Runs < count:
		r.Ended = fmt.Sprintf("interrupted after %d of %d runs", r.Runs, count)
		if errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)) {
			err = nil
		}
	case err != nil:
		r.Ended = err.Error()
	}
	b.Judge(r)
	r.clean()
	r.Took = time.Duration(clock.Mono() - began).Seconds()
	return r, err
}
