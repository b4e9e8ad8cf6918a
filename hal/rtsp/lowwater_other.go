//go:build !linux

package rtsp

import (
	"errors"
	"net"
)

// setLowWater is not to be had on this system.
func setLowWater(*net.TCPConn, int) error { return errors.ErrUnsupported }
