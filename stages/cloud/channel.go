package cloud

import (
	"fmt"
	"slices"
	"time"

	"github.com/millrace-video/millrace/pipeline"
)

// Channel is one channel's part of a Cloud: its services, and the packages on their way. Its
// methods may be called from anywhere.
type Channel struct {
	cloud *Cloud
	name  string
	root  string // of its keys
	cfg   ChannelConfig
	disk  *disk // nil: nothing outlives the process

	// The branch's worker's own, and Init's.
	next  uint64 // number
	hour  hour
	sizes []int64 // of the latest packages
	noted string  // the folder that is noted on disk

	// The Cloud's mu guards what follows.
	on       [2]bool
	expires  [2]time.Time
	env      pipeline.Env
	running  bool
	waiting  []*pkg // by number
	recent   []*pkg // by number, for events that begin before their trigger
	inflight int
	under    []*pkg // whose attempt is under way
	reached  int64  // Mono up to which packages were made
	measured int64
	events   []*footage
	heads    map[string]*head
	lists    map[string]*list // by key
	warned   bool
	losses   []Lost
	letters  []*letter // by number
	posted   uint64    // the number of the latest letter
	figures  ChannelStats
}

// ChannelStats is what a channel's cloud branch has done.
type ChannelStats struct {
	Packages     uint64 `json:"packages"` // accepted
	Stored       uint64 `json:"stored"`
	StoredBytes  uint64 `json:"stored_bytes"`
	Dropped      uint64 `json:"dropped"` // packages given up
	DroppedBytes uint64 `json:"dropped_bytes"`
	Frames       uint64 `json:"frames"`  // pictures in packages that were accepted
	Skipped      uint64 `json:"skipped"` // frames before a key frame
	Retries      uint64 `json:"retries"`

	Letters        uint64 `json:"letters"`         // messages and pictures of events in the store
	LettersDropped uint64 `json:"letters_dropped"` // given up
}

// Branch returns the stage that packs the channel's stream. It belongs behind a queue of Limit.
func (ch *Channel) Branch() *Branch { return &Branch{ch: ch} }

// Serve switches a service on or off and passes the notice on (C4, C5).
func (ch *Channel) Serve(n Notice) error {
	if n.Service > Event {
		return fmt.Errorf("service %d is none of the cloud's", n.Service)
	}
	c := ch.cloud
	n.Channel = ch.name
	c.mu.Lock()
	if err := c.refused(); err != nil {
		c.mu.Unlock()
		return fmt.Errorf("channel %s: %w", ch.name, err)
	}
	before := ch.on[FullTime] || ch.on[Event]
	ch.on[n.Service], ch.expires[n.Service] = n.On, n.Expires
	now := ch.on[FullTime] || ch.on[Event]
	if n.Service == Event && !n.On {
		c.endWindows(ch)
	}
	env := ch.env
	c.mu.Unlock()
	if env.Mark != nil {
		env.Mark()
	}
	if c.cfg.Notice != nil {
		c.cfg.Notice(n)
	}
	if before != now {
		ch.stream(env, now)
	}
	return nil
}

// stream has data come, or no longer.
func (ch *Channel) stream(env pipeline.Env, wanted bool) {
	if env.Want != nil {
		env.Want(wanted)
	}
	if env.Mark != nil {
		env.Mark() // behind what came while it was wanted
	}
	if wanted && env.RequestKeyFrame != nil {
		env.RequestKeyFrame()
	}
	if ch.cloud.cfg.Stream != nil {
		ch.cloud.cfg.Stream(ch.name, wanted)
	}
}

// opened is the branch's. A Cloud that is not running takes nothing.
func (ch *Channel) opened(env pipeline.Env) error {
	ch.cloud.mu.Lock()
	if err := ch.cloud.refused(); err != nil {
		ch.cloud.mu.Unlock()
		return err
	}
	ch.env, ch.running = env, true
	wanted := ch.on[FullTime] || ch.on[Event]
	ch.cloud.mu.Unlock()
	if env.Want != nil {
		env.Want(wanted)
	}
	return nil
}

func (ch *Channel) closed() {
	ch.claim()
	ch.cloud.locked(func() { ch.env, ch.running = pipeline.Env{}, false })
}

func (ch *Channel) serves(s Service) bool {
	ch.cloud.mu.Lock()
	defer ch.cloud.mu.Unlock()
	return ch.on[s]
}

func (ch *Channel) wants() bool {
	ch.cloud.mu.Lock()
	defer ch.cloud.mu.Unlock()
	return ch.on[FullTime] || ch.on[Event]
}

func (ch *Channel) count(change func(*ChannelStats)) {
	ch.cloud.mu.Lock()
	defer ch.cloud.mu.Unlock()
	change(&ch.figures)
}

func (ch *Channel) stats() ChannelStats {
	ch.cloud.mu.Lock()
	defer ch.cloud.mu.Unlock()
	return ch.figures
}

// setSize is the set size of a package (C3).
func (ch *Channel) setSize() int64 {
	ch.cloud.mu.Lock()
	defer ch.cloud.mu.Unlock()
	return ch.size()
}

// size is setSize for who holds mu.
func (ch *Channel) size() int64 {
	switch {
	case ch.cfg.Bytes > 0:
		return ch.cfg.Bytes
	case ch.measured > 0:
		return ch.measured
	}
	return DefaultBytes
}

// measure notes the size of a package: the set size, where it is measured, is that of the
// largest of the latest ones.
func (ch *Channel) measure(n int64) {
	const latest = 8
	ch.sizes = append(ch.sizes[max(0, len(ch.sizes)-latest+1):], n)
	largest := slices.Max(ch.sizes)
	ch.cloud.mu.Lock()
	ch.measured = largest
	ch.cloud.mu.Unlock()
}

// made takes a package from the branch.
func (ch *Channel) made(parcel *parcel, headHash string) {
	c := ch.cloud
	if c.over() {
		return
	}
	start := c.clock.Wall(parcel.mono)
	anchor := c.clock.Anchor().Number
	number := ch.next
	ch.next++
	folder := ch.hour.Folder
	if !ch.hour.holds(start, anchor) {
		ch.hour = newHour(number, start, anchor)
		ch.keepState()
	} else if ch.next%reserved == 0 {
		ch.keepState()
	}
	ch.measure(parcel.size())
	p := &pkg{
		ch: ch, from: parcel.mono, to: parcel.mono + int64(parcel.length()), body: parcel.body, size: int64(len(parcel.body)),
		name: name{
			folder: ch.hour.Folder, number: number, start: start, length: parcel.length(), continues: parcel.joined,
			full: parcel.full, head: headHash, hash: digest(parcel.body),
		},
	}
	c.mu.Lock()
	event := ch.on[Event]
	if folder != ch.hour.Folder {
		c.closeHour(ch, folder)
	}
	ch.figures.Frames += uint64(parcel.frames) //nolint:gosec // a count
	taken := c.claimed(p) || p.full
	if event {
		ch.remember(p)
	}
	c.mu.Unlock()
	if taken {
		ch.accept(p)
	}
	c.locked(func() {
		ch.reached = p.to
		c.overdue(ch)
	})
}

// remember keeps a package for a while. The caller holds mu.
func (ch *Channel) remember(p *pkg) {
	ch.recent = append(ch.recent, p)
	oldest := p.to - int64(ch.cfg.Pre+ch.cfg.Package+time.Second)
	gone := 0
	for gone < len(ch.recent) && ch.recent[gone].to < oldest {
		gone++
	}
	ch.recent = slices.Delete(ch.recent, 0, gone)
}

// claim accepts what windows want of the packages that were kept. It is the branch's.
func (ch *Channel) claim() {
	c := ch.cloud
	if c.over() {
		return
	}
	var take []*pkg
	c.mu.Lock()
	for _, p := range ch.recent {
		if p.stage == kept && p.event {
			take = append(take, p)
		}
	}
	if !ch.on[Event] {
		ch.recent = nil
	}
	c.mu.Unlock()
	for _, p := range take {
		ch.accept(p)
	}
	ch.noteEvents()
}

// ended says that no more comes for now: what windows wait for will not come.
func (ch *Channel) ended() {
	ch.claim()
	ch.cloud.locked(func() {
		for _, f := range ch.events {
			for _, w := range f.windows {
				w.passed = w.passed || w.Over
				ch.cloud.settle(w)
			}
		}
	})
}

// accept takes a package over for good. It is the branch's.
func (ch *Channel) accept(p *pkg) {
	c := ch.cloud
	ch.noteEvents()
	if p.full {
		ch.noteFolder(p.folder)
	}
	spooled := c.cfg.Spool && ch.spool(p)
	c.locked(func() {
		if spooled {
			p.body = nil
		}
		p.accepted = max(1, c.clock.Mono())
		ch.figures.Packages++
		ch.enters(p)
		c.wait(p)
	})
}
