//go:build !hil

package hil_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench/hil"
)

// client is a machine's side of a disk.
type client struct {
	t *testing.T
	net.Conn
}

func connect(t *testing.T, d *hil.Disk) client { return connectTo(t, d, 4096) }

func connectTo(t *testing.T, d *hil.Disk, size uint64) client {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", d.Socket())
	require.NoError(t, err)
	c := client{t, conn}
	c.hear("NBDMAGICIHAVEOPT\x00\x03")
	c.say(uint32(3), []byte("IHAVEOPT"), uint32(1), uint32(0)) // the disk without a name
	c.hear(string(binary.BigEndian.AppendUint64(nil, size)) + "\x00\x05")
	return c
}

func (c client) say(values ...any) {
	for _, v := range values {
		require.NoError(c.t, binary.Write(c, binary.BigEndian, v))
	}
}

func (c client) hear(what string) {
	c.t.Helper()
	b := make([]byte, len(what))
	_, err := io.ReadFull(c, b)
	require.NoError(c.t, err)
	require.Equal(c.t, what, string(b))
}

// ask sends a request and hears whether it was done.
func (c client) ask(kind uint16, at uint64, length uint32, content string, failed uint32) {
	c.t.Helper()
	c.say(uint32(0x25609513), uint16(0), kind, uint64(7), at, length, []byte(content))
	c.hear("\x67\x44\x66\x98" + string(binary.BigEndian.AppendUint32(nil, failed)) + "\x00\x00\x00\x00\x00\x00\x00\x07")
}

func (c client) write(at uint64, content string) { c.ask(1, at, uint32(len(content)), content, 0) }
func (c client) flush()                          { c.ask(3, 0, 0, "", 0) }

func (c client) requireRead(at uint64, want string) {
	c.t.Helper()
	c.ask(0, at, uint32(len(want)), "", 0)
	c.hear(want)
}

// disk is one of 4 KiB of zeros.
func disk(t *testing.T) (*hil.Disk, string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.WriteFile(image, make([]byte, 4096), 0o600))
	d, err := hil.NewDisk(image, filepath.Join(t.TempDir(), "socket"))
	require.NoError(t, err)
	return d, image
}

func TestADiskKeepsWhatWasFlushed(t *testing.T) {
	d, _ := disk(t)
	c := connect(t, d)
	c.write(100, "first")
	c.write(102, "over it")
	c.requireRead(98, "\x00\x00fiover it\x00")
	c.flush()
	c.write(100, "lost")
	c.requireRead(100, "loste")
	require.NoError(t, c.Close())
	lost, err := d.Cut(nil)
	require.NoError(t, err)
	require.Equal(t, 1, lost)
	c = connect(t, d)
	c.requireRead(100, "fiover it")
	require.NoError(t, c.Close())
	writes, flushes := d.Counts()
	require.Equal(t, []int{3, 1}, []int{writes, flushes})
	require.NoError(t, d.Close())
}

func TestAPowerCutKeepsAnyPartOfTheRest(t *testing.T) {
	d, image := disk(t)
	c := connect(t, d)
	for at := range uint64(64) {
		c.write(at, "x")
	}
	require.NoError(t, c.Close())
	lost, err := d.Cut(rand.New(rand.NewPCG(1, 2)))
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.Positive(t, lost)
	require.Less(t, lost, 64)
	b, err := os.ReadFile(image)
	require.NoError(t, err)
	zeros := 0
	for _, v := range b[:64] {
		if v == 0 {
			zeros++
		}
	}
	require.Equal(t, lost, zeros)
}

func TestAPowerCutComesInTheMidstOfWriting(t *testing.T) {
	d, _ := disk(t)
	c := connect(t, d)
	c.write(0, "kept")
	c.flush()
	gone := 0
	d.CutAt(2, func() { gone++ })
	c.write(0, "a")
	require.Zero(t, gone)
	c.write(1, "b")
	require.Equal(t, 1, gone)
	c.write(2, "c")
	c.flush() // it comes too late
	require.NoError(t, c.Close())
	lost, err := d.Cut(nil)
	require.NoError(t, err)
	require.Equal(t, 2, lost)
	c = connect(t, d)
	c.requireRead(0, "kept")
	c.write(0, "new") // the power is back
	c.flush()
	c.requireRead(0, "newt")
	require.NoError(t, c.Close())
	require.NoError(t, d.Close())
}

func TestAPowerCutTearsALongWrite(t *testing.T) {
	const sectors = 64
	image := filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.WriteFile(image, make([]byte, sectors*4096), 0o600))
	d, err := hil.NewDisk(image, filepath.Join(t.TempDir(), "socket"))
	require.NoError(t, err)
	c := connectTo(t, d, sectors*4096)
	c.write(0, strings.Repeat("x", sectors*4096))
	require.NoError(t, c.Close())
	lost, err := d.Cut(rand.New(rand.NewPCG(1, 2)))
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.Positive(t, lost)
	require.Less(t, lost, sectors)
	b, err := os.ReadFile(image)
	require.NoError(t, err)
	require.Equal(t, (sectors-lost)*4096, bytes.Count(b, []byte("x")))
}

func TestADiskHasAnEnd(t *testing.T) {
	d, _ := disk(t)
	c := connect(t, d)
	c.ask(1, 4090, 10, "0123456789", 22)
	c.ask(0, 1<<63, 10, "", 22)
	require.NoError(t, c.Close())
	require.ErrorContains(t, d.Close(), "10 bytes at 4090 of a disk of 4096")
}
