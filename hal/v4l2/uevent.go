package v4l2

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// Event is a video device that came or went, as the kernel or udev tells it.
type Event struct {
	Action string // "add", "remove", "change", …; "lost" where events were missed
	Node   string // the device node, as /dev/video0; "" where events were missed
}

// Arrived says whether a camera may be there now that was not before.
func (e Event) Arrived() bool { return e.Action != "remove" && e.Action != "unbind" }

// udevMagic marks a message of udev's: "libudev", a zero, and this number, big-endian, at byte
// 8 (systemd, src/libsystemd/sd-device/device-monitor.c). At bytes 16 and 20 are where its
// properties begin and how long they are.
const udevMagic = 0xfeedcafe

// parseEvent reads a message: a line for people and then NAME=VALUE, each ended by a zero
// (Linux, lib/kobject_uevent.c), or udev's. false: it is of no video device.
func parseEvent(message []byte) (Event, bool) {
	var properties []byte
	if rest, ok := bytes.CutPrefix(message, []byte("libudev\x00")); ok {
		if len(rest) < 16 || binary.BigEndian.Uint32(rest) != udevMagic {
			return Event{}, false
		}
		from, n := uint64(binary.NativeEndian.Uint32(rest[8:])), uint64(binary.NativeEndian.Uint32(rest[12:]))
		if from+n > uint64(len(message)) {
			return Event{}, false
		}
		properties = message[from : from+n]
	} else {
		_, rest, ok := bytes.Cut(message, []byte{0})
		if !ok {
			return Event{}, false
		}
		properties = rest
	}
	e := Event{}
	video := false
	for field := range bytes.SplitSeq(properties, []byte{0}) {
		name, value, _ := strings.Cut(string(field), "=")
		switch name {
		case "ACTION":
			e.Action = value
		case "SUBSYSTEM":
			video = value == "video4linux"
		case "DEVNAME":
			e.Node = "/dev/" + strings.TrimPrefix(value, "/dev/")
		}
	}
	return e, video && e.Action != "" && e.Node != ""
}
