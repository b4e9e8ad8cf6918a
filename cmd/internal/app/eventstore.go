package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/stages/cloud"
	"github.com/millrace-video/millrace/stages/event"
	"github.com/millrace-video/millrace/stages/upload"
)

// eventStore brings the messages and pictures of one channel's events to the store.
type eventStore struct {
	channel  string
	to       *cloud.Channel
	store    upload.Store
	unless   string         // why a picture is not in the store, unless another reason is known
	pictures *eventPictures // nil: the channel has no snapshots
	begins   bool           // pictures are on from the start
	follows  bool           // they go along with the cloud's event service; else the configuration says what is on
	on       atomic.Bool    // messages are
}

var _ event.Uploader = (*eventStore)(nil)

// eventObject is a message's object in the store.
type eventObject struct {
	Channel string `json:"channel"`
	api.EventLine
}

const objectStamp = "20060102T150405.000Z"

// objectName is the name of an event's object: a source makes one message, and asks for one
// picture, in an event.
func objectName(number uint64, at time.Time, source event.Source, ext string) string {
	return fmt.Sprintf("event-%d-%s-%s%s", number, at.UTC().Format(objectStamp), source, ext)
}

// key is where an object lies: beside the playlists of the channel's events.
func (s *eventStore) key(name string) string { return s.channel + "/events/" + name }

// send stores a message and calls sent once. One that waits in the spool when ctx ends is not lost.
func (s *eventStore) send(ctx context.Context, m event.Message, line api.EventLine, sent func(error)) {
	text, err := json.Marshal(eventObject{Channel: s.channel, EventLine: line})
	if err != nil {
		sent(err)
		return
	}
	name := objectName(m.Event, time.UnixMilli(m.Time.UTC), m.Source, ".json")
	s.to.Post(ctx, cloud.Letter{Name: name, Body: upload.Bytes(append(text, '\n'))}, func(err error) {
		if errors.Is(err, cloud.ErrSpooled) {
			err = nil
		}
		sent(err)
	})
}

// Upload implements event.Uploader.
func (s *eventStore) Upload(ctx context.Context, p event.Picture, done func(error)) {
	f, err := os.Open(p.Path)
	if err != nil {
		s.pictures.note(p.Path, pictureEnd{cause: err.Error()})
		done(err)
		return
	}
	info, err := f.Stat()
	if err != nil {
		s.pictures.note(p.Path, pictureEnd{cause: err.Error()})
		done(errors.Join(err, f.Close()))
		return
	}
	s.pictures.note(p.Path, pictureEnd{cause: s.unless})
	s.to.Post(ctx, cloud.Letter{Name: info.Name(), Body: io.NewSectionReader(f, 0, info.Size())}, func(posted error) {
		end := pictureEnd{}
		err := f.Close()
		if posted == nil {
			var unknown error
			end.url, unknown = s.store.Presign(context.WithoutCancel(ctx), s.key(info.Name()), 0)
			err = errors.Join(err, unknown)
		} else {
			end.cause = posted.Error()
			err = errors.New(end.cause) // what the store misses is not the file
		}
		s.pictures.note(p.Path, end)
		done(err)
	})
}
