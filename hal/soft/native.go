//go:build linux && (386 || amd64 || arm || arm64 || loong64 || riscv64) && !android

package soft

import (
	"errors"
	"fmt"

	"github.com/ebitengine/purego"
)

// native returns the encoders whose library is there. Debian's names come with a version, for
// a library's layout of memory goes with it.
func (d Driver) native() ([]offer, error) {
	h264, tj := d.openH264Names(), d.TurboJPEG
	if tj == nil {
		tj = []string{"libturbojpeg.so.0", "libturbojpeg.so"}
	}
	var offers []offer
	var errs []error
	for _, find := range []func() (offer, error){
		func() (offer, error) { return findOpenH264(h264) },
		func() (offer, error) { return findTurboJPEG(tj) },
	} {
		o, err := find()
		switch {
		case err == nil:
			offers = append(offers, o)
		case !errors.Is(err, errMissing):
			errs = append(errs, err)
		}
	}
	return offers, errors.Join(errs...)
}

func (d Driver) openH264Names() []string {
	if d.OpenH264 != nil {
		return d.OpenH264
	}
	return []string{"libopenh264.so.8", "libopenh264.so.7", "libopenh264.so.6", "libopenh264.so"}
}

// errMissing says that none of the names is a library on this machine.
var errMissing = errors.New("no such library")

// keepLoaded is RTLD_NODELETE of glibc and musl: a library stays once it is there, so that
// looking for it again costs next to nothing and no encoder loses its code.
const keepLoaded = 0x1000

// load opens the first of the libraries that is there.
func load(names []string) (handle uintptr, name string, err error) {
	for _, n := range names {
		h, err := purego.Dlopen(n, purego.RTLD_NOW|purego.RTLD_LOCAL|keepLoaded)
		if err == nil {
			return h, n, nil
		}
	}
	return 0, "", fmt.Errorf("%w: %v", errMissing, names)
}

// symbols looks up functions by name, all or an error.
func symbols(library string, handle uintptr, names ...string) ([]uintptr, error) {
	found := make([]uintptr, 0, len(names))
	for _, n := range names {
		f, err := purego.Dlsym(handle, n)
		if err != nil {
			return nil, fmt.Errorf("%s has no %s: %w", library, n, err)
		}
		found = append(found, f)
	}
	return found, nil
}
