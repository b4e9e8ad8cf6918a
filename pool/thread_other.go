//go:build !linux

package pool

import "errors"

// Thread is the OS thread a job runs on.
type Thread struct {
	spoiled bool
}

// SetNice is not to be had on this system.
func (t *Thread) SetNice(int) error {
	return errors.ErrUnsupported
}
