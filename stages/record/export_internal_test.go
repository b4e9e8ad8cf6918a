package record

import "time"

// RoomFor is what a merge asks before it begins.
var RoomFor = roomFor //nolint:gochecknoglobals // for tests

// Patience is how long a fragment may be written and not durable.
func Patience(c Config) time.Duration { return c.withDefaults().patience() }
