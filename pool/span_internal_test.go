package pool

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// A bitSet says what a list of booleans says.
func TestBitSet(t *testing.T) {
	const n = 200
	rnd := rand.New(rand.NewPCG(7, 8))
	b, model := newBitSet(n), make([]bool, n)
	first := func(from, to int, want bool) int {
		for from < to && model[from] != want {
			from++
		}
		return from
	}
	for range 3000 {
		from := rnd.IntN(n)
		to := from + rnd.IntN(n-from+1)
		on := rnd.IntN(2) == 0
		if on {
			b.add(from, to)
		} else {
			b.remove(from, to)
		}
		for i := from; i < to; i++ {
			model[i] = on
		}
		at := rnd.IntN(n)
		end := at + rnd.IntN(n-at+1)
		count, start := 0, end
		for i := at; i < end; i++ {
			if model[i] {
				count++
			}
		}
		for start > 0 && model[start-1] {
			start--
		}
		require.Equal(t, model[at], b.has(at))
		require.Equal(t, count, b.count(at, end))
		require.Equal(t, first(at, end, true), b.next(at, end))
		require.Equal(t, first(at, end, false), b.nextGap(at, end))
		require.Equal(t, start, b.runStart(end))
	}
}

// FuzzReserve compares a reserve with what anybody would do: blocks never overlap, what is counted is
// what is lent, and when all is given back every span is one piece again.
func FuzzReserve(f *testing.F) {
	f.Add([]byte{1, 200, 3, 40, 255, 6, 0x81, 9, 0xc0, 7, 0x80, 0, 90, 255, 255})
	f.Add([]byte("a reserve lends memory of every size, and takes it back in any order"))
	f.Fuzz(func(t *testing.T, steps []byte) {
		r := NewReserve()
		var blocks []Block
		mark := byte(0)
		drop := func(i int) {
			b := blocks[i]
			for k := 0; k < len(b.Bytes); k += 512 {
				if b.Bytes[k] != b.Bytes[0] {
					t.Fatal("somebody else wrote into a block")
				}
			}
			r.Give(b)
			blocks = append(blocks[:i], blocks[i+1:]...)
		}
		for i, step := range steps {
			arg := int(step & 0x3f)
			switch {
			case step < 0x80:
				b := r.Take((arg+1)*3000, (int(steps[(i+1)%len(steps)])+1)*6000)
				require.GreaterOrEqual(t, len(b.Bytes), (arg+1)*3000)
				mark++
				for k := 0; k < len(b.Bytes); k += 512 {
					b.Bytes[k] = mark
				}
				blocks = append(blocks, b)
			case len(blocks) == 0:
			case step < 0xc0:
				drop(arg % len(blocks))
			default:
				k := arg % len(blocks)
				blocks[k] = r.Cut(blocks[k], 1+len(blocks[k].Bytes)*arg/64)
			}
			if len(blocks) > 100 {
				drop(0)
			}
			checkReserve(t, r, blocks)
		}
		for len(blocks) > 0 {
			drop(len(blocks) / 2)
		}
		checkReserve(t, r, nil)
		for _, s := range r.spans {
			at, units := s.find(s.units, s.units)
			require.Equal(t, []int{0, s.units}, []int{at, units})
		}
		r.Release()
		require.Zero(t, r.Stats())
	})
}

func checkReserve(t *testing.T, r *Reserve, blocks []Block) {
	t.Helper()
	lent, free, warm, mapped := 0, 0, 0, 0
	for _, b := range blocks {
		lent += len(b.Bytes)
	}
	for _, s := range r.spans {
		free += s.free.count(0, s.units) * s.unit
		warm += s.warm.count(0, s.units) * s.unit
		mapped += len(s.memory)
		for i := range s.warm {
			if s.warm[i]&^s.free[i] != 0 {
				t.Fatal("what is warm is free")
			}
		}
	}
	require.Equal(t, ReserveStats{Lent: lent, Held: lent + warm, Mapped: mapped}, r.stats)
	require.Equal(t, mapped-lent, free)
}
