package s3_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/upload"
	"github.com/millrace-video/millrace/stages/upload/s3"
	"github.com/millrace-video/millrace/stages/upload/s3test"
)

func uploader(t *testing.T, s *s3.Store) *upload.Uploader {
	t.Helper()
	p, err := pool.NewPool(256)
	require.NoError(t, err)
	u, err := upload.NewUploader(s, p, upload.Config{Backoff: hal.Backoff{First: 10 * time.Millisecond, Max: 100 * time.Millisecond}})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, u.Exit(t.Context(), true))
		require.NoError(t, p.Close(10*time.Second))
	})
	return u
}

func pictures(n int) []upload.Object {
	all := make([]upload.Object, n)
	for i := range all {
		b := noise(20_000)
		b[0] = byte(i)
		all[i] = upload.Object{Key: fmt.Sprintf("gate/%02d.jpg", i), ContentType: "image/jpeg", Body: upload.Bytes(b), Class: upload.Snapshot}
	}
	return all
}

// U1, U3: fifty are at a real server at once.
func TestFiftyAtOnce(t *testing.T) {
	g := s3test.Start(t)
	p, _ := s3test.NewProxy(t, g.Address, false)
	p.Delay(3 * time.Second) // long enough for a slow machine to have all of them on the way
	u := uploader(t, open(t, config(p.URL)))
	results, err := u.Submit(pictures(50)...).Wait(t.Context())
	require.NoError(t, err)
	for i, r := range results {
		require.NoError(t, r.Err)
		require.Equal(t, p.URL+"/cameras/"+pictures(50)[i].Key, r.URL)
	}
	atOnce, all := p.Most()
	require.Equal(t, 50, atOnce)
	require.Equal(t, 50, all, "no request but the puts")
	require.Len(t, g.Objects(t), 50)
}

// U2: one in five refused, one in seven done but its answer lost: each object is there once, in order.
func TestOrderThroughFaults(t *testing.T) {
	g := s3test.Start(t)
	p, _ := s3test.NewProxy(t, g.Address, false)
	var mu sync.Mutex
	n := 0
	p.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%5 == 0 {
			s3test.Answer(w, r, http.StatusInternalServerError, "InternalError", "")
		}
		return n%5 == 0
	})
	p.LoseAnswer(func(r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		return s3test.IsPut(r) && n%7 == 0
	})
	u := uploader(t, open(t, config(p.URL)))
	results, err := u.Submit(pictures(50)...).Wait(t.Context())
	require.NoError(t, err)
	for i, r := range results {
		require.NoError(t, r.Err)
		require.Equal(t, pictures(50)[i].Key, r.Key)
	}
	require.Positive(t, u.Stats().Retries)
	objects := g.Objects(t)
	require.Len(t, objects, 50)
	for key, size := range objects {
		require.EqualValues(t, 20_000, size, key)
	}
}
