package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/snapshot"
)

// Snapshots makes pictures of channels.
type Snapshots interface {
	Snapshot(ctx context.Context, channel string, width int) (snapshot.Snapshot, error)
	Status() SnapshotStatus
}

// SnapshotStatus is the answer to GET /v1/snapshots.
type SnapshotStatus struct {
	Made     snapshot.Stats           `json:"made"`
	Receiver string                   `json:"receiver,omitempty"` // store, or a URL without its secrets
	Schedule *snapshot.SchedulerStats `json:"schedule,omitempty"` // where there is a receiver
}

func (h *handler) snapshot(w http.ResponseWriter, r *http.Request) {
	c := h.find(w, r)
	if c == nil {
		return
	}
	width, err := snapshotWidth(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error(), "ask for ?width=640, or for none to have the picture as it comes")
		return
	}
	if h.cfg.Snapshots == nil {
		h.noSnapshot(w, c.Name(), fmt.Errorf("channel %q: %w", c.Name(), snapshot.ErrNoChannel))
		return
	}
	if s := c.Status(); s.State != pipeline.Running.String() && s.State != pipeline.Degraded.String() {
		refuse(w, http.StatusConflict, fmt.Sprintf("channel %s is %s%s", c.Name(), s.State, why(s)), "a snapshot is of a channel that runs: millrace channel list tells more")
		return
	}
	got, err := h.cfg.Snapshots.Snapshot(r.Context(), c.Name(), width)
	if err != nil {
		h.noSnapshot(w, c.Name(), err)
		return
	}
	head := w.Header()
	head.Set("Content-Type", got.ContentType)
	head.Set("Content-Length", strconv.Itoa(len(got.Data)))
	head.Set("Last-Modified", got.Time.UTC().Format(http.TimeFormat))
	head.Set("Millrace-Time", got.Time.UTC().Format(time.RFC3339Nano))
	head.Set("Millrace-Way", string(got.Way))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(got.Data) //nolint:errcheck // a client that has gone needs no answer
}

// snapshotWidth reads ?width=.
func snapshotWidth(r *http.Request) (int, error) {
	text := r.URL.Query().Get("width")
	if text == "" {
		return 0, nil
	}
	width, err := strconv.Atoi(text)
	if err != nil || width == 0 {
		return 0, fmt.Errorf("width %.20q: a whole number from %d to %d", text, snapshot.MinWidth, snapshot.MaxWidth)
	}
	return width, snapshot.CheckWidth(width)
}

// why is what keeps a channel from running: of the sources that failed the first, else the
// channel's own cause.
func why(s pipeline.Status) string {
	for _, src := range s.Sources {
		if s.State == pipeline.Waiting.String() && src.Cause != "" {
			return ": " + src.Cause
		}
	}
	if s.Cause != "" {
		return ": " + s.Cause
	}
	return ""
}

func (h *handler) noSnapshot(w http.ResponseWriter, channel string, err error) {
	switch {
	case errors.Is(err, snapshot.ErrNoChannel):
		refuse(w, http.StatusConflict, err.Error(), "set snapshot.enabled of the channel to true and start millrace again")
	case errors.Is(err, snapshot.ErrNoPictures):
		refuse(w, http.StatusConflict, err.Error(), "a source with pictures has snapshots")
	case errors.Is(err, snapshot.ErrNoKeyFrame):
		refuse(w, http.StatusGatewayTimeout, err.Error(), "key frames are farther apart than that, or larger than engine.replay: let the camera send one every few seconds")
	case errors.Is(err, snapshot.ErrBusy):
		refuse(w, http.StatusServiceUnavailable, err.Error(), "ask again in a while")
	case errors.Is(err, context.Canceled): // who asked has gone
	default:
		h.cfg.Logger.Warn("no snapshot", "channel", channel, "cause", err.Error())
		refuse(w, http.StatusInternalServerError, err.Error(), "the cause is in the message")
	}
}

func (h *handler) snapshots(w http.ResponseWriter, _ *http.Request) {
	if h.cfg.Snapshots == nil {
		refuse(w, http.StatusNotFound, "no snapshots are made here", "")
		return
	}
	write(w, http.StatusOK, h.cfg.Snapshots.Status())
}
