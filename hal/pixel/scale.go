package pixel

import (
	"fmt"

	"github.com/millrace-video/millrace/hal"
)

// Scaler makes I420 pictures of one size into another: the mean of the area when smaller, linear
// between neighbours when larger. First lines are mixed, eight samples at a time, then the
// samples of the one line that results. One goroutine at a time uses it.
type Scaler struct {
	from, to [2]int
	across   [2]taps // luma, chroma
	down     [2]taps
	mixed    []byte
}

// NewScaler returns a scaler; all four numbers must be even.
func NewScaler(fromWidth, fromHeight, toWidth, toHeight int) (*Scaler, error) {
	if err := checkSize(fromWidth, fromHeight); err != nil {
		return nil, fmt.Errorf("scale from %w", err)
	}
	if err := checkSize(toWidth, toHeight); err != nil {
		return nil, fmt.Errorf("scale to %w", err)
	}
	return &Scaler{
		from:   [2]int{fromWidth, fromHeight},
		to:     [2]int{toWidth, toHeight},
		across: [2]taps{newTaps(fromWidth, toWidth), newTaps(fromWidth/2, toWidth/2)},
		down:   [2]taps{newTaps(fromHeight, toHeight), newTaps(fromHeight/2, toHeight/2)},
		mixed:  make([]byte, fromWidth),
	}, nil
}

// Scale writes src into dst, both I420 and of the scaler's sizes.
func (s *Scaler) Scale(dst, src Picture) error {
	if dst.Format != hal.I420 || src.Format != hal.I420 ||
		s.from != [2]int{src.Width, src.Height} || s.to != [2]int{dst.Width, dst.Height} {
		return fmt.Errorf("scale %s %dx%d into %s %dx%d: the scaler is for i420, %v to %v",
			src.Format, src.Width, src.Height, dst.Format, dst.Width, dst.Height, s.from, s.to)
	}
	for plane := range 3 {
		kind := min(plane, 1)
		down, across := s.down[kind], s.across[kind]
		for y := range dst.lines(plane) {
			line := s.mix(src, plane, down, y)
			across.blend(dst.line(plane, y), line)
		}
	}
	return nil
}

// mix returns the weighted sum of the lines that output line y is made of.
func (s *Scaler) mix(src Picture, plane int, t taps, y int) []byte {
	first, weights := t.at(y)
	if weights[0] == one {
		return src.line(plane, first)
	}
	out := s.mixed[:src.row(plane)]
	if len(weights) == 2 || len(weights) == 3 && weights[2] == 0 {
		mixTwo(out, src.line(plane, first), src.line(plane, first+1), uint64(weights[0]), uint64(weights[1]))
		return out
	}
	x := 0
	for ; x+8 <= len(out); x += 8 {
		var even, odd uint64 = 128 * ones, 128 * ones
		at := first*src.Stride[plane] + x
		for _, w := range weights {
			word := load(src.Plane[plane][at:])
			even += word & evens * uint64(w)
			odd += word >> 8 & evens * uint64(w)
			at += src.Stride[plane]
		}
		store(out[x:], even>>8&evens|odd&^evens)
	}
	for ; x < len(out); x++ {
		sum, at := uint(128), first*src.Stride[plane]+x
		for _, w := range weights {
			sum += uint(src.Plane[plane][at]) * uint(w)
			at += src.Stride[plane]
		}
		out[x] = byte(sum >> 8)
	}
	return out
}

// mixTwo is mix for two lines.
func mixTwo(out, a, b []byte, wa, wb uint64) {
	for len(out) >= 8 && len(a) >= 8 && len(b) >= 8 {
		p, q := load(a), load(b)
		even := p&evens*wa + q&evens*wb + 128*ones
		odd := p>>8&evens*wa + q>>8&evens*wb + 128*ones
		store(out, even>>8&evens|odd&^evens)
		out, a, b = out[8:], a[8:], b[8:]
	}
	for i := range out {
		out[i] = byte((uint64(a[i])*wa + uint64(b[i])*wb + 128) >> 8)
	}
}

// one is the sum of an output's weights.
const one = 256

// taps says of which inputs each output is the weighted sum: n neighbours from first on. Weights
// are whole 256ths, their sum exactly one; those of inputs that are not needed are 0.
type taps struct {
	n       int
	first   []int32
	weights []uint16
}

func (t taps) at(i int) (first int, weights []uint16) {
	return int(t.first[i]), t.weights[i*t.n:][:t.n]
}

// blend writes each sample of dst as the weighted sum of its neighbours in src.
func (t taps) blend(dst, src []byte) {
	if t.n == 1 && len(dst) == len(src) {
		copy(dst, src)
		return
	}
	if t.n == 2 {
		for i := range dst {
			f, w := t.first[i], t.weights[2*i:][:2]
			pair := src[f:][:2]
			dst[i] = byte((uint(pair[0])*uint(w[0]) + uint(pair[1])*uint(w[1]) + 128) >> 8)
		}
		return
	}
	if t.n == 3 {
		for i := range dst {
			f, w := t.first[i], t.weights[3*i:][:3]
			near := src[f:][:3]
			dst[i] = byte((uint(near[0])*uint(w[0]) + uint(near[1])*uint(w[1]) + uint(near[2])*uint(w[2]) + 128) >> 8)
		}
		return
	}
	for i := range dst {
		first, weights := t.at(i)
		sum := uint(128)
		for k, s := range src[first:][:len(weights)] {
			sum += uint(s) * uint(weights[k])
		}
		dst[i] = byte(sum >> 8)
	}
}

// newTaps computes the table for from samples made into to.
func newTaps(from, to int) taps {
	if from == to {
		t := taps{n: 1, first: make([]int32, to), weights: make([]uint16, to)}
		for i := range to {
			t.first[i], t.weights[i] = int32(i), one
		}
		return t
	}
	cover := max(2, (from+to-1)/to+1)
	cover = min(cover, from)
	t := taps{n: cover, first: make([]int32, to), weights: make([]uint16, to*cover)}
	shares := make([]float64, cover)
	for i := range to {
		first := area(shares, i, from, to)
		if to > from {
			first = between(shares, i, from, to)
		}
		t.set(i, first, shares)
	}
	return t
}

// area fills shares with how much of output i's stretch lies on each input.
func area(shares []float64, i, from, to int) int {
	ratio := float64(from) / float64(to)
	begin, end := float64(i)*ratio, float64(i+1)*ratio
	first := min(int(begin), from-len(shares))
	for k := range shares {
		at := float64(first + k)
		shares[k] = max(0, min(end, at+1)-max(begin, at)) / ratio
	}
	return first
}

// between fills shares with the weights of the two inputs around output i's centre.
func between(shares []float64, i, from, to int) int {
	at := (float64(i)+0.5)*float64(from)/float64(to) - 0.5
	at = min(max(at, 0), float64(from-1))
	first := min(int(at), from-len(shares))
	clear(shares)
	if len(shares) == 1 {
		shares[0] = 1
		return first
	}
	shares[1] = at - float64(first)
	shares[0] = 1 - shares[1]
	return first
}

// set rounds the shares to weights of the sum one.
func (t taps) set(i, first int, shares []float64) {
	_, weights := t.at(i)
	sum, largest := 0, 0
	for k, s := range shares {
		weights[k] = uint16(s*one + 0.5)
		sum += int(weights[k])
		if weights[k] > weights[largest] {
			largest = k
		}
	}
	weights[largest] = uint16(int(weights[largest]) + one - sum)
	t.first[i] = int32(first)
}
