package bench

import (
	"context"

	"github.com/millrace-video/millrace/pool"
)

// Arena measures the life of an encoded frame's memory.
type Arena struct{}

// frameBytes is an encoded frame of a camera, on average.
const frameBytes = 9000

// heldFrames are as many as a fragment of a second keeps, with its sound.
const heldFrames = 75

// GetRelease is a frame that is taken from an arena and given back at once.
func GetRelease() Load {
	a := pool.NewArena(pool.ArenaConfig{})
	return Load{Name: "Arena/ours/at-once", Do: func(n int) error {
		for range n {
			f, err := a.Get(frameBytes)
			if err != nil {
				return err
			}
			f.Release()
		}
		return nil
	}}
}

// hold is a frame that is given back when a fragment's worth came after it.
func hold() Load {
	a := pool.NewArena(pool.ArenaConfig{})
	var held [heldFrames]pool.Buffer
	return Load{Name: "Arena/ours/held", Do: func(n int) error {
		for i := range n {
			place := &held[i%heldFrames]
			if !place.IsZero() {
				place.Release()
			}
			var err error
			if *place, err = a.Get(frameBytes); err != nil {
				return err
			}
		}
		for i := range held {
			if !held[i].IsZero() {
				held[i].Release()
				held[i] = pool.Buffer{}
			}
		}
		return nil
	}}
}

// makeSlices leaves it to Go's collector; kept is where they are seen.
func makeSlices(kept *[heldFrames][]byte) Load {
	return Load{Name: "Arena/go-make/held", Do: func(n int) error {
		for i := range n {
			kept[i%heldFrames] = make([]byte, frameBytes)
		}
		return nil
	}}
}

// About implements Bench.
func (*Arena) About() About {
	return About{
		Name: "arena", Title: "an encoded frame's memory, taken and given back",
		Text: "9,000 bytes a frame: given back at once, or when 75 more came (a fragment's worth). Beside it Go's make, whose collector runs in the same time.",
	}
}

// Run implements Bench.
func (*Arena) Run(ctx context.Context, r *Report) error {
	var kept [heldFrames][]byte
	return weighAll(ctx, r, []Load{GetRelease(), hold(), makeSlices(&kept)})
}

// Judge implements Bench.
func (*Arena) Judge(r *Report) {
	promiseNone(r, "Arena/ours/at-once", "allocations of a frame given back at once")
	promiseNone(r, "Arena/ours/held", "allocations of a frame that is held for a fragment")
	names := []string{"ours/at-once", "ours/held", "go-make/held"}
	r.Charts = append(r.Charts, Chart{
		Title: "A frame's memory", Y: "ns a frame", Limits: []Limit{{Name: "goal for ours at once", Y: 50}},
		Series: []Series{medianBars(r, "ns/op", names, "Arena/", "")},
	})
}
