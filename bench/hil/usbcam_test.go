//go:build hil

package hil_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// usbCamera is a USB camera in user space whose plug can be pulled: it speaks the protocol of
// USB/IP (Documentation/usb/usbip_protocol.rst) on one end of a socket pair, vhci-hcd has the
// other, and uvcvideo takes it for real.
type usbCamera struct {
	picture
	serial string
	next   func(ctx context.Context) ([]byte, error) // the next picture, when it is due

	conn     net.Conn
	unplug   context.CancelFunc
	gone     sync.WaitGroup
	transfer chan transfer

	mu      sync.Mutex // of writes to conn, and of:
	waiting map[uint32]bool
}

// transfer is a bulk transfer that the host has asked for.
type transfer struct {
	number uint32
	length int
}

// Commands of USB/IP.
const (
	usbSubmit = iota + 1
	usbUnlink
	usbReturn
	usbReturnUnlink
)

const (
	usbHeader = 48
	usbStall  = -int32(unix.EPIPE)
)

// plug plugs the camera in, once the kernel has seen that it was pulled before: no hand is faster.
func (c *usbCamera) plug(t *testing.T) {
	t.Helper()
	until(t, "the end of the camera that was pulled", func() bool { return !c.attached(t) })
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	ours := os.NewFile(uintptr(pair[0]), "usbip")
	c.conn, err = net.FileConn(ours)
	require.NoError(t, err)
	require.NoError(t, ours.Close())
	const highSpeed, device = 3, 0x10001
	attach := []byte(fmt.Sprintf("0 %d %d %d", pair[1], device, highSpeed))
	until(t, "a free port of vhci-hcd", func() bool {
		return os.WriteFile("/sys/devices/platform/vhci_hcd.0/attach", attach, 0) == nil
	})
	require.NoError(t, unix.Close(pair[1]))
	c.transfer, c.waiting = make(chan transfer, 1024), map[uint32]bool{}
	ctx, unplug := context.WithCancel(context.Background())
	c.unplug = unplug
	c.gone.Add(2)
	go func() {
		defer c.gone.Done()
		defer unplug()
		_ = c.serve() // ends with the connection
	}()
	go func() {
		defer c.gone.Done()
		_ = c.stream(ctx)
	}()
}

// attached says whether the kernel has a camera of this serial number.
func (c *usbCamera) attached(t *testing.T) bool {
	t.Helper()
	all, err := filepath.Glob("/sys/bus/usb/devices/*/serial")
	require.NoError(t, err)
	return slices.ContainsFunc(all, func(f string) bool {
		text, err := os.ReadFile(f)
		return err == nil && strings.TrimSpace(string(text)) == c.serial
	})
}

// pull pulls the plug, at once and whatever is under way.
func (c *usbCamera) pull(t *testing.T) {
	t.Helper()
	c.unplug()
	require.NoError(t, c.conn.Close())
	c.gone.Wait()
}

// serve answers the host.
func (c *usbCamera) serve() error {
	h := make([]byte, usbHeader)
	for {
		if _, err := io.ReadFull(c.conn, h); err != nil {
			return err
		}
		word := func(i int) uint32 { return binary.BigEndian.Uint32(h[4*i:]) }
		command, number, in, endpoint, length := word(0), word(1), word(3) == 1, word(4), int(word(6))
		var err error
		switch {
		case command == usbUnlink:
			err = c.unlink(number, word(5))
		case endpoint != 0:
			c.mu.Lock()
			c.waiting[number] = true
			c.mu.Unlock()
			c.transfer <- transfer{number, length}
		case in:
			status, answer := c.answer([8]byte(h[40:48]))
			answer = answer[:min(len(answer), length)]
			err = c.reply(number, status, len(answer), answer)
		default:
			if _, err = io.CopyN(io.Discard, c.conn, int64(length)); err == nil {
				err = c.reply(number, 0, length, nil)
			}
		}
		if err != nil {
			return err
		}
	}
}

// unlink takes back a transfer, unless it has been answered.
func (c *usbCamera) unlink(number, victim uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	status := int32(0)
	if c.waiting[victim] {
		delete(c.waiting, victim)
		status = -int32(unix.ECONNRESET)
	}
	_, err := c.conn.Write(usbAnswer(usbReturnUnlink, number, status, 0, nil))
	return err
}

func (c *usbCamera) reply(number uint32, status int32, length int, content []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.conn.Write(usbAnswer(usbReturn, number, status, length, content))
	return err
}

// usbAnswer is a header with what the host reads. Length is how much was read or written.
func usbAnswer(command, number uint32, status int32, length int, content []byte) []byte {
	b := make([]byte, usbHeader, usbHeader+len(content))
	binary.BigEndian.PutUint32(b, command)
	binary.BigEndian.PutUint32(b[4:], number)
	binary.BigEndian.PutUint32(b[20:], uint32(status))
	binary.BigEndian.PutUint32(b[24:], uint32(length))
	return append(b, content...)
}

// answer answers what the host reads through the control endpoint.
func (c *usbCamera) answer(setup [8]byte) (status int32, content []byte) {
	const getDescriptor, getLength, getInfo = 6, 0x85, 0x86
	kind, request, index, value, length := setup[0]&0x60, setup[1], setup[2], setup[3], binary.LittleEndian.Uint16(setup[6:])
	switch {
	case kind == 0 && request == getDescriptor:
		return c.descriptor(value, index)
	case kind == 0:
		return 0, make([]byte, length)
	case request == getLength:
		return 0, le16(len(c.probe()))
	case request == getInfo:
		return 0, []byte{3}
	case setup[4] == 1: // the streaming interface
		return 0, c.probe()
	}
	return usbStall, nil
}

func (c *usbCamera) descriptor(kind, index byte) (status int32, content []byte) {
	const device, configuration, text = 1, 2, 3
	switch kind {
	case device:
		return 0, usbDevice()
	case configuration:
		return 0, c.usbConfiguration()
	case text:
		if index == 0 {
			return 0, []byte{4, text, 9, 4} // American English
		}
		s := map[byte]string{1: "Millrace", 2: "HIL Camera", 3: c.serial}[index]
		content = []byte{byte(2 + 2*len(s)), text}
		for _, r := range s {
			content = append(content, le16(int(r))...)
		}
		return 0, content
	}
	return usbStall, nil
}

// stream sends pictures, each in as many transfers as it takes. What nobody asks for in time is
// late, not lost.
func (c *usbCamera) stream(ctx context.Context) error {
	const endOfHeader, endOfFrame = 0x80, 2
	payload := make([]byte, usbPayload)
	for toggle := byte(0); ; toggle ^= 1 {
		frame, err := c.next(ctx)
		if err != nil {
			return err
		}
		for len(frame) > 0 {
			var next transfer
			select {
			case next = <-c.transfer:
			case <-ctx.Done():
				return ctx.Err()
			}
			c.mu.Lock()
			if c.waiting[next.number] {
				delete(c.waiting, next.number)
				n := copy(payload[2:min(next.length, usbPayload)], frame)
				frame = frame[n:]
				payload[0], payload[1] = 2, endOfHeader|toggle
				if len(frame) == 0 {
					payload[1] |= endOfFrame
				}
				_, err = c.conn.Write(usbAnswer(usbReturn, next.number, 0, 2+n, payload[:2+n]))
			}
			c.mu.Unlock()
			if err != nil {
				return err
			}
		}
	}
}
