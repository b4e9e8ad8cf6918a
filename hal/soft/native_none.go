//go:build !(linux && (386 || amd64 || arm || arm64 || loong64 || riscv64)) || android

package soft

// native finds nothing: no library can be loaded on this system, or its structs have a layout
// that nobody has checked.
func (Driver) native() ([]offer, error) { return nil, nil }
