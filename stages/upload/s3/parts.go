package s3

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"
)

// maxParts is S3's own limit.
const maxParts = 10_000

// sendParts uploads an object in parts. Parts that an earlier attempt got through, be it of an
// earlier process, are not sent again.
func (s *Store) sendParts(ctx context.Context, p parcel) error {
	size := s.cfg.PartSize
	for p.body.Size() > size*maxParts {
		size *= 2
	}
	id, there, err := s.resume(ctx, p.key)
	if err != nil {
		return err
	}
	if id == "" {
		opts := p.opts
		opts = minio.PutObjectOptions{ContentType: opts.ContentType, UserMetadata: opts.UserMetadata}
		if id, err = s.core.NewMultipartUpload(ctx, s.cfg.Bucket, p.key, opts); err != nil {
			return err
		}
	}
	var parts []minio.CompletePart
	for at, n := int64(0), 1; at < p.body.Size(); at, n = at+size, n+1 {
		part := io.NewSectionReader(p.body, at, min(size, p.body.Size()-at))
		tag, failed := s.sendPart(ctx, p.key, id, n, part, there[n])
		if failed != nil {
			return fmt.Errorf("part %d: %w", n, failed)
		}
		parts = append(parts, minio.CompletePart{PartNumber: n, ETag: tag})
	}
	_, err = s.core.CompleteMultipartUpload(ctx, s.cfg.Bucket, p.key, id, parts, p.opts)
	if gone(err) { // the answer to an earlier attempt may have been lost
		return s.compare(ctx, p)
	}
	if taken(err) {
		return errors.Join(err, s.core.AbortMultipartUpload(ctx, s.cfg.Bucket, p.key, id))
	}
	return err
}

// gone says that an upload in parts is no more.
func gone(err error) bool {
	a, ok := errors.AsType[minio.ErrorResponse](err)
	return ok && a.Code == "NoSuchUpload"
}

// sendPart uploads one part, unless the service has it.
func (s *Store) sendPart(ctx context.Context, key, id string, n int, part *io.SectionReader, there minio.ObjectPart) (string, error) {
	digest, err := s.sum(part)
	if err != nil {
		return "", err
	}
	if there.Size == part.Size() && strings.Trim(there.ETag, `"`) == hex.EncodeToString(digest[:]) {
		return there.ETag, nil
	}
	opts := minio.PutObjectPartOptions{Md5Base64: base64.StdEncoding.EncodeToString(digest[:]), DisableContentSha256: true}
	g := &gate{body: whole(part)}
	defer g.shut()
	done, err := s.core.PutObjectPart(ctx, s.cfg.Bucket, key, id, n, g, part.Size(), opts)
	return done.ETag, err
}

// resume finds the latest upload in parts of a key that was left unfinished, and its parts.
func (s *Store) resume(ctx context.Context, key string) (id string, parts map[int]minio.ObjectPart, err error) {
	found, err := s.core.ListMultipartUploads(ctx, s.cfg.Bucket, key, "", "", "", 1000)
	if err != nil {
		return "", nil, err
	}
	var latest minio.ObjectMultipartInfo
	for _, u := range found.Uploads {
		if u.Key == key && (latest.UploadID == "" || u.Initiated.After(latest.Initiated)) {
			latest = u
		}
	}
	if latest.UploadID == "" {
		return "", nil, nil
	}
	parts = map[int]minio.ObjectPart{}
	for marker := 0; ; {
		page, err := s.core.ListObjectParts(ctx, s.cfg.Bucket, key, latest.UploadID, marker, 1000)
		if gone(err) {
			return "", nil, nil
		}
		if err != nil {
			return "", nil, err
		}
		for _, part := range page.ObjectParts {
			parts[part.PartNumber] = part
		}
		if !page.IsTruncated || page.NextPartNumberMarker <= marker {
			return latest.UploadID, parts, nil
		}
		marker = page.NextPartNumberMarker
	}
}
