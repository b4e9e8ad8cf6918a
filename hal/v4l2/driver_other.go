//go:build !linux

package v4l2

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"github.com/millrace-video/millrace/hal"
)

// Driver stands for the kernel's cameras, which this system has none of.
type Driver struct {
	Record  func(node string) (io.WriteCloser, error)
	Payload int
	Replay  *Trace
	Loop    bool
}

// Trace is what a camera and this driver said to each other.
type Trace struct{}

var (
	_ hal.SourceDriver = Driver{}
	_ hal.Lister       = Driver{}
)

// ReadTrace is not to be had on this system.
func ReadTrace(io.Reader) (*Trace, error) { return nil, errNotBuiltIn() }

// New returns a driver.
func New() Driver { return Driver{} }

// Name implements hal.Driver.
func (Driver) Name() string { return Scheme }

// Schemes implements hal.SourceDriver.
func (Driver) Schemes() []string { return []string{Scheme} }

// Check implements hal.SourceDriver.
func (Driver) Check(u *url.URL) error {
	_, err := Parse(u)
	return err
}

// Open implements hal.SourceDriver: it says that there are no cameras here.
func (Driver) Open(context.Context, *url.URL, hal.Options) (hal.Source, error) {
	return nil, fmt.Errorf("%w: %w", hal.ErrUnsupported, errNotBuiltIn())
}

// Devices implements hal.Lister: it says that there are none here.
func (Driver) Devices(context.Context) ([]hal.Device, error) { return nil, errNotBuiltIn() }
