package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// Candidate is one source that a channel may use.
type Candidate interface {
	// String names it, without its password.
	String() string
	// Check says what is wrong with it that no device is needed for.
	Check() error
	// Open opens it. ctx bounds the opening alone.
	Open(ctx context.Context, opts hal.Options) (hal.Source, error)
}

// Awaiter is a Candidate that learns when its device is plugged in: it is tried at once then,
// whatever its back-off.
type Awaiter interface {
	// Await returns nil when a try makes sense, or an error when ctx is done or it cannot know.
	Await(ctx context.Context) error
}

// Origin is where a channel's frames come from: its first stage. stages/acquire makes one.
type Origin struct {
	Candidates []Candidate // the preferred one first (H5)
	Options    hal.Options
	// Settle is how long a better source must deliver before the channel returns to it, and how
	// long one must have run for its failures to be forgotten. Default 2 s.
	Settle time.Duration
	// OpenTimeout bounds the opening of one source. Default 10 s.
	OpenTimeout time.Duration
	// CloseOnPause closes the source while the channel is paused, instead of keeping it alive
	// and letting its frames go (P4).
	CloseOnPause bool
	// Nice is the reading thread's nice value.
	Nice int
}

// Definition is what a channel is made of. Define and Branch build it; Validate, and so
// Engine.Add, says what is wrong with it.
type Definition struct {
	Name string

	origin   Origin
	trunk    []Stage
	branches []branchDefinition
}

type branchDefinition struct {
	name  string
	bound Bound
	stage Stage
}

// Define starts the definition of a channel: its source, and the stages every frame passes on
// its way to the branches.
func Define(name string, origin Origin, trunk ...Stage) *Definition {
	return &Definition{Name: name, origin: origin, trunk: trunk}
}

// Branch adds a stage that gets a reference to every frame, through a queue of its own.
func (d *Definition) Branch(name string, bound Bound, stage Stage) *Definition {
	d.branches = append(d.branches, branchDefinition{name, bound, stage})
	return d
}

const maxName = 64

// CheckName says what is wrong with a channel's or branch's name, which has to fit in paths, URLs and metrics.
func CheckName(name string) error {
	ok := name != "" && len(name) <= maxName
	for i := range len(name) {
		c := name[i]
		letter := c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
		ok = ok && (letter || i > 0 && (c == '_' || c == '.' || c == '-'))
	}
	if !ok {
		return fmt.Errorf("name %q: 1 to %d letters, digits, '_', '-' or '.', a letter or digit first", name, maxName)
	}
	return nil
}

// Validate says all that is wrong with the definition.
func (d *Definition) Validate() error {
	errs := []error{CheckName(d.Name)}
	if len(d.origin.Candidates) == 0 {
		errs = append(errs, fmt.Errorf("channel %s: no source", d.Name))
	}
	for _, c := range d.origin.Candidates {
		if err := c.Check(); err != nil {
			errs = append(errs, fmt.Errorf("channel %s: %w", d.Name, err))
		}
	}
	seen := map[string]bool{acquireName: true}
	for _, s := range d.trunk {
		errs = append(errs, d.checkStage(s.Name(), seen))
	}
	for _, b := range d.branches {
		errs = append(errs, d.checkStage(b.name, seen))
		limit := b.bound.Limit()
		if err := limit.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("channel %s, branch %s: %w", d.Name, b.name, err))
		}
		if limit.Full == Wait {
			errs = append(errs, fmt.Errorf("channel %s, branch %s: a live source is never held back, so its queue cannot wait: "+
				"choose what it drops (under a source that can be held back it waits anyway)", d.Name, b.name))
		}
	}
	return errors.Join(errs...)
}

func (d *Definition) checkStage(name string, seen map[string]bool) error {
	if err := CheckName(name); err != nil {
		return fmt.Errorf("channel %s: %w", d.Name, err)
	}
	if seen[name] {
		return fmt.Errorf("channel %s: two stages named %s", d.Name, name)
	}
	seen[name] = true
	return nil
}

// workers is how many the channel's stages can have running at once.
func (d *Definition) workers() int {
	n := 1 + len(d.trunk) + len(d.branches)
	if len(d.origin.Candidates) > 1 {
		n++ // looks whether a better source is back
	}
	for _, s := range d.stages() {
		if x, ok := s.(Extra); ok {
			n += x.Workers()
		}
	}
	return n
}

func (d *Definition) stages() []Stage {
	all := append([]Stage(nil), d.trunk...)
	for _, b := range d.branches {
		all = append(all, b.stage)
	}
	return all
}

// keepsTail says whether some branch may join in between and wants what it missed.
func (d *Definition) keepsTail() bool {
	for _, b := range d.branches {
		if b.bound.Limit().OnDemand {
			return true
		}
	}
	return false
}
