package main

import (
	"io"

	"github.com/millrace-video/millrace/hal"
)

// PrintInventory prints the table of devices and no encoder.
func PrintInventory(w io.Writer, devices ...hal.Device) error {
	return inventory{Devices: devices}.print(w)
}
