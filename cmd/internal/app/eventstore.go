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
	"github.com/millrace-video/millrace/stages/event"
	"github.com/millrace-video/millrace/stages/upload"
)

// eventStore brings the messages and pictures of one channel's events to the store.
type eventStore struct {
	channel  string
	up       *upload.Uploader
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

// send stores a message and calls sent once.
func (s *eventStore) send(ctx context.Context, m event.Message, line api.EventLine, sent func(error)) {
	text, err := json.Marshal(eventObject{Channel: s.channel, EventLine: line})
	if err != nil {
		sent(err)
		return
	}
	at := time.UnixMilli(m.Time.UTC)
	s.put(ctx, upload.Object{
		Key: s.key(objectName(m.Event, at, m.Source, ".json")), ContentType: "application/json", Body: upload.Bytes(append(text, '\n')), Time: at,
	}, func(r upload.Result) { sent(r.Err) })
}

// put uploads an object until ctx is done, and calls done once.
func (s *eventStore) put(ctx context.Context, o upload.Object, done func(upload.Result)) {
	o.Class = upload.Event
	group := s.up.Submit(o)
	stop := context.AfterFunc(ctx, group.Cancel)
	group.Then(func(all []upload.Result) {
		stop()
		done(all[0])
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
	s.put(ctx, upload.Object{
		Key: s.key(info.Name()), ContentType: "image/jpeg", Body: io.NewSectionReader(f, 0, info.Size()), Time: info.ModTime(), Spooled: true,
	}, func(r upload.Result) {
		err := f.Close()
		end := pictureEnd{url: r.URL}
		if r.Err != nil {
			end.cause = r.Err.Error()
			err = errors.New(end.cause) // what the store misses is not the file
		}
		s.pictures.note(p.Path, end)
		done(err)
	})
}
