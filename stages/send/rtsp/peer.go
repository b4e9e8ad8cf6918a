package rtsp

import (
	"net"

	"github.com/bluenviron/gortsplib/v5"
)

// tcpPeer is who is at the other end of a connection.
func tcpPeer(c *gortsplib.ServerConn) (*net.TCPAddr, bool) {
	at, ok := c.NetConn().RemoteAddr().(*net.TCPAddr)
	return at, ok
}
