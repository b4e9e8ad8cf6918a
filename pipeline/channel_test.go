package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
)

func TestMain(m *testing.M) {
	// ants starts two goroutines for a default pool that nobody asked for.
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

const frameTime = 40 * time.Millisecond

// camera is a scripted source of 25 letters a second; it stands for a driver.
type camera struct {
	name   string
	script string // repeated; see ledger.frame
	frames int    // after so many the source ends with err; 0: never
	err    error  // default io.EOF
	file   bool   // can be held back
	raw    bool

	mu     sync.Mutex
	openIs error // what Open answers
	opens  int
	open   int // opened and not closed
	held   []*ledger
	cut    chan struct{} // closed: every Read fails
}

func (c *camera) String() string { return "cam://" + c.name }
func (c *camera) Check() error   { return nil }

func (c *camera) Open(_ context.Context, opts hal.Options) (hal.Source, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opens++
	if c.openIs != nil {
		return nil, c.openIs
	}
	if c.cut == nil {
		c.cut = make(chan struct{})
	}
	c.open++
	l := newLedger(hal.H264, hal.AAC)
	if c.raw {
		l = newLedger(hal.Raw)
	}
	c.held = append(c.held, l)
	return &take{camera: c, ledger: l, clock: opts.Clock, cut: c.cut, closed: make(chan struct{})}, nil
}

// unplug makes every Read fail and every Open too, until plug.
func (c *camera) unplug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.openIs = hal.ErrNoDevice
	close(c.cut)
	c.cut = nil
}

func (c *camera) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.openIs = nil
}

func (c *camera) opened() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opens
}

// clean checks that every frame came home and every source was closed.
func (c *camera) clean(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Zero(t, c.open, "sources never closed")
	for _, l := range c.held {
		require.Zero(t, l.held(), "frames never released")
	}
}

// take is one opening of a camera.
type take struct {
	*camera
	ledger *ledger
	clock  *hal.Clock
	cut    chan struct{}
	closed chan struct{}
	once   sync.Once
	n      int
}

func (s *take) Stream() *hal.Stream { return s.ledger.stream }
func (s *take) Live() bool          { return !s.file }

func (s *take) Read(ctx context.Context) (hal.Frame, error) {
	if s.frames > 0 && s.n == s.frames {
		if s.err != nil {
			return hal.Frame{}, s.err
		}
		return hal.Frame{}, io.EOF
	}
	if !s.file {
		select {
		case <-time.After(frameTime):
		case <-ctx.Done():
			return hal.Frame{}, context.Cause(ctx)
		case <-s.cut:
			return hal.Frame{}, fmt.Errorf("%s: %w", s, hal.ErrNoSignal)
		case <-s.closed:
			return hal.Frame{}, errors.New("closed")
		}
	} else if ctx.Err() != nil {
		return hal.Frame{}, context.Cause(ctx)
	}
	f := s.ledger.frame(rune(s.script[s.n%len(s.script)]))
	f.Stamp.DTS = time.Duration(s.n) * frameTime
	f.Stamp.Mono = s.clock.Mono()
	if s.raw {
		f.Key = true
	}
	s.n++
	return f, nil
}

func (s *take) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.mu.Lock()
		s.open--
		s.mu.Unlock()
	})
	return nil
}

// sink is a stage that writes down what it gets, and fails as told.
type sink struct {
	name   string
	nice   int
	prompt bool
	openIs error
	onWork func(ctx context.Context, letter string) error

	mu     sync.Mutex
	log    strings.Builder // letters; '|' a flush, '(' open, ')' close
	env    pipeline.Env
	opened int
}

func (s *sink) Name() string { return s.name }
func (s *sink) Nice() int    { return s.nice }
func (s *sink) Prompt() bool { return s.prompt }

func (s *sink) Open(_ context.Context, env pipeline.Env) error {
	s.write("(")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.openIs != nil {
		return s.openIs
	}
	s.opened++
	s.env = env
	return nil
}

func (s *sink) Work(ctx context.Context, f hal.Frame) error {
	if s.env.Out != nil {
		l := string(f.Buf.Bytes())
		if s.onWork != nil {
			if err := s.onWork(ctx, l); err != nil {
				f.Release()
				return err
			}
		}
		s.write(l)
		return s.env.Out(f)
	}
	l := letter(f)
	if s.onWork != nil {
		if err := s.onWork(ctx, l); err != nil {
			return err
		}
	}
	s.write(l)
	return nil
}

func (s *sink) Flush(context.Context) error { s.write("|"); return nil }
func (s *sink) Close() error {
	s.mu.Lock()
	s.opened--
	s.mu.Unlock()
	s.write(")")
	return nil
}

func (s *sink) write(x string) {
	s.mu.Lock()
	s.log.WriteString(x)
	s.mu.Unlock()
}

// got returns what was written since the last call.
func (s *sink) got() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.log.String()
	s.log.Reset()
	return out
}

// rig is an engine with what it logs and tells.
type rig struct {
	*pipeline.Engine
	log    bytes.Buffer
	mu     sync.Mutex
	states []string
}

func newRig(cfg pipeline.Config) *rig {
	r := &rig{}
	cfg.Logger = slog.New(slog.NewTextHandler(&r.log, nil))
	cfg.Backoff.Jitter = 1e-9
	cfg.OnEvent = func(e pipeline.Event) {
		r.mu.Lock()
		r.states = append(r.states, e.To.String())
		r.mu.Unlock()
	}
	r.Engine = pipeline.NewEngine(cfg)
	return r
}

func (r *rig) went() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := strings.Join(r.states, " ")
	r.states = nil
	return s
}

func from(cams ...pipeline.Candidate) pipeline.Origin {
	return pipeline.Origin{Candidates: cams}
}

// wait lets simulated time pass.
func wait(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // simulated time of a synctest bubble
	synctest.Wait()
}

// bubble runs a channel's test in simulated time and checks that nothing is left.
func bubble(t *testing.T, cfg pipeline.Config, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(cfg)
		defer func() {
			require.NoError(t, r.Exit(context.Background()))
			synctest.Wait()
		}()
		test(t, r)
	})
}

func add(t *testing.T, r *rig, def *pipeline.Definition) *pipeline.Channel {
	t.Helper()
	ch, err := r.Add(def)
	require.NoError(t, err)
	return ch
}

// P4: changes are told in the order in which they come, however long one telling takes.
func TestChangesAreToldInTheirOrder(t *testing.T) {
	told := make(chan pipeline.Event, 16)
	eng := pipeline.NewEngine(pipeline.Config{OnEvent: func(e pipeline.Event) {
		if e.To == pipeline.Waiting {
			<-time.After(200 * time.Millisecond) // long enough for the next one to come
		}
		told <- e
	}})
	ch, err := eng.Add(pipeline.Define("gate", from(&camera{script: "Iab"})).Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
	require.NoError(t, err)
	require.NoError(t, ch.Start())
	var states []string
	for seq := uint64(1); len(states) == 0 || states[len(states)-1] != "running"; seq++ {
		e := <-told
		require.Equal(t, seq, e.Seq)
		states = append(states, e.To.String())
	}
	require.Equal(t, []string{"parked", "waiting", "running"}, states)
	require.NoError(t, eng.Exit(t.Context()))
}

// P1, P4: Init parks, Start lets flow, Exit drains in order.
func TestAChannelFromInitToExit(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam, disk := &camera{script: "Iab"}, &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("gate", from(cam)).Branch("disk", pipeline.Limit{}, disk))
		wait(time.Second)
		require.Equal(t, "(", disk.got(), "parked until Start")
		require.Zero(t, cam.opened())
		require.Equal(t, pipeline.Parked, ch.State())
		require.NoError(t, ch.Start())
		wait(10*frameTime + time.Millisecond)
		require.Equal(t, pipeline.Running, ch.State())
		require.Equal(t, "IabIabIabI", disk.got())
		require.NoError(t, ch.Exit(context.Background()))
		require.Equal(t, "||)", disk.got(), "the run's end and the exit finish what is held back, the stage is closed")
		require.Equal(t, "parked waiting running exiting exited", r.went())
		cam.clean(t)
	})
}

// P4: an exited channel can be initialised again.
func TestAChannelLivesTwice(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam, disk := &camera{script: "I"}, &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("gate", from(cam)).Branch("disk", pipeline.Limit{}, disk))
		for range 3 {
			require.NoError(t, ch.Init())
			require.NoError(t, ch.Start())
			wait(3*frameTime + time.Millisecond)
			require.NoError(t, ch.Exit(context.Background()))
			require.Equal(t, "(III||)", disk.got())
			require.Equal(t, pipeline.Exited, ch.State())
		}
		cam.clean(t)
	})
}

// P4: Init takes all resources or none; the stage that cannot start is named.
func TestInitTakesAllOrNothing(t *testing.T) {
	bubble(t, pipeline.Config{Workers: 8}, func(t *testing.T, r *rig) {
		cam := &camera{script: "I"}
		enc, disk, last := &sink{name: "enc"}, &sink{name: "disk"}, &sink{name: "cloud", openIs: errors.New("no credentials")}
		def := pipeline.Define("gate", from(cam), enc).
			Branch("disk", pipeline.Limit{}, disk).Branch("cloud", pipeline.Limit{}, last)
		for range 5 { // nothing leaks: 4 workers of 7 each time
			_, err := r.Add(def)
			require.EqualError(t, err, "channel gate, stage cloud: no credentials")
			var at *pipeline.StageError
			require.ErrorAs(t, err, &at)
			require.Equal(t, "cloud", at.Stage)
			require.Equal(t, "()", enc.got())
			require.Equal(t, "()", disk.got())
			require.Equal(t, "(", last.got())
		}
		require.Empty(t, r.Channels())
		last.openIs = nil
		add(t, r, def)
	})
}

func TestInitFailsWhereNoWorkersAreLeft(t *testing.T) {
	bubble(t, pipeline.Config{Workers: 3}, func(t *testing.T, r *rig) {
		def := func(name string) *pipeline.Definition {
			return pipeline.Define(name, from(&camera{script: "I"})).Branch("disk", pipeline.Limit{}, &sink{name: "disk"})
		}
		add(t, r, def("one"))
		_, err := r.Add(def("two"))
		require.ErrorContains(t, err, "no workers left")
	})
}

// P4: a camera that is not there is the state Waiting, not a failed Init.
func TestACameraThatIsNotThereIsWaitedFor(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam, disk := &camera{script: "I", openIs: hal.ErrNoDevice}, &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("gate", from(cam)).Branch("disk", pipeline.Limit{}, disk))
		require.NoError(t, ch.Start())
		wait(10 * time.Second)
		require.Equal(t, pipeline.Waiting, ch.State())
		require.Contains(t, ch.Status().Cause, "no such device")
		require.Equal(t, 4, cam.opened(), "at 0, 1, 3 and 7 s: the back-off doubles")
		cam.plug()
		wait(30 * time.Second)
		require.Equal(t, pipeline.Running, ch.State())
	})
}

// P4: while paused a live source stays alive, its frames are counted as gated, and an
// inter-coded stream resumes at its next key frame, marked as a gap.
func TestPauseGatesALiveSource(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam, disk := &camera{script: "Iabcd"}, &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("gate", from(cam)).Branch("disk", pipeline.Limit{}, disk))
		require.NoError(t, ch.Start())
		wait(2*frameTime + time.Millisecond)
		require.NoError(t, ch.Pause())
		require.NoError(t, ch.Pause())
		wait(4 * frameTime)
		require.Equal(t, "(Ia", disk.got())
		require.Equal(t, pipeline.Paused, ch.State())
		require.Equal(t, "parked", ch.Status().Stages[1].State)
		require.NoError(t, ch.Start())
		wait(6 * frameTime)
		require.Equal(t, "*Ia", disk.got())
		st := ch.Status()
		require.EqualValues(t, 4, st.Gated)
		require.EqualValues(t, 4, st.Orphans, "a, b, c, d until the next key frame")
		require.Equal(t, 1, cam.opened(), "the source was kept alive")
		require.EqualValues(t, 1, st.Run)
	})
}

// P4: a channel may be set to close the source while it is paused.
func TestPauseMayCloseTheSource(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam, disk := &camera{script: "Iab"}, &sink{name: "disk"}
		o := from(cam)
		o.CloseOnPause = true
		ch := add(t, r, pipeline.Define("gate", o).Branch("disk", pipeline.Limit{}, disk))
		require.NoError(t, ch.Start())
		wait(2*frameTime + time.Millisecond)
		require.NoError(t, ch.Pause())
		wait(time.Hour)
		cam.clean(t)
		require.NoError(t, ch.Start())
		wait(2*frameTime + time.Millisecond)
		require.Equal(t, "(Ia|*Ia", disk.got())
		require.Equal(t, 2, cam.opened())
	})
}

// P4, P6: a source that can be held back is not read while paused and loses nothing.
func TestPauseHoldsAFileBack(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam := &camera{script: "Iabcdefghi", frames: 100, file: true}
		disk := &sink{name: "disk", onWork: func(context.Context, string) error { wait1(frameTime); return nil }}
		ch := add(t, r, pipeline.Define("gate", from(cam)).Branch("disk", pipeline.Limit{Frames: 4}, disk))
		require.NoError(t, ch.Start())
		wait(20*frameTime + time.Millisecond)
		require.NoError(t, ch.Pause())
		wait(time.Hour)
		got := disk.got()
		require.Less(t, len(got), 25)
		require.NoError(t, ch.Start())
		wait(time.Hour)
		require.Equal(t, "("+strings.Repeat("Iabcdefghi", 10)+"|", got+disk.got())
		require.Equal(t, pipeline.Ended, ch.State())
	})
}

// wait1 is a stage at work in simulated time.
func wait1(d time.Duration) {
	<-time.After(d)
}

// P4: Exit works from paused, and what stood in the queues is finished.
func TestExitFromPausedFinishesWhatIsQueued(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam := &camera{script: "Iab"}
		disk := &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("gate", from(cam)).
			Branch("disk", pipeline.Limit{WakeBytes: 1000, WakeAge: time.Minute}, disk))
		require.NoError(t, ch.Start())
		wait(5*frameTime + time.Millisecond)
		require.NoError(t, ch.Pause())
		require.Equal(t, "(", disk.got())
		require.Equal(t, 5, ch.Status().Queues[0].Depth, "queues are kept")
		require.NoError(t, ch.Exit(context.Background()))
		require.Equal(t, "IabIa||)", disk.got(), "the run's end and the exit each finish what is held back")
		cam.clean(t)
	})
}

// P2: a recorder's worker is woken by bytes, by age or by the end; one timer serves all.
func TestAConsumerIsWokenByAgeBytesAndEnd(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam := &camera{script: "Iabcdefghijklmnopqrstuvwx"}
		byAge, byBytes := &sink{name: "age"}, &sink{name: "bytes"}
		ch := add(t, r, pipeline.Define("gate", from(cam)).
			Branch("age", pipeline.Limit{WakeAge: time.Second}, byAge).
			Branch("bytes", pipeline.Limit{WakeBytes: 10, WakeAge: time.Hour}, byBytes))
		require.NoError(t, ch.Start())
		wait(9*frameTime + time.Millisecond)
		require.Equal(t, "(", byBytes.got())
		wait(frameTime)
		require.Equal(t, "Iabcdefghi", byBytes.got())
		require.Equal(t, "(", byAge.got())
		wait(17 * frameTime)
		require.Len(t, byAge.got(), 26, "the first is a second old when the 26th comes")
		cam.unplug()
		wait(2 * time.Second)
		require.Equal(t, 1, strings.Count(byBytes.got(), "|"), "the end of a run wakes at once")
	})
}

// P2: the tail of a stream that stops is not left lying until more comes.
func TestAgeAloneWakesTheConsumerOfATail(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam := &camera{script: "I", frames: 3, err: io.EOF}
		slow := &camera{script: "I"}
		disk := &sink{name: "disk"}
		gateIsShut := from(cam, slow)
		ch := add(t, r, pipeline.Define("gate", gateIsShut).Branch("disk", pipeline.Limit{WakeAge: 10 * time.Second}, disk))
		require.NoError(t, ch.Start())
		wait(time.Second)
		require.Equal(t, "(III|", disk.got())
		require.Equal(t, pipeline.Ended, ch.State())
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipeline.Config{})
		cam, disk := &camera{script: "I"}, &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("gate", from(cam)).Branch("disk", pipeline.Limit{WakeAge: 3 * time.Second}, disk))
		require.NoError(t, ch.Start())
		wait(3*frameTime + time.Millisecond)
		require.NoError(t, ch.Pause()) // frames are gated: none comes to wake the consumer
		require.NoError(t, ch.Start())
		require.NoError(t, ch.Pause())
		disk.got()
		require.NoError(t, ch.Start())
		wait(4 * time.Second)
		require.NotEmpty(t, disk.got())
		require.NoError(t, r.Exit(context.Background()))
	})
}
