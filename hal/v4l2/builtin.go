package v4l2

import "errors"

// errNotBuiltIn says that this program cannot use the kernel's cameras, and why.
func errNotBuiltIn() error {
	return errors.New("the kernel's cameras (V4L2) are not built in: " +
		"they need Linux on amd64, arm64 or arm, and a program built with CGO_ENABLED=1")
}
