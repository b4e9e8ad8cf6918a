//go:build linux

package v4l2

// Word is the size of a pointer.
const Word = word

// Requests returns the number of every request by its name.
func Requests() map[string]uintptr {
	all := map[string]uintptr{}
	for _, c := range calls() {
		all[c.name] = uintptr(c.req)
	}
	return all
}
