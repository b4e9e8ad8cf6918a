package catalog

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/record"
)

// Issue, Must show 5: how long a start takes does not depend on how slow the disk is times how many channels there
// are. A transaction waits for the disk: the first start with many channels has as many as one with two, and so has one
// after a program that could not bring its database up to date.
func TestAStartWithManyChannelsWaitsForTheDiskAsOftenAsOneWithTwo(t *testing.T) {
	transactions := func(channels int) (first, later int) {
		cfg := Config{Data: t.TempDir(), Clock: hal.NewClock(), Logger: slog.New(slog.DiscardHandler), Budget: Budget{MinFree: -1}}
		for i := range channels {
			name := fmt.Sprintf("cam%03d", i)
			cfg.Channels = append(cfg.Channels, Channel{Name: name, Dir: name})
		}
		number := func(c *Catalog) (id int) {
			require.NoError(t, c.store.view(func(tx *bolt.Tx) error {
				id = tx.ID()
				return nil
			}))
			return id
		}
		c, err := Open(cfg)
		require.NoError(t, err)
		first = number(c)
		for i, ch := range c.order {
			require.True(t, ch.ready.Load())
			at := record.Instant{Wall: int64(i), Mono: int64(i) + 1}
			_, _, err := ch.journal.append([]line{{Kind: lineStart, Channel: ch.Name, At: &at}})
			require.NoError(t, err)
		}
		require.NoError(t, c.close(nil))
		c, err = Open(cfg)
		require.NoError(t, err)
		for _, ch := range c.order {
			require.Equal(t, ch.journal.at, ch.state.At, "the database is up to date")
		}
		later = number(c) - first
		require.NoError(t, c.close(nil))
		return first, later
	}
	few, fewLater := transactions(2)
	many, manyLater := transactions(100)
	require.Equal(t, few, many)
	require.Equal(t, fewLater, manyLater)
}
