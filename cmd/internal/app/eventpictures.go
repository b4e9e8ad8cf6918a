package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/event"
	"github.com/millrace-video/millrace/stages/snapshot"
)

// photographer takes a picture of a channel.
type photographer interface {
	Snapshot(ctx context.Context, channel string, width int) (snapshot.Snapshot, error)
}

const (
	pictureWorkers = 2
	pictureTimeout = 5 * time.Second // for taking one: nobody waits longer for its file (C8)
	maxAsked       = 256             // pictures of all channels that wait to be taken
	maxPictures    = 32              // of one channel without a result
	maxPicture     = 8 << 20         // bytes
	minPicture     = 2<<10 + 1       // bytes; what is smaller counts as not written yet (C8)
	jpegExt        = ".jpg"
	partExt        = ".part"
)

// eventCamera takes the pictures of all channels' events.
type eventCamera struct {
	from  photographer
	clock *hal.Clock
	log   *slog.Logger
	asked chan func(context.Context)
}

// run takes pictures until ctx is done.
func (c *eventCamera) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case take := <-c.asked:
			take(ctx)
		}
	}
}

// rest returns when all that was asked for before has been taken, or ctx is done.
func (c *eventCamera) rest(ctx context.Context) {
	var here atomic.Int32
	all := make(chan struct{})
	for range pictureWorkers { // each worker takes one, and waits there for the others
		select {
		case c.asked <- func(context.Context) {
			if here.Add(1) == pictureWorkers {
				close(all)
			}
			wait(ctx, all)
		}:
		case <-ctx.Done():
			return
		}
	}
	wait(ctx, all)
}

func wait(ctx context.Context, until <-chan struct{}) {
	select {
	case <-until:
	case <-ctx.Done():
	}
}

// eventPictures are the files of one channel's pictures, in a folder of their own: each is there
// until its result.
type eventPictures struct {
	camera  *eventCamera
	channel string
	folder  string
	width   int

	mu   sync.Mutex
	open map[string]pictureEnd // those without a result, by path
}

// pictureEnd is what became of a picture's upload.
type pictureEnd struct{ url, cause string }

// clean makes the folder and removes what a run before left there.
func (e *eventPictures) clean() error {
	if err := os.MkdirAll(e.folder, 0o750); err != nil {
		return fmt.Errorf("the folder of event pictures: %w", err)
	}
	files, err := os.ReadDir(e.folder)
	if err != nil {
		return fmt.Errorf("the folder of event pictures: %w", err)
	}
	for _, f := range files {
		if name := f.Name(); strings.HasPrefix(name, "event-") && strings.HasSuffix(strings.TrimSuffix(name, partExt), jpegExt) {
			err = errors.Join(err, os.Remove(filepath.Join(e.folder, name)))
		}
	}
	return err
}

// capture has a picture taken and returns where it will lie, "" where too many are under way.
func (e *eventPictures) capture(p event.Picture) string {
	path := filepath.Join(e.folder, objectName(p.Event, e.camera.clock.Now(), p.Source, jpegExt))
	if !e.admit(path) {
		e.camera.log.Warn("an event has no picture: too many wait for the store", "channel", e.channel, "event", p.Event, "source", p.Source.String())
		return ""
	}
	select {
	case e.camera.asked <- func(ctx context.Context) { e.take(ctx, p, path) }:
		return path
	default:
	}
	e.forget(path)
	e.camera.log.Warn("an event has no picture: too many wait to be taken", "channel", e.channel, "event", p.Event, "source", p.Source.String())
	return ""
}

func (e *eventPictures) admit(path string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, twice := e.open[path]; twice || len(e.open) >= maxPictures {
		return false
	}
	e.open[path] = pictureEnd{}
	return true
}

// forget returns what became of a picture.
func (e *eventPictures) forget(path string) pictureEnd {
	e.mu.Lock()
	defer e.mu.Unlock()
	end := e.open[path]
	delete(e.open, path)
	return end
}

// note keeps what became of an upload until the picture's result.
func (e *eventPictures) note(path string, end pictureEnd) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, open := e.open[path]; open {
		e.open[path] = end
	}
}

func (e *eventPictures) waits(path string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, open := e.open[path]
	return open
}

// take takes a picture. Its file appears whole, or not at all.
func (e *eventPictures) take(ctx context.Context, p event.Picture, path string) {
	if !e.waits(path) {
		return // it has its result
	}
	err := e.write(ctx, path)
	if err == nil && !e.waits(path) {
		err = e.remove(path) // its result came meanwhile
	}
	if err != nil {
		e.camera.log.Warn("an event's picture cannot be taken", "channel", e.channel, "event", p.Event, "source", p.Source.String(), "cause", err.Error())
	}
}

func (e *eventPictures) write(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, pictureTimeout, fmt.Errorf("no picture came within %s", pictureTimeout))
	defer cancel()
	shot, err := e.camera.from.Snapshot(ctx, e.channel, e.width)
	switch {
	case err != nil:
		return err
	case shot.ContentType != "image/jpeg":
		return fmt.Errorf("the key frame is not decoded, so there is no JPEG: %s", shot.Cause)
	case len(shot.Data) > maxPicture:
		return fmt.Errorf("it has %d bytes: at most %d", len(shot.Data), maxPicture)
	}
	if err := os.WriteFile(path+partExt, fill(shot.Data), 0o640); err != nil { //nolint:gosec // as the store's own files
		return errors.Join(err, e.remove(path+partExt))
	}
	return os.Rename(path+partExt, path)
}

func (e *eventPictures) remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// fill returns a JPEG that is large enough to count as written: a small one gets a comment
// behind its first marker (ITU-T T.81, B.2.4.5).
func fill(jpeg []byte) []byte {
	missing := minPicture - len(jpeg)
	if missing <= 0 || len(jpeg) < 2 {
		return jpeg
	}
	length := max(missing-2, 2) // counts itself, not the marker
	out := append(make([]byte, 0, minPicture+4), jpeg[:2]...)
	out = append(out, 0xFF, 0xFE, byte(length>>8), byte(length))
	out = append(out, bytes.Repeat([]byte{' '}, length-2)...)
	return append(out, jpeg[2:]...)
}
