//go:build linux && cgo && (amd64 || arm64 || arm)

package app

import (
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/v4l2"
)

// kernel returns the driver of the kernel's cameras. It is preferred: a camera on a cable is
// nearer than any other.
func kernel() hal.Driver { return v4l2.New() }

// Missing says which drivers this program was built without, and what that means.
func Missing() []string { return []string{} }
