package hil

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// QEMU's way to a disk in another process, as far as it needs it: the NBD protocol, fixed newstyle
// (https://github.com/NetworkBlockDevice/nbd, doc/proto.md).
const (
	nbdMagic       = "NBDMAGIC"
	nbdOption      = "IHAVEOPT"
	nbdOptionReply = 0x3e889045565a9
	nbdRequest     = 0x25609513
	nbdReply       = 0x67446698

	nbdFixedNewstyle, nbdNoZeroes = 1, 2 // of the handshake
	nbdHasFlags, nbdSendFlush     = 1, 4 // of the disk

	nbdExportName, nbdAbort, nbdInfo, nbdGo = 1, 2, 6, 7 // options
	nbdAck, nbdInfoReply, nbdUnsupported    = 1, 3, 1<<31 + 1

	nbdRead, nbdWrite, nbdDisconnect, nbdFlush = 0, 1, 2, 3 // requests

	nbdMost = 64 << 20 // bytes of an option or a request
)

// nbdSession is a connection of a machine.
type nbdSession struct {
	*Disk

	in  *bufio.Reader
	out *bufio.Writer
}

// session serves a machine until it is gone.
func (d *Disk) session(conn net.Conn) error {
	s := nbdSession{d, bufio.NewReaderSize(conn, 1<<20), bufio.NewWriterSize(conn, 1<<20)}
	err := s.handshake()
	for err == nil {
		if err = s.out.Flush(); err == nil {
			err = s.serve()
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) {
		return nil // the machine was killed
	}
	return err
}

func (s *nbdSession) put(values ...any) {
	for _, v := range values {
		_ = binary.Write(s.out, binary.BigEndian, v) //nolint:errcheck // shows at the Flush
	}
}

func (s *nbdSession) get(values ...any) error {
	for _, v := range values {
		if err := binary.Read(s.in, binary.BigEndian, v); err != nil {
			return err
		}
	}
	return nil
}

// handshake agrees on the one disk that there is, whatever its name.
func (s *nbdSession) handshake() error {
	s.put([]byte(nbdMagic), []byte(nbdOption), uint16(nbdFixedNewstyle|nbdNoZeroes))
	if err := s.out.Flush(); err != nil {
		return err
	}
	var flags uint32
	if err := s.get(&flags); err != nil {
		return err
	}
	for {
		var magic [8]byte
		var option, length uint32
		if err := s.get(&magic, &option, &length); err != nil {
			return err
		}
		if string(magic[:]) != nbdOption || length > nbdMost {
			return fmt.Errorf("disk: not an option of NBD: %q, %d bytes", magic, length)
		}
		if _, err := s.in.Discard(int(length)); err != nil {
			return err
		}
		switch option {
		case nbdExportName:
			s.put(s.size, uint16(nbdHasFlags|nbdSendFlush))
			if flags&nbdNoZeroes == 0 {
				s.put([124]byte{})
			}
			return s.out.Flush()
		case nbdInfo, nbdGo:
			s.answer(option, nbdInfoReply, uint16(0), s.size, uint16(nbdHasFlags|nbdSendFlush))
			s.answer(option, nbdAck)
		case nbdAbort:
			s.answer(option, nbdAck)
			return errors.Join(s.out.Flush(), io.EOF)
		default:
			s.answer(option, nbdUnsupported)
		}
		if err := s.out.Flush(); err != nil || option == nbdGo {
			return err
		}
	}
}

func (s *nbdSession) answer(option, kind uint32, content ...any) {
	length := 0
	for _, v := range content {
		length += binary.Size(v)
	}
	s.put(uint64(nbdOptionReply), option, kind, uint32(length)) //nolint:gosec // a few bytes
	s.put(content...)
}

// nbdCall is a request.
type nbdCall struct {
	Magic       uint32
	Flags, Kind uint16
	Handle, At  uint64
	Length      uint32
}

// serve answers one request.
func (s *nbdSession) serve() error {
	var c nbdCall
	if err := s.get(&c); err != nil {
		return err
	}
	if c.Magic != nbdRequest || c.Length > nbdMost {
		return fmt.Errorf("disk: not a request of NBD: magic %#x, %d bytes", c.Magic, c.Length)
	}
	var content []byte
	if c.Kind == nbdRead || c.Kind == nbdWrite {
		content = make([]byte, c.Length)
	}
	if c.Kind == nbdWrite {
		if _, err := io.ReadFull(s.in, content); err != nil {
			return err
		}
	}
	if c.Kind == nbdDisconnect {
		return io.EOF
	}
	if err := s.do(&c, content); err != nil {
		s.note(err)
		s.put(uint32(nbdReply), uint32(unix.EINVAL), c.Handle)
		return nil
	}
	s.put(uint32(nbdReply), uint32(0), c.Handle)
	if c.Kind == nbdRead {
		_, _ = s.out.Write(content) //nolint:errcheck // shows at the Flush
	}
	return nil
}

// do does what a request wants.
func (s *nbdSession) do(c *nbdCall, content []byte) error {
	if err := s.within(c.At, c.Length); err != nil {
		return err
	}
	switch c.Kind {
	case nbdFlush:
		return s.flush()
	case nbdRead:
		return s.read(c.At, content)
	case nbdWrite:
		s.write(c.At, content)
		return nil
	}
	return fmt.Errorf("disk: request %d of NBD", c.Kind)
}
