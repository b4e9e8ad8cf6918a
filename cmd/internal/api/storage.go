package api

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/cmd/internal/playback"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/cloud"
	"github.com/millrace-video/millrace/stages/record"
)

// Storage is what was recorded. *catalog.Catalog is one.
type Storage interface {
	Timeline(channel string, from, to time.Time) (catalog.Timeline, error)
	Account(t catalog.Timeline) catalog.Account
	Usage() (catalog.Usage, error)
}

// Timeline is the answer to GET /v1/channels/{name}/timeline.
type Timeline struct {
	Channel  string    `json:"channel"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Segments []Segment `json:"segments"`
	Gaps     []Gap     `json:"gaps"`
	Account  Account   `json:"account"`
	// NotStored is what was given up for the store (C3), recorded here or not.
	NotStored []cloud.Lost `json:"not_stored,omitempty"`
}

// Segment is a file that can be played.
type Segment struct {
	Number    uint64    `json:"number"`
	Recording uint64    `json:"recording"`
	File      string    `json:"file"`
	Start     time.Time `json:"start"`
	Length    float64   `json:"length_s"`
	Bytes     int64     `json:"bytes"`
	Tracks    []string  `json:"tracks"`
	EndedBy   string    `json:"ended_by,omitempty"`
	Open      bool      `json:"open,omitempty"`
	Pinned    bool      `json:"pinned,omitempty"`
}

// Gap is a time of which nothing was recorded.
type Gap struct {
	After   uint64       `json:"after"`
	From    time.Time    `json:"from"`
	To      time.Time    `json:"to"`
	Length  float64      `json:"length_s"`
	Cause   record.Cause `json:"cause"`
	Detail  string       `json:"detail,omitempty"`
	Unknown bool         `json:"unknown,omitempty"`
	Open    bool         `json:"open,omitempty"`
}

// Account is where the time went that the segments and gaps of an answer cover.
type Account struct {
	Elapsed     float64                  `json:"elapsed_s"`
	Recorded    float64                  `json:"recorded_s"`
	Missing     map[record.Cause]float64 `json:"missing_s"`
	Unaccounted float64                  `json:"unaccounted_s"`
	Unknown     int                      `json:"unknown_gaps"`
}

// mostOfATimeline is how much may be asked for at once.
const mostOfATimeline = 31 * 24 * time.Hour

func (h *handler) timeline(w http.ResponseWriter, r *http.Request) {
	from, to, wrong := span(r)
	if wrong != "" {
		refuse(w, http.StatusBadRequest, wrong, "from and to are RFC 3339, such as 2026-03-01T12:00:00Z, seconds since 1970, or relative to now, such as -10m; to comes after from, at most 31 days")
		return
	}
	if h.cfg.Storage == nil {
		h.noStorage(w, catalog.ErrUnavailable)
		return
	}
	line, err := h.cfg.Storage.Timeline(r.PathValue("name"), from, to)
	if err != nil {
		h.noStorage(w, err)
		return
	}
	answer := TimelineOf(line, from, to, h.cfg.Storage.Account(line))
	if h.cfg.Clouds != nil {
		if answer.NotStored, err = h.cfg.Clouds.Lost(answer.Channel, from, to); err != nil {
			h.cfg.Logger.Error("a time line without what the store lacks", "channel", answer.Channel, "cause", err.Error())
		}
	}
	write(w, http.StatusOK, answer)
}

// TimelineOf is the answer to who asks for a time line.
func TimelineOf(line catalog.Timeline, from, to time.Time, sum catalog.Account) Timeline {
	answer := Timeline{Channel: line.Channel, From: from.UTC(), To: to.UTC(), Segments: []Segment{}, Gaps: []Gap{}, Account: account(sum)}
	for _, s := range line.Segments {
		if s.Tracks == nil {
			s.Tracks = []string{}
		}
		answer.Segments = append(answer.Segments, Segment{
			Number: s.Number, Recording: s.Recording, File: s.File, Start: s.Start.Time(), Length: s.Length.Seconds(), Bytes: s.Bytes,
			Tracks: s.Tracks, EndedBy: s.EndedBy, Open: s.Open, Pinned: s.Pinned,
		})
	}
	for _, g := range line.Gaps {
		answer.Gaps = append(answer.Gaps, Gap{
			After: g.After, From: g.From.Time(), To: g.To.Time(), Length: g.Length.Seconds(), Cause: g.Cause, Detail: g.Detail,
			Unknown: g.Unknown, Open: g.Open,
		})
	}
	return answer
}

func account(a catalog.Account) Account {
	missing := make(map[record.Cause]float64, len(a.Missing))
	for cause, d := range a.Missing {
		missing[cause] = d.Seconds()
	}
	return Account{Elapsed: a.Elapsed.Seconds(), Recorded: a.Recorded.Seconds(), Missing: missing, Unaccounted: a.Unaccounted.Seconds(), Unknown: a.Unknown}
}

// span reads what stretch of time is asked for, or says what is wrong with it.
func span(r *http.Request) (from, to time.Time, wrong string) {
	for _, one := range []struct {
		name string
		to   *time.Time
	}{{"from", &from}, {"to", &to}} {
		text := r.URL.Query().Get(one.name)
		if text == "" {
			return from, to, one.name + " is missing"
		}
		t, err := playback.Instant(one.name, text, hal.NewClock().Now())
		if err != nil {
			return from, to, one.name + " is no time: " + strconv.Quote(text[:min(len(text), 60)])
		}
		*one.to = t
	}
	switch d := to.Sub(from); {
	case d <= 0:
		return from, to, "to does not come after from"
	case d > mostOfATimeline:
		return from, to, "from and to are more than 31 days apart"
	}
	return from, to, ""
}

func (h *handler) disk(w http.ResponseWriter, _ *http.Request) {
	if h.cfg.Storage == nil {
		h.noStorage(w, catalog.ErrUnavailable)
		return
	}
	usage, err := h.cfg.Storage.Usage()
	if err != nil && usage.Trouble == "" {
		h.noStorage(w, err)
		return
	}
	write(w, http.StatusOK, usage)
}

// noStorage says why what was recorded cannot be told.
func (h *handler) noStorage(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, catalog.ErrNoChannel):
		refuse(w, http.StatusNotFound, err.Error(), "GET /v1/channels lists the channels; nothing is recorded of one whose record.enabled is false")
	case errors.Is(err, catalog.ErrUnavailable):
		refuse(w, http.StatusServiceUnavailable, err.Error(), "its disk may be gone or full; GET /v1/disk and the log say more; it is tried again by itself")
	default:
		h.cfg.Logger.Error("the catalog cannot be read", "cause", err.Error())
		refuse(w, http.StatusInternalServerError, err.Error(), "see the log; millrace catalog rebuild makes the catalog anew")
	}
}
