// Package hil is the rig of the hardware-in-the-loop tests: the V4L2 driver against the kernel's
// own virtual cameras and encoders, in a virtual machine. `make hil` sets everything up
// (setup.sh), builds the suite statically (the test files with the tag hil), boots the machine,
// runs the suite in it and prints a table of its cases; ARCH=arm64 takes an arm64 machine,
// RUN=REGEXP only some cases. Plain `go test` runs none of that.
//
// A case is a test without subtests. What it measured it says by figure, and it stands in the
// table. It loads what it needs of the kernel and unloads it, and leaves nothing open. What it
// records below /host/out, beside a [Want], the host decodes after the machine has ended.
package hil
