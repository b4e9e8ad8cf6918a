package config

import "time"

// sync reads how much a power cut can take.
func (d *decoder) sync(dst *time.Duration) setter {
	return func(n *node, path string) {
		switch n.text {
		case "fragment":
			*dst = 1
		case "segment":
			*dst = -1
		default:
			d.durationOr(dst, time.Second, time.Hour, "fragment, segment, or ")(n, path)
		}
	}
}
