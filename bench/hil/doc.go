// Package hil is the rig of the hardware-in-the-loop tests: the V4L2 driver against the kernel's
// own virtual cameras and encoders, in a virtual machine. `make hil` sets everything up
// (setup.sh), builds the suite statically (the test files with the tag hil), boots the machine,
// runs the suite in it and prints a table of its cases. Plain `go test` runs none of that.
//
// A case is a test without subtests. What it measured it says by figure, and it stands in the
// table. What it writes into MILLRACE_HIL_OUT the host finds, and judges after the machine
// has ended.
package hil
