package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

// Run tells the version and what it was built with.
func (versionCommand) Run(c *console) error {
	_, err := fmt.Fprintf(c.out, "millrace %s, %s, %s/%s\n", number(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// number is the version that was linked in, else the one that Go took note of.
func number() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}
