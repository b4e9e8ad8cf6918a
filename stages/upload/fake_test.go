package upload_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/upload"
)

// slow is a store that answers after a delay, as answer says, and counts.
type slow struct {
	delay  time.Duration
	answer func(key string, attempt, atOnce int) error // nil: all goes well

	mu       sync.Mutex
	objects  map[string]int // how often stored
	attempts map[string]int
	order    []string // of the attempts
	at       []time.Time
	now      int
	most     int
}

var _ upload.Store = (*slow)(nil)

func (s *slow) Put(ctx context.Context, key, _ string, body *io.SectionReader) error {
	s.mu.Lock()
	if s.objects == nil {
		s.objects, s.attempts = map[string]int{}, map[string]int{}
	}
	s.now++
	s.most = max(s.most, s.now)
	s.attempts[key]++
	attempt, atOnce := s.attempts[key], s.now
	s.order = append(s.order, key)
	s.at = append(s.at, time.Now())
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	t := time.NewTimer(s.delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.answer != nil {
		if err := s.answer(key, attempt, atOnce); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, io.NewSectionReader(body, 0, body.Size())); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key]++
	return nil
}

func (s *slow) Replace(context.Context, string, string, *io.SectionReader) error {
	return errors.ErrUnsupported
}

func (s *slow) Exists(context.Context, string) (size int64, found bool, err error) {
	return 0, false, errors.ErrUnsupported
}

func (s *slow) List(context.Context, string, func(string, int64) error) error {
	return errors.ErrUnsupported
}

func (s *slow) Presign(_ context.Context, key string, _ time.Duration) (string, error) {
	return "mem://" + key, nil
}

func trouble(k upload.Kind) error {
	return &upload.Error{Kind: k, Where: "mem", Err: errors.New("told so")}
}

// uploader returns one whose pool is looked after by the test.
func uploader(t *testing.T, s upload.Store, cfg upload.Config) *upload.Uploader {
	t.Helper()
	p, err := pool.NewPool(2048)
	require.NoError(t, err)
	u, err := upload.NewUploader(s, p, cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = u.Exit(context.Background(), true)
		require.Zero(t, p.Reserved(), "the share was not given back")
		require.NoError(t, p.Close(10*time.Second))
	})
	return u
}

func pictures(n int) []upload.Object {
	all := make([]upload.Object, n)
	for i := range all {
		all[i] = upload.Object{
			Key: fmt.Sprintf("gate/%02d.jpg", i), ContentType: "image/jpeg", Body: upload.Bytes(make([]byte, 150_000)),
			Time: time.Unix(int64(i), 0), Class: upload.Snapshot,
		}
	}
	return all
}

func leaks() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreCurrent(),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"),
	}
}
