package app

import (
	"fmt"
	"strings"

	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/file"
	"github.com/millrace-video/millrace/hal/flv"
	"github.com/millrace-video/millrace/hal/rtsp"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/hal/synth"
)

// Drivers returns the drivers that this program was built with, in order of preference.
func Drivers() *hal.Registry {
	return hal.NewRegistry(kernel(), rtsp.Driver{}, flv.Driver{}, file.Driver{}, soft.Driver{}, synth.Driver{}, replay{})
}

// CheckSource returns what config asks about a source: whether some driver takes it as it is
// written, without opening it.
func CheckSource(reg *hal.Registry) func(url, transport string) error {
	return func(url, transport string) error {
		d, _, err := reg.Lookup(url)
		if err != nil {
			return err
		}
		if transport != "" && d.Name() != "rtsp" {
			scheme, _, _ := strings.Cut(url, ":")
			return fmt.Errorf("transport goes with rtsp:// and rtsps:// sources, not with %s", scheme)
		}
		return nil
	}
}

// ConfigEnv returns what a configuration leans on in this program.
func ConfigEnv(reg *hal.Registry) config.Env { return config.Env{Check: CheckSource(reg)} }
