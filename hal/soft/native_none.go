//go:build !(linux && (386 || amd64 || arm || arm64 || loong64 || riscv64)) || android

package soft

import (
	"fmt"

	"github.com/millrace-video/millrace/hal"
)

// native finds nothing: no library can be loaded on this system, or its structs have a layout
// that nobody has checked.
func (Driver) native() ([]offer, error) { return nil, nil }

func (Driver) newLone() (loneDecoder, error) { //nolint:ireturn // as where there is one
	return nil, fmt.Errorf("%w: no library can be loaded on this system", hal.ErrNoDevice)
}

func (Driver) openH264(hal.DecoderConfig) (hal.Decoder, error) {
	return nil, fmt.Errorf("%w: no library can be loaded on this system", hal.ErrNoDevice)
}
