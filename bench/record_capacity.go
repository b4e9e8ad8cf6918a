package bench

import (
	"context"
	"fmt"
	"slices"
)

const (
	// lateLimit is how late cameras may be at most where a number of channels holds, in ms.
	lateLimit = 100
	// promisedChannels hold on two cores, the simulator included; goalChannels are what we are after.
	promisedChannels, goalChannels = 256, 400
)

// attempt is one try at a number of channels.
type attempt struct {
	channels int
	held     bool
	why      string
}

// findCapacity tries more and more channels until they are too many.
func (b *Record) findCapacity(ctx context.Context, r *Report) error {
	for _, n := range b.Capacity {
		name := resultName(oursName, b.Clip, n, 0)
		r.Tell("record: %s", name)
		got, err := b.once(ctx, ours(), n, 0)
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			b.attempts = append(b.attempts, attempt{n, false, err.Error()})
			return nil //nolint:nilerr // that many channels are too many: this is what was asked for
		}
		b.starts[n] = b.starts[n].worst(got)
		got.add(r, name)
		a := attempt{channels: n, held: got.pace.Late.Max <= lateLimit && got.checked.whole()}
		a.why = fmt.Sprintf("late %.1f ms at most (p99 %.1f), %s", got.pace.Late.Max, got.pace.Late.P99, got.checked.String())
		b.attempts = append(b.attempts, a)
		if !a.held {
			b.trouble = append(b.trouble, fmt.Sprintf("%s: it said: %s", name, got.said))
			return nil
		}
	}
	return nil
}

// judgeCapacity says which number of channels is the highest that held each time it was tried.
func (b *Record) judgeCapacity(r *Report) {
	if len(b.attempts) == 0 {
		return
	}
	table := Table{Title: "Capacity: channels of this stream on this machine, the simulator included", Columns: []string{"channels", "held", "what was seen"}}
	failed := mostChannels + 1
	for _, a := range b.attempts {
		held := "yes"
		if !a.held {
			held, failed = "no", min(failed, a.channels)
		}
		table.Rows = append(table.Rows, []string{fmt.Sprint(a.channels), held, a.why})
	}
	highest := 0
	for _, a := range b.attempts {
		if a.held && a.channels < failed {
			highest = max(highest, a.channels)
		}
	}
	r.Tables = append(r.Tables, table)
	if slices.Contains(b.Capacity, promisedChannels) {
		r.Promise(highest >= promisedChannels, fmt.Sprintf("capacity: every frame of every file there, cameras %d ms late at most", lateLimit),
			fmt.Sprintf("at least %d channels (the goal: %d)", promisedChannels, goalChannels), fmt.Sprintf("%d is the highest that held", highest))
	}
}
