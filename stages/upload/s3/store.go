// Package s3 is the store of any service that speaks S3, in path or virtual-host style, by
// minio-go. What is sent is checked by the service against its MD5; a put happens on the condition
// that nothing lies at the key, so that a repeated one makes no second object. Objects of more than
// one part can be resumed after a restart of the process.
package s3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/millrace-video/millrace/stages/upload"
)

// sumKey is the object's own note of its MD5: an ETag need not be one.
const sumKey = "Millrace-Md5"

// Store is a bucket. It is safe for concurrent use.
type Store struct {
	cfg    Config
	where  string // as people know it
	base   string // URL before the keys, prefix included
	client *minio.Client
	core   minio.Core
	who    *provider
	creds  *credentials.Credentials
	idle   func()
	rooms  sync.Pool // of *[room]byte, to read bodies through

	unconditional atomic.Bool // the service knows no If-None-Match
}

var _ upload.Store = (*Store)(nil)

// Open returns the store of a bucket. Nothing is asked of the service before the first object.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("S3 store: %w", err)
	}
	cfg = cfg.withDefaults()
	end, err := cfg.endpoint()
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, where: "s3://" + cfg.Bucket + " at " + end.Host}
	s.rooms.New = func() any { return new([room]byte) }
	s.who = &provider{cfg: cfg.Credentials}
	s.creds = credentials.New(s.who)
	transport := newTransport(cfg)
	s.idle = transport.CloseIdleConnections
	var trips http.RoundTripper = transport
	if cfg.Wrap != nil {
		trips = cfg.Wrap(trips)
	}
	lookup := minio.BucketLookupAuto
	switch cfg.Style {
	case Path:
		lookup = minio.BucketLookupPath
	case VirtualHost:
		lookup = minio.BucketLookupDNS
	case Auto:
	}
	s.client, err = minio.New(end.Host, &minio.Options{
		Creds: s.creds, Secure: end.Scheme == "https", Region: cfg.Region, BucketLookup: lookup, MaxRetries: 1,
		Transport: watchdog{trips, cfg.Timeout},
	})
	if err != nil {
		return nil, fmt.Errorf("S3 store: %w", err)
	}
	s.core = minio.Core{Client: s.client}
	s.base = end.Scheme + "://" + end.Host + "/" + cfg.Bucket + "/"
	if cfg.Style == VirtualHost {
		s.base = end.Scheme + "://" + cfg.Bucket + "." + end.Host + "/"
	}
	return s, nil
}

// Close ends the connections that are kept warm.
func (s *Store) Close() error {
	s.idle()
	return nil
}

// Warm asks the service for the bucket and leaves a warm connection. Its error says what is
// wrong with the store.
func (s *Store) Warm(ctx context.Context) error {
	found, err := s.client.BucketExists(ctx, s.cfg.Bucket)
	if err == nil && !found {
		err = &upload.Error{Kind: upload.NoBucket, Where: s.where}
	}
	return s.wrong(ctx, "", err)
}

// Put implements upload.Store.
func (s *Store) Put(ctx context.Context, key, contentType string, body *io.SectionReader) error {
	return s.store(ctx, key, contentType, body, true)
}

// Replace implements upload.Store.
func (s *Store) Replace(ctx context.Context, key, contentType string, body *io.SectionReader) error {
	return s.store(ctx, key, contentType, body, false)
}

// parcel is an object on its way.
type parcel struct {
	key  string // with the prefix
	body *io.SectionReader
	sum  [md5.Size]byte // of all of it
	opts minio.PutObjectOptions
}

func (s *Store) store(ctx context.Context, key, contentType string, body *io.SectionReader, once bool) error {
	if err := upload.CheckKey(key); err != nil {
		return &upload.Error{Kind: upload.Invalid, Where: s.where, Err: err}
	}
	p := parcel{key: s.cfg.Prefix + key, body: body}
	var err error
	if p.sum, err = s.sum(body); err != nil {
		return &upload.Error{Kind: upload.Invalid, Where: s.where, Key: key, Err: err}
	}
	p.opts = minio.PutObjectOptions{
		ContentType: contentType, UserMetadata: map[string]string{sumKey: hex.EncodeToString(p.sum[:])},
		DisableContentSha256: true, // the signature has the MD5 in it
	}
	if once {
		var done bool
		if done, err = s.condition(ctx, &p); done || err != nil {
			return s.wrong(ctx, key, err)
		}
	}
	err = s.send(ctx, p)
	if once && unknownCondition(err) && !s.unconditional.Swap(true) {
		s.cfg.Logger.Info("the store knows no conditional put: it is asked for each object first", "store", s.where)
		return s.store(ctx, key, contentType, body, once)
	}
	if once && taken(err) {
		err = s.compare(ctx, p)
	}
	return s.wrong(ctx, key, err)
}

// condition makes the put one that no second object comes from. It returns true where the object
// is there already.
func (s *Store) condition(ctx context.Context, p *parcel) (bool, error) {
	if !s.unconditional.Load() {
		p.opts.SetMatchETagExcept("*")
		return false, nil
	}
	err := s.compare(ctx, *p)
	if upload.KindOf(s.wrong(ctx, p.key, err)) == upload.Missing {
		return false, nil
	}
	return err == nil, err
}

// unknownCondition says that the service has no conditional put.
func unknownCondition(err error) bool {
	a, ok := errors.AsType[minio.ErrorResponse](err)
	return ok && (a.Code == "NotImplemented" || a.StatusCode == http.StatusNotImplemented)
}

// taken says that something lies at the key.
func taken(err error) bool {
	a, ok := errors.AsType[minio.ErrorResponse](err)
	return ok && (a.Code == "PreconditionFailed" || a.StatusCode == http.StatusPreconditionFailed)
}

// compare returns nil where the object at the key is the one on its way.
func (s *Store) compare(ctx context.Context, p parcel) error {
	info, err := s.client.StatObject(ctx, s.cfg.Bucket, p.key, minio.StatObjectOptions{})
	if err != nil {
		return err
	}
	sum := hex.EncodeToString(p.sum[:])
	noted := info.UserMetadata[sumKey]
	if info.Size == p.body.Size() && (noted == sum || noted == "" && info.ETag == sum) {
		return nil
	}
	return &upload.Error{Kind: upload.Conflict, Where: s.where, Key: p.key}
}

// room is through how much of it at a time a body is read for its sum.
const room = 32 << 10

// sum is the MD5 of a body: what Content-MD5 and mostly the ETag are. SHA-256 beside it would
// cost twice as much.
func (s *Store) sum(body *io.SectionReader) (digest [md5.Size]byte, err error) {
	h := md5.New()                         //nolint:gosec // S3's own
	through := s.rooms.Get().(*[room]byte) //nolint:forcetypeassert // nothing else is in there
	defer s.rooms.Put(through)
	n, err := io.CopyBuffer(h, whole(body), through[:])
	if err == nil && n != body.Size() {
		err = fmt.Errorf("the object has %d bytes where %d were promised", n, body.Size())
	}
	return [md5.Size]byte(h.Sum(nil)), err
}

// whole is a body from its beginning.
func whole(body *io.SectionReader) *io.SectionReader {
	return io.NewSectionReader(body, 0, body.Size())
}

// send uploads an object in one piece or in parts.
func (s *Store) send(ctx context.Context, p parcel) error {
	if p.body.Size() > s.cfg.PartSize {
		return s.sendParts(ctx, p)
	}
	g := &gate{body: whole(p.body)}
	defer g.shut()
	_, err := s.core.PutObject(ctx, s.cfg.Bucket, p.key, g, p.body.Size(), base64.StdEncoding.EncodeToString(p.sum[:]), "", p.opts)
	return err
}

// Exists implements upload.Store.
func (s *Store) Exists(ctx context.Context, key string) (size int64, found bool, err error) {
	if err = upload.CheckKey(key); err != nil {
		return 0, false, &upload.Error{Kind: upload.Invalid, Where: s.where, Err: err}
	}
	info, err := s.client.StatObject(ctx, s.cfg.Bucket, s.cfg.Prefix+key, minio.StatObjectOptions{})
	if err = s.wrong(ctx, key, err); err == nil {
		return info.Size, true, nil
	}
	switch upload.KindOf(err) { //nolint:exhaustive // the others are clear
	case upload.Missing:
		return 0, false, nil
	case upload.Forbidden, upload.Failed: // the answer to a HEAD has no body: a list says more
		listed := s.List(ctx, key, func(string, int64) error { return errListed })
		if listed != nil && !errors.Is(listed, errListed) {
			err = listed
		}
	}
	return 0, false, err
}

// errListed ends a list of which one entry is enough.
var errListed = errors.New("there is one")

// List implements upload.Store.
func (s *Store) List(ctx context.Context, prefix string, each func(key string, size int64) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range s.client.ListObjectsIter(ctx, s.cfg.Bucket, minio.ListObjectsOptions{Prefix: s.cfg.Prefix + prefix, Recursive: true}) {
		if o.Err != nil {
			return s.wrong(ctx, "", o.Err)
		}
		if err := each(strings.TrimPrefix(o.Key, s.cfg.Prefix), o.Size); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// Presign implements upload.Store. The URL lives for seven days at most: that is S3's limit.
func (s *Store) Presign(ctx context.Context, key string, valid time.Duration) (string, error) {
	if err := upload.CheckKey(key); err != nil {
		return "", &upload.Error{Kind: upload.Invalid, Where: s.where, Err: err}
	}
	if valid == 0 {
		return s.base + (&url.URL{Path: s.cfg.Prefix + key}).EscapedPath(), nil
	}
	u, err := s.client.PresignedGetObject(ctx, s.cfg.Bucket, s.cfg.Prefix+key, valid, nil)
	if err != nil {
		return "", s.wrong(ctx, key, err)
	}
	return u.String(), nil
}
