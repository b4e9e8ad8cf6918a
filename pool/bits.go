package pool

import "math/bits"

// bitSet is a set of small numbers.
type bitSet []uint64

// newBitSet returns an empty set of numbers below n.
func newBitSet(n int) bitSet { return make(bitSet, (n+63)/64) }

func (b bitSet) has(i int) bool { return b[i/64]>>(i%64)&1 != 0 }

// word returns the word that from lies in, which of its bits are from..to-1, and the number that
// comes after them.
func word(from, to int) (w int, mask uint64, next int) {
	w = from / 64
	next = min(64*(w+1), to)
	return w, ^uint64(0) >> (64 - (next - from)) << (from % 64), next
}

// add puts from..to-1 into the set.
func (b bitSet) add(from, to int) {
	for from < to {
		w, mask, next := word(from, to)
		b[w] |= mask
		from = next
	}
}

// remove takes from..to-1 out.
func (b bitSet) remove(from, to int) {
	for from < to {
		w, mask, next := word(from, to)
		b[w] &^= mask
		from = next
	}
}

// count returns how many of from..to-1 are in the set.
func (b bitSet) count(from, to int) (n int) {
	for from < to {
		w, mask, next := word(from, to)
		n += bits.OnesCount64(b[w] & mask)
		from = next
	}
	return n
}

// next returns the first number of from..to-1 that is in the set, or to.
func (b bitSet) next(from, to int) int {
	for from < to {
		if rest := b[from/64] >> (from % 64); rest != 0 {
			return min(from+bits.TrailingZeros64(rest), to)
		}
		from = (from | 63) + 1
	}
	return to
}

// nextGap returns the first number of from..to-1 that is not in the set, or to.
func (b bitSet) nextGap(from, to int) int {
	for from < to {
		if rest := ^b[from/64] >> (from % 64); rest != 0 {
			return min(from+bits.TrailingZeros64(rest), to)
		}
		from = (from | 63) + 1
	}
	return to
}

// runStart returns where the run of numbers in the set begins that ends before end.
func (b bitSet) runStart(end int) int {
	for end > 0 {
		last := end - 1
		if rest := ^b[last/64] << (63 - last%64); rest != 0 {
			return end - bits.LeadingZeros64(rest)
		}
		end = last &^ 63
	}
	return 0
}
