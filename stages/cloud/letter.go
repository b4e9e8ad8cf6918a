package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Letter is a small object that belongs to an event: a message, or a picture. It lies beside the
// playlists of the channel's events.
type Letter struct {
	// Name is its file's: event-, then letters, digits, dots and dashes, then .json for a
	// message or .jpg for a picture.
	Name string
	// Body is the caller's again when done is called.
	Body *io.SectionReader
}

const (
	messageExt = ".json"
	pictureExt = ".jpg"

	maxLetterName = 160
	maxLetter     = 16 << 20 // bytes
	// mostLetters of a channel wait in the spool at most, mostHeld in memory where there is none.
	mostLetters = 10_000
	mostHeld    = 256
)

// checkLetterName says what is wrong with a name. A file in the spool may have been put there by
// anybody.
func checkLetterName(name string) error {
	stranger := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-'
	}
	if len(name) > maxLetterName || !strings.HasPrefix(name, "event-") || strings.ContainsFunc(name, stranger) ||
		!strings.HasSuffix(name, messageExt) && !isPicture(name) {
		return fmt.Errorf("%.60q is no name of an event's message or picture", name)
	}
	return nil
}

func isPicture(name string) bool { return strings.HasSuffix(name, pictureExt) }

// letter is one on its way. The Cloud's mu guards what changes.
type letter struct {
	ch     *Channel
	number uint64 // the channel's count up
	name   string
	size   int64
	body   *io.SectionReader // nil: it lies in the spool

	flying bool
	gone   error              // it was given up while flying
	cancel context.CancelFunc // of the attempt
	tries  int
	due    int64       // Mono of the next attempt
	done   func(error) // nil: nobody waits for it any more
	unbind func() bool // from its caller's context
}

func (l *letter) key() string { return l.ch.root + eventFolder + l.name }

func (l *letter) contentType() string {
	if isPicture(l.name) {
		return "image/jpeg"
	}
	return "application/json"
}

// path is where it lies in the spool: in the order of numbers.
func (l *letter) path() string {
	return fmt.Sprintf("%s/%012d~%s", lettersDir, l.number, l.name)
}

// parseLetter is the inverse of path, for the file's name.
func parseLetter(file string) (number uint64, name string, ok bool) {
	digits, name, found := strings.Cut(file, "~")
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, name, found && err == nil && len(digits) >= 12 && number < 1e15 && checkLetterName(name) == nil
}

// Post takes over a message or a picture of an event. It calls done once, from any goroutine:
// with nil when the store has it; with ErrSpooled when ctx or the Cloud ended first and it waits
// on disk for the store, in a later run too; with another error when it will never be there. A
// store that cannot be used is waited for. Where there is a spool Post returns when the letter is
// on disk; else it waits in memory. What is too much of a channel, or of the spool, costs the
// oldest picture, then the oldest message.
func (ch *Channel) Post(ctx context.Context, l Letter, done func(error)) {
	c := ch.cloud
	var err error
	if err = checkLetterName(l.Name); err == nil && l.Body.Size() > maxLetter {
		err = fmt.Errorf("%s has %d bytes: at most %d", l.Name, l.Body.Size(), maxLetter)
	}
	p := &letter{ch: ch, name: l.Name, size: l.Body.Size(), body: l.Body, done: done}
	c.mu.Lock()
	if err == nil && c.phase != exiting {
		err = c.refused()
	}
	ch.posted++
	p.number = ch.posted
	c.mu.Unlock()
	if err != nil {
		done(fmt.Errorf("channel %s: %w", ch.name, err))
		return
	}
	spooled := c.cfg.Spool && ch.spoolLetter(p)
	c.locked(func() {
		if spooled {
			p.body = nil
		}
		if c.phase != running && c.phase != exiting { // it left meanwhile
			c.tell(p, c.leftBehind(p))
			return
		}
		ch.queue(p)
		c.boundLetters(ch)
		if p.done != nil && ctx.Done() != nil {
			p.unbind = context.AfterFunc(ctx, func() { c.locked(func() { c.withdraw(p, context.Cause(ctx)) }) })
		}
	})
}

// spoolLetter puts a letter on disk, and returns false where it stays in memory.
func (ch *Channel) spoolLetter(p *letter) bool {
	body := make([]byte, p.size)
	if _, err := p.body.ReadAt(body, 0); err != nil && !errors.Is(err, io.EOF) {
		ch.cloud.log.Error("an event's message or picture cannot be read", "channel", ch.name, "name", p.name, "cause", err.Error())
		return false
	}
	return ch.keep(p.path(), body, "an event's "+p.kind())
}

func (l *letter) kind() string {
	if isPicture(l.name) {
		return "picture"
	}
	return "message"
}

// queue puts a letter in its place. The caller holds mu.
func (ch *Channel) queue(p *letter) {
	i, _ := slices.BinarySearchFunc(ch.letters, p.number, func(o *letter, n uint64) int {
		if o.number < n {
			return -1
		}
		return 1
	})
	ch.letters = slices.Insert(ch.letters, i, p)
}

// leftBehind is what is told of a letter when the Cloud ends before it is in the store.
func (c *Cloud) leftBehind(p *letter) error {
	if p.body == nil {
		return fmt.Errorf("%w: %w", ErrSpooled, ErrExited)
	}
	return ErrExited
}

// tell has who waits for a letter told, once. The caller holds mu.
func (c *Cloud) tell(p *letter, err error) {
	done := p.done
	p.done = nil
	if p.unbind != nil {
		p.unbind()
	}
	if done != nil {
		c.after = append(c.after, func() { done(err) })
	}
}

// withdraw is where a caller's context ends: what is in the spool waits on, what is in memory is
// given up. The caller holds mu.
func (c *Cloud) withdraw(p *letter, cause error) {
	switch {
	case p.done == nil:
	case p.body == nil:
		c.tell(p, fmt.Errorf("%w: %w", ErrSpooled, cause))
	case p.flying: // its body is being read
		p.gone = cause
		p.cancel()
	default:
		p.ch.forgetLetter(p)
		c.tell(p, cause)
	}
}

// forgetLetter takes a letter out of its queue. The caller holds mu.
func (ch *Channel) forgetLetter(p *letter) {
	ch.letters = slices.DeleteFunc(ch.letters, func(o *letter) bool { return o == p })
}

// boundLetters gives up letters of a channel while there are too many. The caller holds mu.
func (c *Cloud) boundLetters(ch *Channel) {
	most := mostLetters
	if !c.cfg.Spool {
		most = mostHeld
	}
	for len(ch.letters) > most {
		worst := oldestLetter([]*Channel{ch}, true, false)
		if worst == nil {
			worst = oldestLetter([]*Channel{ch}, false, false)
		}
		if worst == nil {
			return // all are under way
		}
		c.dropLetter(worst, errors.New("too many waited"))
	}
}

// oldestLetter returns the first picture, or the first message, of channels that is not under
// way; of the spool alone where that is wanted.
func oldestLetter(channels []*Channel, picture, spooled bool) (oldest *letter) {
	for _, ch := range channels {
		for _, p := range ch.letters {
			if isPicture(p.name) == picture && !p.flying && (!spooled || p.body == nil) {
				if oldest == nil || stamp(p) < stamp(oldest) {
					oldest = p
				}
				break
			}
		}
	}
	return oldest
}

// stamp is the time in a letter's name, which orders those of several channels as well as the
// wall clock does.
func stamp(p *letter) string {
	if parts := strings.SplitN(p.name, "-", 4); len(parts) == 4 {
		return parts[2]
	}
	return ""
}

// dropLetter gives up a letter that is not under way. The caller holds mu.
func (c *Cloud) dropLetter(p *letter, cause error) {
	ch := p.ch
	ch.forgetLetter(p)
	ch.figures.LettersDropped++
	if p.body == nil {
		c.spooled -= p.size
	}
	spooled := p.body == nil
	c.after = append(c.after, func() {
		c.log.Error("an event's "+p.kind()+" is given up and will not be in the store", "channel", ch.name, "name", p.name, "cause", cause.Error())
		if spooled {
			ch.unspool(p.path())
		}
	})
	c.tell(p, fmt.Errorf("%w: %w", ErrGivenUp, cause))
}

// restoreLetters finds what a run before has left.
func (ch *Channel) restoreLetters() {
	c := ch.cloud
	for _, file := range ch.disk.list(lettersDir) {
		number, name, ok := parseLetter(file)
		info, err := ch.disk.root.Lstat(lettersDir + "/" + file)
		if !ok || err != nil || !info.Mode().IsRegular() || info.Size() > maxLetter {
			c.log.Warn("a file in the spool is no message or picture of an event: it is left alone", "channel", ch.name, "file", file)
			continue
		}
		ch.posted = max(ch.posted, number)
		ch.queue(&letter{ch: ch, number: number, name: name, size: info.Size()})
		c.spooled += info.Size()
	}
}
