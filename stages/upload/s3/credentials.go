package s3

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// From is where credentials come from.
type From string

// The places.
const (
	Keys        From = "keys"        // the configuration
	File        From = "file"        // a shared credentials file, as the AWS tools write it
	Environment From = "environment" // AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
	Role        From = "role"        // the instance's or container's own role
)

// Credentials are who signs the requests. A file is read again when it has changed, and each of
// them anew after the store refused what it had.
type Credentials struct {
	From From // default: Keys where AccessKey is set, File where File is, else Environment

	AccessKey, SecretKey, SessionToken string

	File    string
	Profile string // in the file; default "default"

	RoleEndpoint string // of the instance's metadata; default the cloud's own
}

func (c Credentials) from() From {
	switch {
	case c.From != "":
		return c.From
	case c.AccessKey != "":
		return Keys
	case c.File != "":
		return File
	}
	return Environment
}

func (c Credentials) validate() error {
	switch c.from() {
	case Keys:
		if c.AccessKey == "" || c.SecretKey == "" {
			return errors.New("credentials from keys: both an access key and a secret key")
		}
	case File:
		if c.File == "" {
			return errors.New("credentials from a file: which file")
		}
	case Environment, Role:
	default:
		return fmt.Errorf("credentials from %.20q: %s, %s, %s or %s", c.From, Keys, File, Environment, Role)
	}
	return nil
}

// credentialsError says that there are no credentials to sign with.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// provider makes credentials anew whenever they are asked for again, and knows when their file
// has changed.
type provider struct {
	cfg Credentials

	mu      sync.Mutex
	current credentials.Provider // nil: none were had
	read    stamp
	value   credentials.Value // the latest
}

// secrets are what no error may show.
func (p *provider) secrets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return []string{p.cfg.SecretKey, p.cfg.SessionToken, p.value.SecretAccessKey, p.value.SessionToken}
}

var _ credentials.Provider = (*provider)(nil)

// stamp is by what a changed file is known.
type stamp struct {
	size int64
	mod  time.Time
}

func (p *provider) stamp() stamp {
	if p.cfg.from() != File {
		return stamp{}
	}
	info, err := os.Stat(p.cfg.File)
	if err != nil {
		return stamp{}
	}
	return stamp{info.Size(), info.ModTime()}
}

// Retrieve implements credentials.Provider.
func (p *provider) Retrieve() (credentials.Value, error) { return p.RetrieveWithCredContext(nil) }

// RetrieveWithCredContext implements credentials.Provider.
func (p *provider) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read, p.current = p.stamp(), nil
	fresh := p.make()
	if cc == nil {
		cc = &credentials.CredContext{}
	}
	v, err := fresh.RetrieveWithCredContext(cc)
	if err == nil && (v.AccessKeyID == "" || v.SecretAccessKey == "") {
		err = errors.New("there are none in it")
	}
	if err == nil {
		p.current, p.value = fresh, v
		return v, nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return v, err
	}
	return v, &credentialsError{p.explain(err)}
}

func (p *provider) make() credentials.Provider { //nolint:ireturn // there are four
	switch p.cfg.from() {
	case Keys:
		return &credentials.Static{Value: credentials.Value{
			AccessKeyID: p.cfg.AccessKey, SecretAccessKey: p.cfg.SecretKey, SessionToken: p.cfg.SessionToken, SignerType: credentials.SignatureV4,
		}}
	case File:
		return &credentials.FileAWSCredentials{Filename: p.cfg.File, Profile: p.cfg.Profile}
	case Role:
		return &credentials.IAM{Endpoint: p.cfg.RoleEndpoint}
	case Environment:
	}
	return &credentials.EnvAWS{}
}

// explain says where there are no credentials. A parser's error may quote the file: it is not shown.
func (p *provider) explain(err error) error {
	switch p.cfg.from() {
	case File:
		if _, gone := os.Stat(p.cfg.File); gone != nil {
			return fmt.Errorf("the file of the credentials cannot be read: %w", gone)
		}
		return fmt.Errorf("the file %s has no credentials for the profile %q", p.cfg.File, p.profile())
	case Environment:
		return errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set in this program's environment")
	case Role:
		return fmt.Errorf("this machine's role has none: %w", err)
	case Keys:
	}
	return err
}

func (p *provider) profile() string {
	if p.cfg.Profile != "" {
		return p.cfg.Profile
	}
	return "default"
}

// IsExpired implements credentials.Provider.
func (p *provider) IsExpired() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current == nil || p.current.IsExpired() || p.stamp() != p.read
}
