package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/upload"
	"github.com/millrace-video/millrace/stages/upload/s3"
)

// Upload measures how long pictures take to a store that answers late (U3).
type Upload struct {
	Delay time.Duration // of the store; default 1.05 s, as in U3
	Bytes int           // of a picture; default 150,000
}

// The limits of U3, as this program holds itself to them.
const (
	limit50     = 1100 * time.Millisecond // 50 frames, where the store answers after 1.05 s
	limitCamera = 1200 * time.Millisecond // 50 frames of a camera, from the last one's capture
)

// UploadReport is what was measured.
type UploadReport struct {
	Store  string      `json:"store"` // what answered
	Delay  float64     `json:"store_delay_s"`
	Bytes  int         `json:"frame_bytes"`
	Rows   []UploadRow `json:"uploads"`
	Faults FaultRow    `json:"faults"`
	Camera CameraRow   `json:"camera"`
	Good   bool        `json:"good"` // every promise was kept
}

// UploadRow is one group.
type UploadRow struct {
	Frames    int     `json:"frames"`
	Seconds   float64 `json:"seconds"`
	Ratio     float64 `json:"ratio"`     // to the store's delay
	Reference string  `json:"reference"` // U3, in seconds
	Retries   int     `json:"retries"`   // of attempts that failed, which should be none
}

// FaultRow is what becomes of failures.
type FaultRow struct {
	Frames   int      `json:"frames"`
	Failing  string   `json:"failing"` // what the store does
	Ordered  bool     `json:"ordered"` // the result is in the order of the frames, each stored once
	Retries  uint64   `json:"retries"`
	GivenUp  []string `json:"given_up"` // errors of the frames that did not go up
	Expected bool     `json:"expected"` // they are the two that should not
}

// CameraRow is a camera's second.
type CameraRow struct {
	Source  string  `json:"source"`
	Groups  int     `json:"groups"`
	Frames  int     `json:"frames"`
	Bytes   int     `json:"frame_bytes"`
	Seconds float64 `json:"seconds"` // from the capture of a group's last frame until all of it is up: the longest
}

func reference(n int) string {
	return map[int]string{1: "1.05", 5: "0.85", 10: "0.77-0.82", 15: "0.9-1.0", 30: "0.7-0.8", 50: "within 1"}[n]
}

// Run measures. reg has the camera's drivers.
func (b Upload) Run(ctx context.Context, reg *hal.Registry) (report UploadReport, err error) {
	if b.Delay == 0 {
		b.Delay = 1050 * time.Millisecond
	}
	if b.Bytes == 0 {
		b.Bytes = 150_000
	}
	threads, err := pool.NewPool(0)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, threads.Close(5*time.Second)) }()
	report = UploadReport{Store: "a stand-in for S3 in this process, at a loopback address", Delay: b.Delay.Seconds(), Bytes: b.Bytes}
	if report.Rows, err = b.groups(ctx, threads); err != nil {
		return report, err
	}
	if report.Faults, err = b.faults(ctx, threads); err != nil {
		return report, err
	}
	if report.Camera, err = b.camera(ctx, threads, reg); err != nil {
		return report, err
	}
	last := report.Rows[len(report.Rows)-1]
	spare := (limit50 - 1050*time.Millisecond).Seconds()
	report.Good = last.Seconds <= b.Delay.Seconds()+spare && report.Faults.Ordered && report.Faults.Expected &&
		report.Camera.Seconds <= b.Delay.Seconds()+(limitCamera-1050*time.Millisecond).Seconds()
	return report, nil
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
func (b Upload) pictures(name string, n int) []upload.Object {
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
func (b Upload) groups(ctx context.Context, threads *pool.Pool) (rows []UploadRow, err error) {
	r, err := newRig(ctx, threads, b.Delay, nil, upload.Config{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close(ctx)) }()
	if _, err = r.Submit(b.pictures("warm", 50)...).Wait(ctx); err != nil {
		return nil, err
	}
	clock := hal.NewClock()
	for _, n := range []int{1, 5, 10, 15, 30, 50} {
		objects := b.pictures(fmt.Sprintf("group-%d", n), n)
		began := clock.Mono()
		results, err := r.Submit(objects...).Wait(ctx)
		if err != nil {
			return nil, err
		}
		took := time.Duration(clock.Mono() - began)
		row := UploadRow{Frames: n, Seconds: took.Seconds(), Ratio: took.Seconds() / b.Delay.Seconds(), Reference: reference(n)}
		for _, one := range results {
			if one.Err != nil {
				return nil, one.Err
			}
			row.Retries += one.Attempts - 1
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// faults uploads 50 pictures while one attempt in five fails, one picture always does, and one
// is refused for good.
func (b Upload) faults(ctx context.Context, threads *pool.Pool) (row FaultRow, err error) {
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
	r, err := newRig(ctx, threads, b.Delay/20, refuse, upload.Config{First: 5 * time.Millisecond, Longest: 50 * time.Millisecond})
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, r.close(ctx)) }()
	objects := b.pictures("faults", 50)
	results, err := r.Submit(objects...).Wait(ctx)
	if err != nil {
		return row, err
	}
	row = FaultRow{Frames: len(objects), Failing: "one attempt in five fails; frame 07 always; frame 23 is refused for good", Ordered: true, Retries: r.Stats().Retries}
	for i, one := range results {
		row.Ordered = row.Ordered && one.Key == objects[i].Key
		if one.Err != nil {
			row.GivenUp = append(row.GivenUp, one.Err.Error())
		}
	}
	n, twice := r.end.stored()
	row.Ordered = row.Ordered && n == len(objects)-2 && !twice
	row.Expected = len(row.GivenUp) == 2 && strings.HasPrefix(row.GivenUp[0], always+": given up after 31 attempts") && strings.HasPrefix(row.GivenUp[1], never)
	return row, nil
}

// Print writes the report for a person.
func (r UploadReport) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "The store (%s) answers after %.2f s; frames of %d bytes.\n", r.Store, r.Delay, r.Bytes)
	fmt.Fprintln(t, "FRAMES\tSECONDS\tRATIO TO THE STORE'S DELAY\tREFERENCE (U3), SECONDS\tRETRIES")
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%d\t%.3f\t%.2f\t%s\t%d\n", row.Frames, row.Seconds, row.Ratio, row.Reference, row.Retries)
	}
	fmt.Fprintf(t, "\n%s: in order, each stored once: %t, after %d retries. Not uploaded:\n", r.Faults.Failing, r.Faults.Ordered, r.Faults.Retries)
	for _, text := range r.Faults.GivenUp {
		fmt.Fprintf(t, "  %s\n", text)
	}
	fmt.Fprintf(t, "\n%s: %d groups of 50 frames (%d bytes each): up %.3f s after the last one's capture, at most.\n", r.Camera.Source, r.Camera.Groups, r.Camera.Bytes, r.Camera.Seconds)
	return t.Flush()
}
