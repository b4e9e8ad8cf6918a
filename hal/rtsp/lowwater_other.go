//go:build !linux

package rtsp

import (
	"errors"
	"net"
)

// setLowWater is not to be had on this system.
func setLowWater(*net.TCPConn, int) error { return errors.ErrUnsupported }

const canReceive = false

// receive is for systems that have it.
func receive(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

// unread is for systems that have receive.
func unread(uintptr) int { return 0 }
