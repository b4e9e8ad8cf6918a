package api

import (
	"net/http"
	"time"

	"github.com/millrace-video/millrace/stages/cloud"
)

// Clouds is the cloud storage of the channels' streams.
type Clouds interface {
	Clouds() cloud.Status
	Serve(channel string, n cloud.Notice) error
	// Lost returns what was given up of a stretch of time and is not in the store.
	Lost(channel string, from, to time.Time) ([]cloud.Lost, error)
}

const noCloud = "give a channel cloud: {full_time: true} in the configuration"

func (h *handler) clouds(w http.ResponseWriter, _ *http.Request) {
	if h.cfg.Clouds == nil {
		refuse(w, http.StatusNotFound, "there is no cloud storage", noCloud)
		return
	}
	write(w, http.StatusOK, h.cfg.Clouds.Clouds())
}

// serve switches a service of a channel; an expiry is passed on (C5).
func (h *handler) serve(on bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := h.find(w, r)
		if c == nil {
			return
		}
		service, err := cloud.ParseService(r.PathValue("service"))
		if err != nil {
			refuse(w, http.StatusNotFound, err.Error(), "POST /v1/channels/"+c.Name()+"/cloud/full-time/start")
			return
		}
		n := cloud.Notice{Service: service, On: on}
		if text := r.URL.Query().Get("expires"); text != "" {
			if n.Expires, err = time.Parse(time.RFC3339, text); err != nil {
				refuse(w, http.StatusBadRequest, "expires is no time", "such as 2027-01-31T00:00:00Z")
				return
			}
		}
		if h.cfg.Clouds == nil {
			refuse(w, http.StatusNotFound, "there is no cloud storage", noCloud)
			return
		}
		if err := h.cfg.Clouds.Serve(c.Name(), n); err != nil {
			refuse(w, http.StatusConflict, err.Error(), noCloud)
			return
		}
		write(w, http.StatusOK, h.cfg.Clouds.Clouds())
	}
}
