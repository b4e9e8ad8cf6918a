package cloud

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// Space makes room on a disk that others fill too.
type Space interface {
	// Reclaim frees that many bytes on the disk of a folder, or says why it cannot. It may call
	// GiveUp.
	Reclaim(dir string, bytes int64) error
}

// keep puts what is accepted on disk, durable, and returns false where it stays in memory. Where
// there is no room the least important goes first.
func (ch *Channel) keep(path string, body []byte, what string) bool {
	c := ch.cloud
	size := int64(len(body))
	room := false
	c.locked(func() {
		if room = c.boundSpool(size); room {
			c.spooled += size
		}
	})
	if !room {
		c.log.Warn(what+" does not fit into the spool: it waits in memory; give spool.max_bytes more", "channel", ch.name, "bytes", size)
		return false
	}
	const tries = 4
	var err error
	for n := range tries {
		d := ch.folder()
		if d == nil {
			err = fs.ErrClosed
			break
		}
		if err = d.save(path, body); err == nil {
			return true
		}
		if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) || !c.makeRoom(size, n) {
			break
		}
	}
	c.locked(func() { c.spooled -= size })
	ch.trouble(what+" waits in memory instead", err)
	return false
}

// makeRoom frees some of a disk that is full: first of what others have there, then of the spool.
func (c *Cloud) makeRoom(size int64, turn int) (freed bool) {
	if c.cfg.Space != nil && turn == 0 && c.cfg.Space.Reclaim(c.cfg.Dir, size) == nil {
		return true
	}
	c.locked(func() { freed = c.sacrifice("the disk of the spool was full", true) })
	return freed
}

// folder returns the channel's folder on disk; nil where there is none, or the Cloud has left.
func (ch *Channel) folder() *disk {
	ch.cloud.mu.Lock()
	defer ch.cloud.mu.Unlock()
	return ch.disk
}

// unspool removes what is done, or given up, from disk.
func (ch *Channel) unspool(path string) {
	if d := ch.folder(); d != nil {
		ch.trouble("what is done stays", d.remove(path))
	}
}

// openSpooled opens what waits in the spool. Its errors are errSpool.
func (ch *Channel) openSpooled(path string) (*os.File, error) {
	d := ch.folder()
	if d == nil {
		return nil, fmt.Errorf("%w: %w", errSpool, fs.ErrClosed)
	}
	f, err := d.root.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSpool, err)
	}
	return f, nil
}

// boundSpool gives up what is least important until n bytes more fit, and returns false where
// they cannot. The caller holds mu.
func (c *Cloud) boundSpool(n int64) bool {
	for c.spooled+n > c.cfg.SpoolBytes {
		if n > c.cfg.SpoolBytes || !c.sacrifice("the spool was full", true) {
			return false
		}
	}
	return true
}

// sacrifice gives up what is least important of the spool, and says whether there was anything:
// the oldest package that is in no event, and where events may go too, the oldest package, then
// the oldest picture, then the oldest message. The caller holds mu.
func (c *Cloud) sacrifice(cause string, events bool) bool {
	if worst := c.leastImportant(); worst != nil && (events || !worst.event) {
		c.drop(worst, cause)
		return true
	}
	if !events {
		return false
	}
	for _, picture := range []bool{true, false} {
		if worst := oldestLetter(c.channels, picture, true); worst != nil {
			c.dropLetter(worst, errors.New(cause))
			return true
		}
	}
	return false
}

// leastImportant returns the package in the spool that is given up first: the oldest that is in
// no event, else the oldest. The caller holds mu.
func (c *Cloud) leastImportant() (worst *pkg) {
	for _, ch := range c.channels {
		for _, p := range ch.waiting {
			if p.body == nil && (worst == nil || worst.event && !p.event || worst.event == p.event && p.number < worst.number) {
				worst = p
			}
			if p.body == nil && !p.event {
				break // the rest is younger
			}
		}
	}
	return worst
}

// mostGivenUp bounds how much goes in one call.
const mostGivenUp = 64

// GiveUp gives up what waits in the spool, the oldest first, until about that many bytes are free,
// and returns how many are: where events is false packages that are in no event alone, else
// what events have too. What is under way is never given up.
func (c *Cloud) GiveUp(bytes int64, events bool) (freed int64) {
	for range mostGivenUp {
		if freed >= bytes {
			break
		}
		more := false
		c.locked(func() {
			before := c.spooled
			more = (c.phase == running || c.phase == exiting) && c.sacrifice("the disk budget", events)
			freed += before - c.spooled
		})
		if !more {
			break
		}
	}
	return freed
}

// Spooled returns how many bytes lie in the spool: of packages that are in no event and are not
// under way, and of all else.
func (c *Cloud) Spooled() (rest, events int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range c.channels {
		for _, p := range ch.waiting {
			if p.body == nil && !p.event {
				rest += p.size
			}
		}
	}
	return rest, c.spooled - rest
}
