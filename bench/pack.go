package bench

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/pack"
)

// Pack measures what packing costs: an access unit's way from the arena into a fragment, which is handed to
// the system once a second.
type Pack struct{}

// unitBytes is an access unit of a camera of 4 Mbit/s, on average.
const unitBytes = 20_000

// Packing is a camera's access units, 25 a second, packed into fragments of a second that are written to
// the null device: what is left is our own work and one system call a fragment. done ends it.
func Packing() (l Load, done func() error, err error) {
	s := &hal.Stream{Tracks: []hal.Track{{Codec: hal.H264, TimeScale: 90000, SPS: smallSPS(), PPS: []byte{0x68, 0xcb, 0x83, 0xcb, 0x20}}}}
	movie, err := pack.Plan(s, hal.Frame{})
	if err != nil {
		return Load{}, nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return Load{}, nil, err
	}
	var (
		p    = pack.NewPacker(movie)
		a    = pool.NewArena(pool.ArenaConfig{})
		v    pack.Vector
		unit int
	)
	l = Load{Name: "Pack/unit=20000", Do: func(n int) error {
		for range n {
			b, err := a.Get(unitBytes)
			if err != nil {
				return err
			}
			at := time.Duration(unit) * 40 * time.Millisecond
			unit++
			if err := p.Add(hal.Frame{Buf: b, Stream: s, Key: unit%50 == 1, Stamp: hal.Stamp{DTS: at, PTS: at + 40*time.Millisecond}}); err != nil {
				return err
			}
			if !p.Ready(time.Second) {
				continue
			}
			if _, err := v.Write(null, p.Cut()); err != nil {
				return err
			}
			p.Release()
		}
		return nil
	}}
	return l, func() error {
		p.Discard()
		if a.Stats().Held != 0 {
			return errors.Join(errors.New("frames were never released"), null.Close())
		}
		return null.Close()
	}, nil
}

// smallSPS is that of a camera of 640x480.
func smallSPS() []byte {
	return []byte{0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x3d, 0xa1, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2e, 0x48}
}

// About implements Bench.
func (*Pack) About() About {
	return About{
		Name: "pack", Title: "an access unit packed into a fragment of MP4",
		Text: "Access units of 20,000 bytes from the arena, 25 to a fragment, each fragment handed to the null device in one vectored write: our own work and the system call, without the disk.",
	}
}

// Run implements Bench.
func (*Pack) Run(ctx context.Context, r *Report) (err error) {
	l, done, err := Packing()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return weighAll(ctx, r, []Load{l})
}

// Judge implements Bench.
func (*Pack) Judge(r *Report) {
	promiseNone(r, "Pack/unit=20000", "allocations of an access unit that is packed")
	r.Charts = append(r.Charts, Chart{Title: "An access unit packed", Y: "ns", Series: []Series{medianBars(r, "ns/op", []string{"unit=20000"}, "Pack/", "")}})
}
