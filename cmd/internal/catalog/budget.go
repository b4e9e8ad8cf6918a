package catalog

import "time"

// Budget is what all recordings together may take.
type Budget struct {
	MaxBytes int64 // 0: no limit
	MinFree  int64 // of a file system; 0: 5 % of it, at most 10 GB; below 0: none
	Tick     time.Duration
}

// Limits are a channel's.
type Limits struct {
	Keep       time.Duration // 0: for ever
	MaxBytes   int64         // 0: no limit
	KeepEvents time.Duration // how long what is pinned stays at least; 0: as the pin says
}

func (c Config) tick() time.Duration {
	if c.Tick > 0 {
		return c.Tick
	}
	return 10 * time.Second
}

type alarms struct{}

type ask struct {
	done chan error
}

func (a *ask) answer() {}

func (c *Catalog) makeRoom([]*channel, []*ask) {}
func (c *Catalog) rounds()                     {}
