//go:build linux && !(cgo && (amd64 || arm64 || arm))

package v4l2

import "github.com/millrace-video/millrace/hal"

// builtIn says whether this program can use the kernel's cameras.
func builtIn() bool { return false }

// askByLibrary is not built in.
func askByLibrary(*kernel) ([]offer, []hal.Control) { return nil, nil }
