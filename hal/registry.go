package hal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Registry is the drivers there are, in order of preference. It is a value that the program
// builds; there is no global one.
type Registry struct {
	drivers []Driver
}

// NewRegistry returns a registry of these drivers, the preferred ones first. Two drivers of
// one name are a bug and panic.
func NewRegistry(drivers ...Driver) *Registry {
	seen := map[string]bool{}
	for _, d := range drivers {
		if seen[d.Name()] {
			panic("hal: two drivers named " + d.Name())
		}
		seen[d.Name()] = true
	}
	return &Registry{drivers: drivers}
}

// Lookup parses a source's URL and returns the driver that takes it. The error says what would
// be right and shows no password.
func (r *Registry) Lookup(rawURL string) (SourceDriver, *url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, nil, fmt.Errorf("source %q: not a URL: %w", Redact(rawURL), parseCause(err))
	}
	var known []string
	for _, d := range r.drivers {
		s, ok := d.(SourceDriver)
		if !ok {
			continue
		}
		if slices.Contains(s.Schemes(), u.Scheme) {
			if err := s.Check(u); err != nil {
				return nil, nil, fmt.Errorf("source %q: %w", Redact(rawURL), err)
			}
			return s, u, nil
		}
		known = append(known, s.Schemes()...)
	}
	return nil, nil, fmt.Errorf("source %q: no driver takes %q: one of %s", Redact(rawURL), u.Scheme, strings.Join(known, ", "))
}

// parseCause strips the URL, and so its password, from url.Parse's error.
func parseCause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		if strings.Contains(e.Err.Error(), "userinfo") || strings.Contains(e.Err.Error(), "port") {
			return errors.New("a special character in user, password, host or port must be written as %XX")
		}
		return e.Err
	}
	return err
}

// Open opens the source that a URL names.
func (r *Registry) Open(ctx context.Context, rawURL string, opts Options) (Source, error) {
	d, u, err := r.Lookup(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	src, err := d.Open(ctx, u, opts.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", Redact(rawURL), err)
	}
	return src, nil
}

// Await returns nil when the device that a URL names has been plugged in, or an error where its
// driver cannot tell or ctx is done.
func (r *Registry) Await(ctx context.Context, rawURL string) error {
	d, u, err := r.Lookup(rawURL)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	a, ok := d.(Awaiter)
	if !ok {
		return ErrUnsupported
	}
	return a.Await(ctx, u)
}

// Devices lists the cameras of all drivers. One driver's failure hides no other's devices: the
// errors come joined, beside what was found.
func (r *Registry) Devices(ctx context.Context) ([]Device, error) {
	var all []Device
	var errs []error
	for _, d := range r.drivers {
		l, ok := d.(Lister)
		if !ok {
			continue
		}
		found, err := l.Devices(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("driver %s: %w", d.Name(), err))
		}
		all = append(all, found...)
	}
	return all, errors.Join(errs...)
}

// choice is an encoder and who opens it.
type choice struct {
	EncoderInfo
	driver EncoderDriver
}

// Encoders lists the encoders of all drivers for a codec, the preferred first: those named in
// prefer, then by rank.
func (r *Registry) Encoders(ctx context.Context, codec Codec, prefer ...string) ([]EncoderInfo, error) {
	all, err := r.choices(ctx, codec, prefer)
	infos := make([]EncoderInfo, 0, len(all))
	for _, c := range all {
		infos = append(infos, c.EncoderInfo)
	}
	return infos, err
}

func (r *Registry) choices(ctx context.Context, codec Codec, prefer []string) ([]choice, error) {
	var all []choice
	var errs []error
	for _, d := range r.drivers {
		e, ok := d.(EncoderDriver)
		if !ok {
			continue
		}
		infos, err := e.Encoders(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("driver %s: %w", d.Name(), err))
		}
		for _, info := range infos {
			if info.Codec == codec {
				all = append(all, choice{info, e})
			}
		}
	}
	place := func(c choice) int {
		if i := slices.Index(prefer, c.Name); i >= 0 {
			return i
		}
		return len(prefer)
	}
	slices.SortStableFunc(all, func(a, b choice) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(b.Rank, a.Rank))
	})
	return all, errors.Join(errs...)
}

// OpenEncoder opens the best encoder for cfg, and the next best where that fails. It returns
// what it opened. An encoder that failed before can be left out by name.
func (r *Registry) OpenEncoder(ctx context.Context, cfg EncoderConfig, except ...string) (Encoder, EncoderInfo, error) {
	all, err := r.choices(ctx, cfg.Codec, cfg.Prefer)
	errs := []error{err}
	for _, c := range all {
		if slices.Contains(except, c.Name) {
			continue
		}
		enc, err := c.driver.OpenEncoder(ctx, c.Name, cfg)
		if err == nil {
			return enc, c.EncoderInfo, nil
		}
		errs = append(errs, fmt.Errorf("encoder %s: %w", c.Name, err))
	}
	return nil, EncoderInfo{}, fmt.Errorf("%w: no encoder for %s from %s: %w", ErrUnsupported, cfg.Codec, cfg.Input, errors.Join(errs...))
}
