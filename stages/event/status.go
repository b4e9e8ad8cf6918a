package event

// Status is what a channel's event handling is doing (C4).
type Status struct {
	Initialising bool `json:"initialising"`
	Event        bool `json:"event"`     // the service is on
	Picture      bool `json:"picture"`   // the service is on
	Creating     bool `json:"creating"`  // an event: messages or pictures of one go up
	Uploading    bool `json:"uploading"` // event video: some waits
	Recording    bool `json:"recording"`
	Open         bool `json:"open"` // an event takes triggers
	Exiting      bool `json:"exiting"`

	Fired    []Source `json:"fired,omitempty"` // in the open event
	Last     uint64   `json:"last"`            // the number of the last event
	Waiting  int      `json:"waiting"`         // events whose video is on its way
	Messages int      `json:"messages"`        // under way
	Pictures int      `json:"pictures"`        // without a result
	Counters Counters `json:"counters"`
}

// Counters count since Init.
type Counters struct {
	Triggers uint64    `json:"triggers"` // taken
	Refused  uint64    `json:"refused"`
	Events   uint64    `json:"events"`
	Messages uint64    `json:"messages"`
	Lost     uint64    `json:"lost"`     // messages
	Unstored uint64    `json:"unstored"` // windows whose video is lost
	Pictures uint64    `json:"pictures"` // that an application took
	Results  [4]uint64 `json:"results"`  // by code
}

// Left is what a forced exit left behind.
type Left struct {
	Messages int      `json:"messages"`
	Pictures []string `json:"pictures"` // their results say TimedOut
	Windows  int      `json:"windows"`  // whose video is not where it belongs
}

// Any says whether anything was left.
func (l Left) Any() bool { return l.Messages+len(l.Pictures)+l.Windows > 0 }
