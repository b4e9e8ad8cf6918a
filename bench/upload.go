package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/upload"
	"github.com/millrace-video/millrace/stages/upload/s3"
)

// Upload measures how long pictures take to a store that answers late (U3).
type Upload struct {
	Delay    time.Duration // of the store; default 1.05 s, as in U3
	Bytes    int           // of a picture; default 150,000
	Registry *hal.Registry // has the camera's drivers

	faulty []faultRow
	cam    cameraRow
}

// The limits of U3, as this program holds itself to them: beyond the store's delay.
const (
	spare50     = 50 * time.Millisecond  // 50 frames
	spareCamera = 150 * time.Millisecond // 50 frames of a camera, from the last one's capture
)

// faultRow is what becomes of failures.
type faultRow struct {
	frames   int
	ordered  bool // the result is in the order of the frames, each stored once
	retries  uint64
	givenUp  []string // errors of the frames that did not go up
	expected bool     // they are the two that should not
}

// failing is what the store does in faults.
const failing = "one attempt in five fails; frame 07 always; frame 23 is refused for good"

// cameraRow is a camera's second.
type cameraRow struct {
	source  string
	groups  int
	bytes   int     // of a frame
	seconds float64 // from the capture of a group's last frame until all of it is up: the longest
}

// groupSizes are U3's.
func groupSizes() []int { return []int{1, 5, 10, 15, 30, 50} }

func reference(n int) string {
	return map[int]string{1: "1.05", 5: "0.85", 10: "0.77-0.82", 15: "0.9-1.0", 30: "0.7-0.8", 50: "within 1"}[n]
}

// About implements Bench.
func (b *Upload) About() About {
	b.defaults()
	return About{
		Name: "upload", Title: "pictures to a store that answers late",
		Text: fmt.Sprintf("The store (a stand-in for S3 in this process, at a loopback address) answers after %.2f s; frames of %d bytes.", b.Delay.Seconds(), b.Bytes),
	}
}

func (b *Upload) defaults() {
	if b.Delay == 0 {
		b.Delay = 1050 * time.Millisecond
	}
	if b.Bytes == 0 {
		b.Bytes = 150_000
	}
}

// Run implements Bench.
func (b *Upload) Run(ctx context.Context, r *Report) (err error) {
	b.defaults()
	threads, err := pool.NewPool(0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, threads.Close(5*time.Second)) }()
	r.Tell("groups of 1 to 50 frames")
	if err = b.groups(ctx, threads, r); err != nil {
		return err
	}
	r.Tell("a store that fails")
	faults, err := b.faults(ctx, threads)
	if err != nil {
		return err
	}
	b.faulty = append(b.faulty, faults)
	r.Tell("a camera")
	if b.cam, err = b.camera(ctx, threads, b.Registry); err != nil {
		return err
	}
	r.Add(uploadCamera, b.cam.groups, Value{b.cam.seconds, "s/group"}, Value{float64(b.cam.bytes), "B/frame"})
	return nil
}

// uploadCamera is the name of the camera's figures.
const uploadCamera = "Upload/camera/frames=50"

func uploadGroup(n int) string { return fmt.Sprintf("Upload/frames=%d", n) }

// Judge implements Bench.
func (b *Upload) Judge(r *Report) {
	sizes := Table{Title: "frames at once", Columns: []string{"frames", "seconds", "ratio to the store's delay", "reference (U3), seconds", "retries"}}
	drawn := Series{Name: "seconds"}
	for _, n := range groupSizes() {
		seconds, ok := r.Median(uploadGroup(n), "s/group")
		if !ok {
			continue
		}
		retries, _ := r.Median(uploadGroup(n), "retries")
		sizes.Rows = append(sizes.Rows, []string{strconv.Itoa(n), fmt.Sprintf("%.3f", seconds), fmt.Sprintf("%.2f", seconds/b.Delay.Seconds()), reference(n), figure(retries)})
		drawn.Points = append(drawn.Points, Point{Label: strconv.Itoa(n), Y: seconds})
	}
	r.Tables = append(r.Tables, sizes)
	r.Charts = append(r.Charts, Chart{
		Title: "Seconds until all frames are up", X: "frames at once", Y: "s", Series: []Series{drawn},
		Limits: []Limit{{Name: "50 frames", Y: (b.Delay + spare50).Seconds()}},
	})
	if seconds, ok := r.Median(uploadGroup(50), "s/group"); ok {
		promiseSeconds(r, "50 frames at once are up", b.Delay+spare50, seconds)
	}
	b.judgeFaults(r)
	if seconds, ok := r.Median(uploadCamera, "s/group"); ok {
		what := fmt.Sprintf("%s: %d groups of 50 frames (%d bytes each) are up after the last one's capture", b.cam.source, b.cam.groups, b.cam.bytes)
		promiseSeconds(r, what, b.Delay+spareCamera, seconds)
	}
}

// judgeFaults tells of all runs.
func (b *Upload) judgeFaults(r *Report) {
	if len(b.faulty) == 0 {
		return
	}
	var frames, up int
	var retries uint64
	ordered, expected := true, true
	lost := Table{Title: "not uploaded"}
	for _, f := range b.faulty {
		ordered, expected = ordered && f.ordered, expected && f.expected
		frames, up, retries = frames+f.frames, up+f.frames-len(f.givenUp), retries+f.retries
		for _, text := range f.givenUp {
			lost.Rows = append(lost.Rows, []string{text})
		}
	}
	r.Tables = append(r.Tables, lost)
	r.Promise(ordered, failing+": in order, each stored once", "always", fmt.Sprintf("%t; %d of %d frames, after %d retries", ordered, up, frames, retries))
	r.Promise(expected, "only the two that must fail are given up, by name", "always", strconv.FormatBool(expected))
}

func promiseSeconds(r *Report, what string, limit time.Duration, got float64) {
	r.Promise(got <= limit.Seconds(), what, fmt.Sprintf("at most %.3f s", limit.Seconds()), fmt.Sprintf("%.3f s", got))
}

// rig is an endpoint with an uploader to it.
type rig struct {
	*upload.Uploader
	end     *endpoint
	store   *s3.Store
	workers *pool.Workers
}

func newRig(ctx context.Context, threads *pool.Pool, delay time.Duration, refuse func(string, int) int, cfg upload.Config) (*rig, error) {
	workers, err := threads.Reserve(1)
	if err != nil {
		return nil, err
	}
	r := &rig{workers: workers}
	if r.end, err = newEndpoint(ctx, workers, delay, refuse); err != nil {
		return nil, errors.Join(err, r.close(ctx))
	}
	r.store, err = s3.Open(s3.Config{
		Endpoint: r.end.URL, Bucket: "bench", Style: s3.Path, Idle: max(64, cfg.Parallel), Credentials: s3.Credentials{AccessKey: "bench", SecretKey: "bench"},
	})
	if err == nil {
		r.Uploader, err = upload.NewUploader(r.store, threads, cfg) //nolint:contextcheck // it lives until its exit
	}
	if err != nil {
		return nil, errors.Join(err, r.close(ctx))
	}
	return r, nil
}

func (r *rig) close(ctx context.Context) (err error) {
	if r.Uploader != nil {
		err = r.Exit(ctx, true)
	}
	if r.store != nil {
		err = errors.Join(err, r.store.Close())
	}
	if r.end != nil {
		err = errors.Join(err, r.end.close())
	}
	r.workers.Close()
	return err
}

// pictures are n objects of different content. What making them left behind is collected before anybody
// looks at a clock.
func (b *Upload) pictures(name string, n int) []upload.Object {
	all := make([]upload.Object, n)
	for i := range all {
		bytes := make([]byte, b.Bytes)
		copy(bytes, fmt.Sprintf("%s %d", name, i))
		all[i] = upload.Object{Key: fmt.Sprintf("%s/%02d.jpg", name, i), ContentType: "image/jpeg", Body: upload.Bytes(bytes), Class: upload.Snapshot}
	}
	runtime.GC()
	return all
}

// groups uploads groups of U3's sizes over warm connections.
func (b *Upload) groups(ctx context.Context, threads *pool.Pool, report *Report) (err error) {
	r, err := newRig(ctx, threads, b.Delay, nil, upload.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close(ctx)) }()
	if _, err = r.Submit(b.pictures("warm", 50)...).Wait(ctx); err != nil {
		return err
	}
	clock := hal.NewClock()
	for _, n := range groupSizes() {
		objects := b.pictures(fmt.Sprintf("group-%d", n), n)
		began := clock.Mono()
		results, err := r.Submit(objects...).Wait(ctx)
		if err != nil {
			return err
		}
		took := time.Duration(clock.Mono() - began)
		retries := 0
		for _, one := range results {
			if one.Err != nil {
				return one.Err
			}
			retries += one.Attempts - 1
		}
		report.Add(uploadGroup(n), 1, Value{took.Seconds(), "s/group"}, Value{took.Seconds() / b.Delay.Seconds(), "of-delay"}, Value{float64(retries), "retries"})
	}
	return nil
}

// faults uploads 50 pictures while one attempt in five fails, one picture always does, and one
// is refused for good.
func (b *Upload) faults(ctx context.Context, threads *pool.Pool) (row faultRow, err error) {
	const always, never = "faults/07.jpg", "faults/23.jpg"
	refuse := func(key string, n int) int {
		switch {
		case strings.HasSuffix(key, never):
			return http.StatusBadRequest
		case strings.HasSuffix(key, always), n%5 == 0:
			return http.StatusServiceUnavailable
		}
		return 0
	}
	r, err := newRig(ctx, threads, b.Delay/20, refuse, upload.Config{Backoff: hal.Backoff{First: 5 * time.Millisecond, Max: 50 * time.Millisecond}})
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, r.close(ctx)) }()
	objects := b.pictures("faults", 50)
	results, err := r.Submit(objects...).Wait(ctx)
	if err != nil {
		return row, err
	}
	row = faultRow{frames: len(objects), ordered: true, retries: r.Stats().Retries}
	for i, one := range results {
		row.ordered = row.ordered && one.Key == objects[i].Key
		if one.Err != nil {
			row.givenUp = append(row.givenUp, one.Err.Error())
		}
	}
	n, twice := r.end.stored()
	row.ordered = row.ordered && n == len(objects)-2 && !twice
	row.expected = len(row.givenUp) == 2 && strings.HasPrefix(row.givenUp[0], always+": given up after 31 attempts") && strings.HasPrefix(row.givenUp[1], never)
	return row, nil
}
