package upload

import (
	"context"
	"fmt"
)

// Class is how important an upload is. The lower goes first.
type Class uint8

// The classes, the most important first.
const (
	Event Class = iota
	FullTime
	Snapshot // and pictures
	Backfill // what could not go up in its time
	classes
)

func (c Class) String() string {
	switch c {
	case Event:
		return "event"
	case FullTime:
		return "full-time"
	case Snapshot:
		return "snapshot"
	case Backfill:
		return "backfill"
	case classes:
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// ParseClass is the inverse of String.
func ParseClass(name string) (Class, error) {
	for c := range classes {
		if c.String() == name {
			return c, nil
		}
	}
	return 0, fmt.Errorf("unknown class %q: event, full-time, snapshot or backfill", name)
}

type classKey struct{}

// WithClass says of what class what is sent under ctx is. Without it, it is Backfill.
func WithClass(ctx context.Context, c Class) context.Context {
	return context.WithValue(ctx, classKey{}, c)
}

func classOf(ctx context.Context) Class {
	if c, ok := ctx.Value(classKey{}).(Class); ok && c < classes {
		return c
	}
	return Backfill
}
