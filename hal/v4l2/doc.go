// Package v4l2 brings the kernel's cameras.
package v4l2
