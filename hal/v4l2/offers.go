package v4l2

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-video/millrace/hal"
)

// offer is a pixel format that a camera can deliver, in these sizes.
type offer struct {
	pixel fourCC
	what  string // the driver's description
	sizes []sizeOffer
}

// sizeOffer is a size, or a range of sizes in steps, and the rates that belong to the largest.
type sizeOffer struct {
	minW, maxW, stepW, minH, maxH, stepH int
	rates                                []float64 // the highest first
	ranged                               bool      // any rate from the last to the first
}

func (s sizeOffer) String() string {
	var b strings.Builder
	if s.minW == s.maxW && s.minH == s.maxH {
		fmt.Fprintf(&b, "%dx%d", s.maxW, s.maxH)
	} else {
		fmt.Fprintf(&b, "%dx%d to %dx%d", s.minW, s.minH, s.maxW, s.maxH)
	}
	if len(s.rates) > 0 {
		fmt.Fprintf(&b, " up to %.4g a second", s.rates[0])
	}
	return b.String()
}

// best returns the size to take where nobody says: the largest up to 1920×1080 that comes 24
// times a second or more, else the largest that does, else the largest.
func best(sizes []sizeOffer) (sizeOffer, bool) {
	if len(sizes) == 0 {
		return sizeOffer{}, false
	}
	rank := func(s sizeOffer) int {
		fluid := len(s.rates) == 0 || s.rates[0] >= 24
		switch {
		case fluid && s.maxW <= 1920 && s.maxH <= 1080:
			return 2
		case fluid:
			return 1
		}
		return 0
	}
	return slices.MaxFunc(sizes, func(a, b sizeOffer) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.maxW*a.maxH, b.maxW*b.maxH))
	}), true
}

// describeOffers says what a camera can do, in one line.
func describeOffers(all []offer) string {
	const most = 12 // sizes shown
	parts := make([]string, 0, len(all))
	var others []string
	for _, o := range all {
		k, ok := lookup(o.pixel)
		if !ok {
			others = append(others, o.pixel.String())
			continue
		}
		sizes := make([]string, 0, len(o.sizes))
		for i, s := range o.sizes {
			if i == most {
				sizes = append(sizes, "…")
				break
			}
			sizes = append(sizes, s.String())
		}
		parts = append(parts, strings.TrimSpace(k.name()+" "+strings.Join(sizes, ", ")))
	}
	if len(others) > most {
		others = append(others[:most], "…")
	}
	if len(others) > 0 {
		parts = append(parts, "and of no use here "+strings.Join(others, ", "))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, "; ")
}

// arrange sorts rates, the highest first, each once.
func arrange(rates []float64) []float64 {
	slices.SortFunc(rates, func(a, b float64) int { return cmp.Compare(b, a) })
	return slices.Compact(rates)
}

// formatsOf makes hal's formats of what is offered and known here. A range of sizes is shown
// by its largest.
func formatsOf(offers []offer) []hal.Format {
	var all []hal.Format
	for _, o := range offers {
		k, ok := lookup(o.pixel)
		if !ok {
			continue
		}
		for _, s := range o.sizes {
			all = append(all, hal.Format{
				Codec: k.codec, Pixel: k.layout, Name: k.name(), Width: s.maxW, Height: s.maxH, Rates: s.rates,
			})
		}
	}
	return all
}
