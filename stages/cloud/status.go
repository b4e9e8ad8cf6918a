package cloud

import "time"

// Status is what all channels' cloud storage does, what waits and why (C4).
type Status struct {
	State      string          `json:"state"` // not initialised, initialising, running, exiting, exited
	Spool      bool            `json:"spool"`
	Spooled    int64           `json:"spooled_bytes"`
	SpoolBytes int64           `json:"spool_max_bytes,omitempty"`
	Running    int             `json:"running"` // uploads under way
	Cause      string          `json:"cause,omitempty"`
	Since      *time.Time      `json:"since,omitempty"` // of the cause
	Channels   []ChannelStatus `json:"channels"`
}

// ChannelStatus is one channel's part.
type ChannelStatus struct {
	Channel string `json:"channel"`

	FullTime        ServiceStatus `json:"full_time"`
	Event           ServiceStatus `json:"event"`
	UploadFullTime  bool          `json:"uploading_full_time"`
	UploadEvent     bool          `json:"uploading_event"` // the waiting list of event video is not empty
	Waiting         int           `json:"waiting"`         // packages
	WaitingBytes    int64         `json:"waiting_bytes"`
	Live            int           `json:"live"`    // of them of the present
	Backlog         int           `json:"backlog"` // the others
	Oldest          *time.Time    `json:"oldest,omitempty"`
	Why             string        `json:"why,omitempty"`
	SetSize         int64         `json:"package_bytes"`
	Measured        bool          `json:"package_measured"`
	WaitingForLists int           `json:"playlists_waiting"`
	WaitingLetters  int           `json:"letters_waiting"` // messages and pictures of events
	Lost            []Lost        `json:"lost"`            // the latest

	ChannelStats
}

// ServiceStatus is a service of a channel.
type ServiceStatus struct {
	On      bool       `json:"on"`
	Expires *time.Time `json:"expires,omitempty"`
}

func (p phase) String() string {
	return [...]string{"not initialised", "initialising", "running", "exiting", "exited"}[p]
}

// Status returns what is going on.
func (c *Cloud) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{State: c.phase.String(), Spool: c.cfg.Spool, Spooled: c.spooled, Running: c.live + c.back + c.posting, Cause: c.cause, Channels: []ChannelStatus{}}
	if c.cfg.Spool {
		s.SpoolBytes = c.cfg.SpoolBytes
	}
	if c.cause != "" {
		since := c.since
		s.Since = &since
	}
	for _, ch := range c.channels {
		s.Channels = append(s.Channels, ch.status())
	}
	return s
}

// Status returns what is going on with the channel.
func (ch *Channel) Status() ChannelStatus {
	ch.cloud.mu.Lock()
	defer ch.cloud.mu.Unlock()
	return ch.status()
}

// add counts a package that waits or goes up.
func (s *ChannelStatus) add(p *pkg, now int64) {
	s.Waiting++
	s.WaitingBytes += p.size
	if s.Oldest == nil || p.start.Before(*s.Oldest) {
		s.Oldest = &p.start
	}
	if p.live(now) {
		s.Live++
	} else {
		s.Backlog++
	}
	s.UploadEvent = s.UploadEvent || p.event
	s.UploadFullTime = s.UploadFullTime || p.full
}

// status is Status for who holds mu.
func (ch *Channel) status() ChannelStatus {
	c := ch.cloud
	s := ChannelStatus{
		Channel: ch.name, ChannelStats: ch.figures, SetSize: ch.size(), Measured: ch.cfg.Bytes == 0,
		Lost: append([]Lost{}, ch.losses...), WaitingLetters: len(ch.letters),
	}
	for i, to := range []*ServiceStatus{&s.FullTime, &s.Event} {
		to.On = ch.on[i]
		if at := ch.expires[i]; !at.IsZero() {
			to.Expires = &at
		}
	}
	now := c.clock.Mono()
	for _, all := range [][]*pkg{ch.under, ch.waiting} {
		for _, p := range all {
			s.add(p, now)
		}
	}
	for _, l := range ch.lists {
		if l.dirty || l.flying {
			s.WaitingForLists++
		}
	}
	switch {
	case s.Waiting+s.WaitingLetters == 0:
	case c.cause != "":
		s.Why = c.cause
	case s.Backlog > 0 && len(ch.waiting) > 0:
		s.Why = "behind what is more recent, and the link"
	case len(ch.waiting)+len(ch.letters) > 0:
		s.Why = "its turn"
	}
	return s
}
