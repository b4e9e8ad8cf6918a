package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
)

// ready opens the database and every channel that is not open yet.
func (c *Catalog) ready() error {
	c.mu.Lock()
	s, order := c.store, append([]*channel(nil), c.order...)
	c.mu.Unlock()
	if s == nil {
		var err error
		if s, err = c.open(); err != nil {
			return err
		}
		c.mu.Lock()
		c.store = s
		c.mu.Unlock()
	}
	var errs []error
	failed := func(ch *channel, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("channel %s: %w", ch.Name, err))
		}
	}
	c.foresee(order)
	var all []*opening
	for _, ch := range order {
		if ch.ready.Load() {
			continue
		}
		o, err := c.openChannel(ch)
		if failed(ch, err); err == nil {
			all = append(all, o)
		}
	}
	c.catchUpTogether(s, all)
	for _, o := range all {
		if c.cfg.progress != nil {
			c.cfg.progress("channel " + o.ch.Name + ": " + o.ch.folder)
		}
		failed(o.ch, c.readyChannel(s, o))
	}
	return c.unusable(errors.Join(errs...))
}

// foresee makes known what all journals say of anchors, where the database is new.
func (c *Catalog) foresee(order []*channel) {
	if !c.fresh {
		return
	}
	c.fresh = false
	for _, ch := range order {
		there, err := list(ch.folder)
		if err == nil {
			err = c.readAnchors(ch, there)
		}
		if err != nil {
			c.log.Warn("a journal cannot be read", "channel", ch.Name, "cause", err.Error())
		}
	}
}

// open opens the database. A damaged one is set aside: the journals make another.
func (c *Catalog) open() (*store, error) {
	if err := os.MkdirAll(c.cfg.Data, dirMode); err != nil {
		return nil, err
	}
	_, err := os.Stat(c.path())
	c.fresh = errors.Is(err, fs.ErrNotExist)
	s, err := openStore(c.path())
	if err == nil {
		err = s.view(c.loadAnchors)
		if err == nil && c.suspect < 2 {
			return s, nil
		}
		err = errors.Join(err, s.close())
	}
	if !isDamage(err) && c.suspect < 2 {
		return nil, err
	}
	c.suspect = 0
	aside, cause := c.path()+".damaged", fmt.Sprint(err)
	if err := errors.Join(os.Rename(c.path(), aside), syncDir(c.cfg.Data)); err != nil {
		return nil, err
	}
	c.log.Error("the catalog is damaged and set aside; it is made anew from the journals and files", "cause", cause, "aside", aside)
	c.fresh = true
	return openStore(c.path())
}

// isDamage says whether the database's content is what is wrong.
func isDamage(err error) bool { return errors.Is(err, errDamaged) || errors.Is(err, errItem) }

// isFinal says whether no other try can be better.
func isFinal(err error) bool { return errors.Is(err, ErrInUse) }

// unusable looks at an error of the database: after a fault it is let go, and the next step opens
// it again; the second time it is taken for damaged.
func (c *Catalog) unusable(err error) error {
	damaged := isDamage(err)
	if !damaged && !isGone(err) {
		return err
	}
	c.mu.Lock()
	s := c.store
	c.store = nil
	c.mu.Unlock()
	for _, ch := range c.order {
		if ch.journal != nil {
			err = errors.Join(err, ch.journal.close())
		}
		ch.ahead, ch.from = nil, position{}
		ch.ready.Store(false)
	}
	if s == nil {
		return err
	}
	if damaged {
		c.suspect++
	}
	return errors.Join(err, s.close())
}

// isGone says whether a file that is open lies on a disk that is another one now, or will be.
func isGone(err error) bool {
	for _, no := range []syscall.Errno{syscall.EROFS, syscall.EIO, syscall.ENODEV, syscall.ENXIO, syscall.ESTALE, syscall.EBADF} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// opening is a channel on its way to being ready.
type opening struct {
	ch    *channel
	there folder
	now   state // of the database, where it is caught up with the journal
	done  bool  // it is
	took  time.Duration
}

// openChannel opens a channel's journal.
func (c *Catalog) openChannel(ch *channel) (*opening, error) {
	began := c.cfg.Clock.Mono()
	there, err := list(ch.folder)
	if err != nil {
		return nil, err
	}
	j, torn, err := openJournal(ch.folder, there.pieces, c.anchors)
	if err != nil {
		return nil, err
	}
	if torn > 0 {
		c.log.Warn("the journal's last line was torn and is cut off", "channel", ch.Name, "file", j.path(j.at.Piece), "bytes", torn)
	}
	ch.journal = j
	return &opening{ch: ch, there: there, took: time.Duration(c.cfg.Clock.Mono() - began)}, nil
}

// readyChannel brings the database up to a channel's journal and puts both in order with the files.
func (c *Catalog) readyChannel(s *store, o *opening) (err error) {
	began, ch, now := c.cfg.Clock.Mono(), o.ch, o.now
	if !o.done {
		if now, err = c.catchUp(s, ch); err != nil {
			return errors.Join(err, ch.journal.close())
		}
	}
	notes, err := c.reconcile(s, ch, o.there, now)
	if err != nil {
		return errors.Join(err, ch.journal.close())
	}
	c.mu.Lock()
	ch.state, ch.notes, ch.pinned = now, append(notes, ch.notes...), max(ch.pinned, now.Pins)
	c.mu.Unlock()
	ch.ready.Store(true)
	if now.Born {
		c.log.Debug("catalog", "channel", ch.Name, "segments", now.Segments, "bytes", now.Bytes, "took", o.took+time.Duration(c.cfg.Clock.Mono()-began))
	}
	return nil
}

// reconcile puts a channel in order with its files, once in a program: later they are its own
// recorder's, which writes to them.
func (c *Catalog) reconcile(s *store, ch *channel, there folder, now state) (notes []line, err error) {
	if ch.settled {
		return nil, nil
	}
	r := reconciler{catalog: c, ch: ch, there: there, state: now, late: c.opened}
	err = s.view(func(tx *bolt.Tx) error {
		b := channelBucket(tx, ch.Name)
		if b == nil {
			return errDamaged
		}
		return r.look(b)
	})
	if err == nil {
		notes, err = r.settle(s)
	}
	ch.settled = err == nil
	return notes, err
}

// known is what the database knows of a channel, and whether that is all that the journal has.
func known(tx *bolt.Tx, ch *channel) (now state, all bool, err error) {
	b := channelBucket(tx, ch.Name)
	if b == nil {
		return now, false, nil
	}
	err = getState(b, &now)
	return now, err == nil && now.At == ch.journal.at, err
}

// little is how far a journal may be ahead to be taken in together with others.
const little = 64 << 10

// catchUpTogether takes into the database what the journals of many channels have more than it, where
// that is little: a program's first start, or one after a kill. A transaction costs two syncs of the disk, which
// may be slow. Where it fails each channel goes alone, and says why.
func (c *Catalog) catchUpTogether(s *store, all []*opening) {
	var late []*opening
	if s.view(func(tx *bolt.Tx) error {
		for _, o := range all {
			now, same, err := known(tx, o.ch)
			if err != nil {
				continue
			}
			at := o.ch.journal.at
			if o.now, o.done = now, same; !same && (at == position{} || at.Piece == max(now.At.Piece, 1) && at.Offset-now.At.Offset <= little) {
				late = append(late, o)
			}
		}
		return nil
	}) != nil || len(late) < 2 {
		return
	}
	states := make([]state, len(late))
	if s.update(func(tx *bolt.Tx) (err error) {
		for i, o := range late {
			if states[i], err = c.fold(tx, o.ch, position{}, nil); err != nil {
				return err
			}
		}
		return nil
	}) != nil {
		return
	}
	for i, o := range late {
		o.now, o.done = states[i], true
	}
}

// catchUp takes into the database what the journal has more than it; mostly that is nothing.
func (c *Catalog) catchUp(s *store, ch *channel) (now state, err error) {
	same := false
	err = s.view(func(tx *bolt.Tx) (err error) {
		now, same, err = known(tx, ch)
		return err
	})
	if err != nil || same {
		return now, err
	}
	err = s.update(func(tx *bolt.Tx) error {
		now, err = c.fold(tx, ch, position{}, nil)
		return err
	})
	return now, err
}

// closeFiles ends the journals.
func (c *Catalog) closeFiles(err error) error {
	for _, ch := range c.order {
		if ch.journal != nil {
			err = errors.Join(err, ch.journal.close())
		}
	}
	return err
}

func joinClose(err error, s *store) error { return errors.Join(err, s.close()) }

// trouble says once what is wrong, and once that it is over.
type trouble struct {
	mu   sync.Mutex
	kind string
	text string
}

// now is what is wrong; empty: nothing.
func (t *trouble) now() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text
}

// turn takes in what is wrong, and says whether that is another thing than before.
func (t *trouble) turn(kind, text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	news := kind != t.kind
	t.kind, t.text = kind, text
	return news
}

func (t *trouble) say(log *slog.Logger, err error) {
	switch {
	case err == nil:
		if t.turn("", "") {
			log.Info("the catalog is written again")
		}
	case t.turn(kind(err), err.Error()):
		log.Error("the catalog cannot be written; what is entered is kept and tried again", "cause", err.Error())
	}
}

// kind is what of an error stays the same from one try to the next.
func kind(err error) string {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err.Error()
	}
	return err.Error()
}
