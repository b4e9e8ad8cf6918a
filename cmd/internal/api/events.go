package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/millrace-video/millrace/stages/event"
)

// Events is the event handling that the API shows and triggers.
type Events interface {
	// Trigger says that something happened in a channel at that time, ms since 1970 in UTC; nil: now.
	Trigger(channel string, set uint32, at *int64) error
	// Events returns what is going on in a channel, and what was of late.
	Events(channel string) (ChannelEvents, error)
}

// ChannelEvents is the answer to GET and POST /v1/channels/{name}/events.
type ChannelEvents struct {
	Channel string       `json:"channel"`
	Status  event.Status `json:"status"`
	Recent  []EventLine  `json:"recent"` // the newest first
}

// EventLine is a line of the journal of events: a message, a recording that is over, or a
// picture's result.
type EventLine struct {
	Kind   string `json:"kind"`
	Event  uint64 `json:"event"`
	Source string `json:"source,omitempty"`
	At     int64  `json:"at_ms,omitempty"`   // as the trigger named it
	Time   int64  `json:"time_ms,omitempty"` // as far as that is believed
	Opens  bool   `json:"opens,omitempty"`
	Part   int    `json:"part,omitempty"`
	From   int64  `json:"from_ms,omitempty"`
	To     int64  `json:"to_ms,omitempty"`
	Code   *int   `json:"code,omitempty"` // as C8 has it; nil: it is no picture
	Result string `json:"result,omitempty"`
	URL    string `json:"url,omitempty"`   // without credentials
	Cause  string `json:"cause,omitempty"` // why the store does not have it
}

// The kinds of a line.
const (
	EventMessage   = "message"
	EventRecording = "recording"
	EventPicture   = "picture"
)

// trigger is the body of a POST.
type trigger struct {
	Type json.RawMessage `json:"type"`
	At   *int64          `json:"at"`
}

const triggerHint = `send {"type": "motion"}, with person, sound, linkage, user-16 to user-31 or a bit's number instead, and "at": ms since 1970 in UTC if it was not now`

func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	if c := h.find(w, r); c != nil {
		h.answerEvents(w, c.Name())
	}
}

func (h *handler) answerEvents(w http.ResponseWriter, channel string) {
	var answer ChannelEvents
	var err error
	if h.cfg.Events != nil {
		answer, err = h.cfg.Events.Events(channel)
	}
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error(), "the cause is in the message")
		return
	}
	answer.Channel = channel
	if answer.Recent == nil {
		answer.Recent = []EventLine{}
	}
	write(w, http.StatusOK, answer)
}

func (h *handler) trigger(w http.ResponseWriter, r *http.Request) {
	c := h.find(w, r)
	if c == nil {
		return
	}
	var t trigger
	body := json.NewDecoder(r.Body)
	body.DisallowUnknownFields()
	if err := body.Decode(&t); err != nil || body.More() {
		refuse(w, http.StatusBadRequest, "the body is no trigger", triggerHint)
		return
	}
	source, err := event.ParseSource(strings.Trim(string(t.Type), `"`))
	if err != nil {
		refuse(w, http.StatusBadRequest, "type: "+err.Error(), triggerHint)
		return
	}
	err = event.ErrNotRunning
	if h.cfg.Events != nil {
		err = h.cfg.Events.Trigger(c.Name(), source.Bit(), t.At)
	}
	switch {
	case err == nil:
		h.answerEvents(w, c.Name())
	case errors.Is(err, event.ErrFull):
		refuse(w, http.StatusConflict, err.Error(), "wait until one is done, or allow more with events.waiting")
	case errors.Is(err, event.ErrOff), errors.Is(err, event.ErrNotRunning), errors.Is(err, event.ErrExiting):
		refuse(w, http.StatusConflict, err.Error(), "events.enabled in the configuration has the channel take triggers")
	default:
		refuse(w, http.StatusInternalServerError, err.Error(), "the cause is in the message")
	}
}
