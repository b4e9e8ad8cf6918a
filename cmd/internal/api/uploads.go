package api

import (
	"net/http"

	"github.com/millrace-video/millrace/stages/upload"
)

// Uploads is what the API shows of what leaves the machine.
type Uploads interface {
	// Frames returns a channel's latest pictures with their results, and false where its
	// pictures do not go up.
	Frames(channel string) ([]upload.FrameResult, bool)
	Status() UploadStatus
}

// UploadStatus is the answer to GET /v1/uploads.
type UploadStatus struct {
	Store    upload.Health      `json:"store"`
	Uploader upload.Stats       `json:"uploader"`
	Uplink   upload.UplinkStats `json:"uplink"`
}

// Frames is the answer to GET /v1/channels/{name}/frames.
type Frames struct {
	Frames []upload.FrameResult `json:"frames"`
}

func (h *handler) frames(w http.ResponseWriter, r *http.Request) {
	c := h.find(w, r)
	if c == nil {
		return
	}
	if h.cfg.Uploads != nil {
		if all, ok := h.cfg.Uploads.Frames(c.Name()); ok {
			write(w, http.StatusOK, Frames{all})
			return
		}
	}
	refuse(w, http.StatusNotFound, "channel "+c.Name()+" uploads no frames", "give it frames: {per_second: 1} in the configuration")
}

func (h *handler) uploads(w http.ResponseWriter, _ *http.Request) {
	if h.cfg.Uploads == nil {
		refuse(w, http.StatusNotFound, "nothing is uploaded", "give a channel frames: {per_second: 1} in the configuration")
		return
	}
	write(w, http.StatusOK, h.cfg.Uploads.Status())
}
