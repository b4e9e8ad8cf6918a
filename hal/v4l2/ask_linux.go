package v4l2

import (
	"unsafe"
)

// What a node is asked before it streams. Each loop is bounded: a driver that never says "no
// more" has a bug.
const (
	maxFormats = 256
	maxSizes   = 128
	maxRates   = 64
)

// ask returns what kind of node it is.
func ask(n node) (capability, error) {
	var c capability
	if err := n.ioctl(vidiocQueryCap, unsafe.Pointer(&c)); err != nil {
		return c, callError(vidiocQueryCap, err)
	}
	return c, nil
}

// askPixels lists the pixel formats of a queue.
func askPixels(n node, typ bufType) []formatDesc {
	var all []formatDesc
	for i := range uint32(maxFormats) {
		d := formatDesc{Index: i, Type: uint32(typ)}
		if n.ioctl(vidiocEnumFmt, unsafe.Pointer(&d)) != nil {
			break
		}
		all = append(all, d)
	}
	return all
}

// askOffers lists what a node can deliver, sizes and rates included where the format is known
// here.
func askOffers(n node, typ bufType) []offer {
	pixels := askPixels(n, typ)
	all := make([]offer, 0, len(pixels))
	for _, d := range pixels {
		o := offer{pixel: d.Pixel, what: d.Description.String()}
		if _, ok := lookup(d.Pixel); ok {
			o.sizes = askSizes(n, d.Pixel)
		}
		for i := range o.sizes {
			s := &o.sizes[i]
			s.rates, s.ranged = askRates(n, d.Pixel, s.maxW, s.maxH)
		}
		all = append(all, o)
	}
	return all
}

// askSizes lists the sizes of a pixel format, without rates.
func askSizes(n node, pixel fourCC) []sizeOffer {
	var all []sizeOffer
	for i := range uint32(maxSizes) {
		e := sizeEnum{Index: i, Pixel: pixel}
		if n.ioctl(vidiocEnumSizes, unsafe.Pointer(&e)) != nil {
			break
		}
		w := e.Words
		if e.Type == kindDiscrete {
			all = append(all, exactly(int(w[0]), int(w[1])))
			continue
		}
		all = append(all, sizeOffer{
			minW: int(w[0]), maxW: int(w[1]), stepW: int(w[2]),
			minH: int(w[3]), maxH: int(w[4]), stepH: int(w[5]),
		})
		break
	}
	return all
}

func exactly(w, h int) sizeOffer {
	return sizeOffer{minW: w, maxW: w, stepW: 1, minH: h, maxH: h, stepH: 1}
}

// askRates lists the rates of a size, the highest first; ranged says that all between the
// first and the last are possible.
func askRates(n node, pixel fourCC, w, h int) (rates []float64, ranged bool) {
	for i := range uint32(maxRates) {
		e := rateEnum{Index: i, Pixel: pixel, Width: uint32(w), Height: uint32(h)}
		if n.ioctl(vidiocEnumRates, unsafe.Pointer(&e)) != nil {
			break
		}
		rates = appendRate(rates, e.Intervals[0])
		if e.Type != kindDiscrete {
			rates = appendRate(rates, e.Intervals[1])
			ranged = true
			break
		}
	}
	return arrange(rates), ranged
}

// appendRate adds the rate of an interval, if it is one.
func appendRate(rates []float64, interval fraction) []float64 {
	if interval.Num == 0 || interval.Den == 0 {
		return rates
	}
	return append(rates, float64(interval.Den)/float64(interval.Num))
}
