package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/millrace-video/millrace/stages/upload"
)

// wrong says what an error of the client means. The error of a context that ended passes as it is.
func (s *Store) wrong(ctx context.Context, key string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e, ok := errors.AsType[*upload.Error](err); ok {
		return e
	}
	e := &upload.Error{Where: s.where, Key: key}
	if answer, ok := errors.AsType[minio.ErrorResponse](err); ok {
		e.Kind = kindOf(answer)
		e.Err = errors.New(s.clean(explain(answer)))
	} else {
		e.Kind = network(err)
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL
		}
		e.Err = errors.New(s.clean(err.Error()))
	}
	if e.Kind == upload.Credentials || e.Kind == upload.Expired || e.Kind == upload.Forbidden {
		s.creds.Expire() // whoever puts them right needs no restart
	}
	return e
}

// explain is an answer in few words.
func explain(a minio.ErrorResponse) string {
	switch {
	case a.Code == "":
		return http.StatusText(a.StatusCode)
	case a.Message == "" || a.Message == a.Code:
		return a.Code
	}
	return a.Code + ": " + strings.TrimSuffix(a.Message, ".")
}

// clean is what a server says as it can be shown: short, printable, without a secret.
func (s *Store) clean(text string) string {
	for _, secret := range s.who.secrets() {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "xxxxx")
		}
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	const most = 200
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// kindOf tells an answer's kind by its code, else by its status.
func kindOf(a minio.ErrorResponse) upload.Kind {
	switch a.Code {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurity", "InvalidToken", "InvalidClientTokenId", "XAdminUserNotFound", "UnrecognizedClientException":
		return upload.Credentials
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
		return upload.Expired
	case "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture":
		return upload.Clock
	case "AccessDenied", "AllAccessDisabled", "AccountProblem", "NotSignedUp":
		return upload.Forbidden
	case "NoSuchBucket", "InvalidBucketName", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return upload.NoBucket
	case "SlowDown", "SlowDownWrite", "SlowDownRead", "Throttling", "ThrottlingException", "RequestLimitExceeded", "RequestThrottled", "TooManyRequests", "BandwidthLimitExceeded":
		return upload.Throttled
	case "RequestTimeout":
		return upload.TimedOut
	case "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch":
		return upload.Damaged
	case "QuotaExceeded", "XMinioStorageFull":
		return upload.DiskFull
	case "PreconditionFailed":
		return upload.Conflict
	case "NoSuchKey":
		return upload.Missing
	case "ConditionalRequestConflict", "OperationAborted", "NoSuchUpload", "InvalidPart":
		return upload.Broken
	}
	return status(a.StatusCode)
}

func status(code int) upload.Kind {
	switch code {
	case http.StatusMovedPermanently:
		return upload.NoBucket
	case http.StatusForbidden, http.StatusUnauthorized:
		return upload.Forbidden
	case http.StatusNotFound:
		return upload.Missing
	case http.StatusPreconditionFailed:
		return upload.Conflict
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return upload.TimedOut
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return upload.Throttled
	case http.StatusInsufficientStorage:
		return upload.DiskFull
	}
	switch {
	case code >= http.StatusInternalServerError:
		return upload.Broken
	case code >= http.StatusBadRequest:
		return upload.Invalid
	}
	return upload.Failed
}

// network tells what kept a request from being answered.
func network(err error) upload.Kind {
	if _, ok := errors.AsType[*credentialsError](err); ok {
		return upload.Credentials
	}
	if untrusted(err) {
		return upload.Untrusted
	}
	if errors.Is(err, errStalled) {
		return upload.TimedOut
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return upload.Unreachable
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return upload.TimedOut
	}
	return upload.Unreachable
}

func untrusted(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*authorityError](err); ok {
		return true
	}
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	return plain
}
