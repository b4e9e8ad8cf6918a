package upload

import (
	"context"
	"sync/atomic"
)

// attempt is one try to upload an object.
type attempt struct {
	put      func() (url string, err error)
	cancel   context.CancelCauseFunc
	governed *atomic.Int64 // ns that it waited for the uplink
}

// attempts returns what makes them. An attempt lives until it ends or is given up, whatever
// becomes of who submitted the object.
func attempts(store Store) func(o Object) attempt {
	return func(o Object) attempt {
		ctx, cancel := context.WithCancelCause(WithClass(context.Background(), o.Class))
		governed := new(atomic.Int64)
		ctx = withWait(ctx, governed)
		return attempt{cancel: cancel, governed: governed, put: func() (string, error) {
			if err := store.Put(ctx, o.Key, o.ContentType, o.Body); err != nil {
				return "", err
			}
			return store.Presign(ctx, o.Key, 0)
		}}
	}
}
