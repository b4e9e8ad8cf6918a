package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// measured is what one recording cost.
type measured struct {
	channels int
	window   time.Duration
	used     Usage
	camera   Usage // of the simulator
	memory   int64 // bytes, the most seen
	pace     Pace
	checked  Checked
	mp4      bool // the files were checked
	said     string

	first, connected time.Duration // from the recorder's start to the first connection, and until all cameras played
	watched          float64       // bytes that viewers got, of those they should have
}

const (
	// playLimit is how long a recorder may take until all cameras play.
	playLimit  = 60 * time.Second
	memoryTick = time.Second
)

// once records once.
func (b *Record) once(ctx context.Context, one recorder, channels, viewers int) (m measured, err error) {
	if err = enoughFiles(64 + channels*(4+2*viewers)); err != nil {
		return m, err
	}
	dir, remove, err := workspace(b.Dir)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	cameras, err := b.Self.start(ctx, roleSimulator, SimulatorConfig{Spec: b.Clip, Clip: b.where, Channels: channels, Packets: b.Packets})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, cameras.end()) }()
	favour(cameras.cmd.Process.Pid, len(b.Capacity) > 0)
	j := job{self: b.Self, dir: dir, channels: channels, readers: channels * viewers, codec: b.Clip.Codec, profile: b.Profile}
	if err = cameras.ask(askAddress, &j.cameras); err != nil {
		return m, err
	}
	if j.live, err = freeAddress(ctx); err != nil {
		return m, err
	}
	m = measured{channels: channels, window: b.Window}
	began := monotonic()
	work, err := one.begin(ctx, j)
	if err != nil {
		return m, err
	}
	err = b.watchOver(ctx, work, cameras, j, began, &m)
	err = errors.Join(err, work.stop(ctx))
	if err != nil {
		return m, err
	}
	var sent []Session
	if err = cameras.ask(askSessions, &sent); err != nil {
		return m, err
	}
	if m.mp4 = one.files(j, 0) != ""; m.mp4 {
		m.checked, err = checkFiles(ctx, func(i int) string { return one.files(j, i) }, sent, b.clip)
		m.said = work.said()
	}
	return m, err
}

// watchOver waits until every camera plays, warms up and measures.
func (b *Record) watchOver(ctx context.Context, work *underway, cameras *child, j job, began int64, m *measured) (err error) {
	st, err := playing(ctx, work, cameras, j.channels)
	if err != nil {
		return err
	}
	m.first, m.connected = time.Duration(st.First-began), time.Duration(st.Last-began)
	var watchers *child
	if j.readers > 0 {
		if watchers, err = watchAll(ctx, j); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, watchers.end()) }()
		favour(watchers.cmd.Process.Pid, false)
	}
	if err = hal.Wait(ctx, b.WarmUp); err != nil {
		return err
	}
	seen, err := viewed(watchers)
	if err != nil {
		return err
	}
	if err = b.window(ctx, work, cameras, m); err != nil {
		return err
	}
	now, err := viewed(watchers)
	if err != nil {
		return err
	}
	if watchers != nil && m.pace.Bytes > 0 {
		m.watched = float64(now-seen) / float64(m.pace.Bytes) * float64(j.channels) / float64(j.readers)
	}
	return work.broken()
}

// window measures for a while.
func (b *Record) window(ctx context.Context, work *underway, cameras *child, m *measured) error {
	simulator := []int{cameras.cmd.Process.Pid}
	var ok bool
	if err := cameras.ask(askMark, &ok); err != nil {
		return err
	}
	used, err := usageOf(work.pids)
	if err != nil {
		return err
	}
	camera, err := usageOf(simulator)
	if err != nil {
		return err
	}
	began := monotonic()
	for at := time.Duration(0); at < b.Window; at = time.Duration(monotonic() - began) {
		if err = hal.Wait(ctx, min(max(memoryTick, b.Window/4), b.Window-at)); err != nil {
			return err
		}
		var memory int64
		if memory, err = memoryOf(work.pids); err != nil {
			return err
		}
		m.memory = max(m.memory, memory)
	}
	m.window = time.Duration(monotonic() - began)
	after, err := usageOf(work.pids)
	if err != nil {
		return err
	}
	m.used = after.minus(used)
	if after, err = usageOf(simulator); err != nil {
		return err
	}
	m.camera = after.minus(camera)
	return cameras.ask(askPace, &m.pace)
}

func (u Usage) minus(o Usage) Usage { return Usage{CPU: u.CPU - o.CPU, Wakes: u.Wakes - o.Wakes} }

// playing waits until every camera has sent a picture.
func playing(ctx context.Context, work *underway, cameras *child, channels int) (st Standing, err error) {
	until := time.Now().Add(playLimit)
	for {
		if err := cameras.ask(askStanding, &st); err != nil {
			return st, err
		}
		if st.Begun >= channels {
			return st, nil
		}
		if err := work.broken(); err != nil {
			return st, err
		}
		if time.Now().After(until) {
			return st, fmt.Errorf("only %d of %d cameras play after %s", st.Begun, channels, playLimit)
		}
		if err := hal.Wait(ctx, 100*time.Millisecond); err != nil {
			return st, err
		}
	}
}

// watchAll puts the viewers in front of the recorder's live server.
func watchAll(ctx context.Context, j job) (*child, error) {
	var cfg readersConfig
	for i := range j.readers {
		cfg.URLs = append(cfg.URLs, "rtsp://"+j.live+"/"+channelName(i%j.channels))
	}
	return j.self.start(ctx, roleViewers, cfg)
}

// viewed is how many bytes viewers have got so far.
func viewed(watchers *child) (sum int64, err error) {
	if watchers == nil {
		return 0, nil
	}
	var all []int64
	if err := watchers.ask("bytes", &all); err != nil {
		return 0, err
	}
	for _, n := range all {
		sum += n
	}
	return sum, nil
}

// The units of a recording's figures.
const (
	unitCPU       = "cpu-ms/channel-s"
	unitCamera    = "simulator-cpu-ms/channel-s"
	unitWakes     = "wakes/channel-s"
	unitMemory    = "MB"
	unitMemoryOne = "MB/channel"
	unitP99       = "late-p99-ms"
	unitLate      = "late-max-ms"
	unitOwn       = "simulator-late-max-ms"
	unitFirst     = "first-connection-s"
	unitAll       = "all-connected-s"
	unitMissing   = "frames-missing"
	unitOpenings  = "openings-lost"
	unitTail      = "tail-frames"
	unitWatched   = "watched-share"
)

// add adds the figures to a report.
func (m *measured) add(r *Report, name string) {
	each := m.window.Seconds() * float64(m.channels)
	memory := float64(m.memory) / 1e6
	values := []Value{
		{ms(m.used.CPU) / each, unitCPU},
		{float64(m.used.Wakes) / each, unitWakes},
		{memory, unitMemory},
		{memory / float64(m.channels), unitMemoryOne},
		{m.pace.Late.P99, unitP99},
		{m.pace.Late.Max, unitLate},
		{m.pace.Own.Max, unitOwn},
		{ms(m.camera.CPU) / each, unitCamera},
		{m.first.Seconds(), unitFirst},
		{m.connected.Seconds(), unitAll},
	}
	if m.mp4 {
		c := m.checked
		missing := c.Missing + c.Twice + c.SoundHoles + int64(c.NotKey) + int64(len(c.Faults))
		values = append(values, Value{float64(missing), unitMissing}, Value{float64(c.NoOpening), unitOpenings}, Value{float64(c.Tail), unitTail})
	}
	if m.watched > 0 {
		values = append(values, Value{m.watched, unitWatched})
	}
	r.Add(name, m.channels, values...)
	if m.mp4 && !m.checked.whole() {
		r.Tell("record: %s: %s", name, m.checked.String())
	}
}
