//go:build !(linux && cgo && (amd64 || arm64 || arm))

package app

import (
	"context"
	"fmt"
	"net/url"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/v4l2"
)

// absent stands for the kernel's cameras: it takes their URLs, so that whoever names one is
// told why it cannot be had.
type absent struct{}

var _ hal.SourceDriver = absent{}

func kernel() hal.Driver { return absent{} }

// Name implements hal.Driver.
func (absent) Name() string { return v4l2.Scheme }

// Schemes implements hal.SourceDriver.
func (absent) Schemes() []string { return []string{v4l2.Scheme} }

// Check implements hal.SourceDriver.
func (absent) Check(u *url.URL) error {
	if _, err := v4l2.Parse(u); err != nil {
		return err
	}
	return errAbsent()
}

// Open implements hal.SourceDriver.
func (absent) Open(context.Context, *url.URL, hal.Options) (hal.Source, error) {
	return nil, fmt.Errorf("%w: %w", hal.ErrUnsupported, errAbsent())
}

const notBuiltIn = "V4L2 is not built in"

func errAbsent() error {
	return fmt.Errorf("%s: use a build of millrace for Linux that was made with CGO_ENABLED=1", notBuiltIn)
}

// Missing says which drivers this program was built without, and what that means.
func Missing() []string {
	return []string{notBuiltIn + ": cameras and encoders at /dev/video* are not found by this program, which was built without cgo or not for Linux on amd64, arm64 or arm"}
}
