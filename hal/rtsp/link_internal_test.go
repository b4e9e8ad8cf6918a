package rtsp

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whoever takes the socket takes the memory that it was read into: the link, which lives as long
// as the connection, holds none of it, not by an empty rest either.
func TestALinkHoldsNoMemoryOnceItIsTaken(t *testing.T) {
	near, far := net.Pipe()
	defer func() { require.NoError(t, near.Close()); require.NoError(t, far.Close()) }()
	l := newLink(near)
	const answer = "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"
	sent := make(chan error, 1)
	go func() {
		_, err := far.Write([]byte(answer + "$\x00\x00\x01x"))
		sent <- err
	}()
	got := make([]byte, len(answer))
	n, err := l.Read(got)
	require.NoError(t, err)
	require.NoError(t, <-sent)
	require.Equal(t, answer, string(got[:n]))
	in, err := l.take()
	require.NoError(t, err)
	require.Equal(t, "$\x00\x00\x01x", string(in.buf[in.r:in.w]), "what was not taken out yet goes with it")
	require.Nil(t, l.out)
	require.Nil(t, l.in.buf)
	require.Nil(t, in.lent.Bytes, "it is no reserve's to be given back to")
}
