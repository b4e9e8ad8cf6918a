package rtsp

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
)

// UDPOff as Config.UDP means that players get TCP only.
const UDPOff = "off"

// Config is a server's settings. The zero value serves this machine alone.
type Config struct {
	// Listen is the address for RTSP. Default "127.0.0.1:8554". Port 0 lets the system choose.
	Listen string
	// UDP is the address that RTP over UDP is sent from; its port is even, and RTCP uses the
	// next one. Default: the host of Listen and ports that the system chooses. UDPOff: TCP only.
	UDP string

	MaxReaders int           // players at once, of all channels; default 64
	MaxConns   int           // connections at once, those that play nothing too; default MaxReaders + 32
	DropAfter  time.Duration // a player that takes nothing for that long is dropped; default 10 s
	// ReaderBytes bounds what waits for one player: at more it is skipped to the next key
	// frame. The waiting blocks are shared by all players. Default 4 MiB.
	ReaderBytes int
	// ReplayBytes bounds what is kept since the last key frame for players that join, while
	// others watch. Default 2 MiB.
	ReplayBytes int
	// Wait is how long a DESCRIBE waits for a camera's first frame. Default 5 s.
	Wait time.Duration

	// Workers run what waits for slow players: one job at most for each connection. Nil: the
	// server reserves its own.
	Workers *pool.Workers
	Clock   *hal.Clock   // labels sender reports; default: the system's
	Logger  *slog.Logger // default: silent
}

const (
	defaultListen = "127.0.0.1:8554"
	spareConns    = 32
)

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = defaultListen
	}
	orDefault(&c.MaxReaders, 64)
	orDefault(&c.MaxConns, c.MaxReaders+spareConns)
	orDefault(&c.DropAfter, 10*time.Second)
	orDefault(&c.ReaderBytes, 4<<20)
	orDefault(&c.ReplayBytes, 2<<20)
	orDefault(&c.Wait, 5*time.Second)
	if c.Clock == nil {
		c.Clock = hal.NewClock()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func orDefault[T int | time.Duration](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

// Validate says all that is wrong with the settings.
func (c Config) Validate() error {
	c = c.withDefaults()
	errs := []error{checkAddress("listen", c.Listen)}
	if c.UDP != "" && c.UDP != UDPOff {
		errs = append(errs, checkAddress("udp", c.UDP))
		if _, port, err := net.SplitHostPort(c.UDP); err == nil {
			if n, err := strconv.Atoi(port); err == nil && n%2 != 0 {
				errs = append(errs, fmt.Errorf("rtsp: udp %q: the RTP port must be even, RTCP uses the next one", c.UDP))
			}
		}
	}
	if c.MaxReaders < 0 || c.MaxConns < 0 || c.DropAfter < 0 || c.ReaderBytes < 0 || c.ReplayBytes < 0 || c.Wait < 0 {
		errs = append(errs, errors.New("rtsp: a limit cannot be negative"))
	}
	return errors.Join(errs...)
}

func checkAddress(what, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("rtsp: %s address %q: HOST:PORT, such as %s", what, address, defaultListen)
	}
	return nil
}

// Limit is the bound for a branch that a mounted channel is sent from: nothing until somebody
// watches, and room for all that is kept since the last key frame.
func Limit() pipeline.Limit {
	return pipeline.Limit{Frames: 2048, Bytes: 8 << 20, Full: pipeline.DropUntilKey, OnDemand: true}
}
