package catalog

import "time"

// Budget is what all recordings together may take.
type Budget struct {
	MaxBytes int64         // 0: no limit
	MinFree  int64         // of each file system; 0: 5 % of it, at most 10 GB; below 0: none
	Tick     time.Duration // between two looks; default 10 s
}

// Limits are a channel's.
type Limits struct {
	Keep       time.Duration // 0: for ever
	MaxBytes   int64         // 0: no limit
	KeepEvents time.Duration // how long what is pinned stays where the pin does not say; default 30 days
}

const (
	defaultTick       = 10 * time.Second
	defaultKeepEvents = 30 * 24 * time.Hour
	largestMinFree    = 10_000_000_000
)

func (c Config) tick() time.Duration {
	if c.Tick > 0 {
		return c.Tick
	}
	return defaultTick
}

// minFree is what of a file system of a size is to stay free.
func (b Budget) minFree(total int64) int64 {
	switch {
	case b.MinFree > 0:
		return b.MinFree
	case b.MinFree < 0:
		return 0
	}
	return min(total/20, largestMinFree)
}
