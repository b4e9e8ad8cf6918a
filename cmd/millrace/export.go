package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/millrace-video/millrace/cmd/internal/playback"
)

type exportCommand struct {
	recorded

	From   string `required:"" placeholder:"TIME" help:"From when: 2026-01-31T12:00:00Z, seconds since 1970, or -10m, which is ten minutes ago."`
	Output string `short:"o" required:"" placeholder:"FILE" help:"The MP4 file to write. Where one film cannot hold it NAME-2.mp4 and so on follow."`
	Force  bool   `short:"f" help:"Replace FILE where it exists."`
}

// exporter writes the film that is asked for. sized is told how many bytes it will be.
type exporter func(ctx context.Context, a playback.Ask, to io.Writer, sized func(int64)) error

// Run exports. It tells each file that it has written.
func (e *exportCommand) Run(c *console) error {
	a, err := e.ask(e.From)
	if err != nil {
		return err
	}
	if err = checkOutput(e.Output, e.Force); err != nil {
		return usageError{err}
	}
	export := fromAPI(client{asking{API: e.API}, c})
	if e.Data != "" {
		var folder *playback.Folder
		if folder, err = playback.OpenFolder(e.Data, e.Name); err != nil {
			return err
		}
		export = fromFolder(folder)
	}
	err = e.write(c, export, a, e.Output)
	many, ok := errors.AsType[*playback.ManyError](err)
	if !ok {
		return err
	}
	return e.each(c, export, a, many.Parts)
}

// each writes the films of a range that is not one.
func (e *exportCommand) each(c *console, export exporter, a playback.Ask, parts []playback.Part) error {
	for i := range parts {
		if err := checkOutput(e.name(i), e.Force); err != nil {
			return usageError{err}
		}
	}
	for i, p := range parts {
		if p.Why != "" {
			fmt.Fprintf(c.err, "another film: %s\n", p.Why)
		}
		a.File = p.File
		if err := e.write(c, export, a, e.name(i)); err != nil {
			return err
		}
	}
	return nil
}

// name is that of film number i.
func (e *exportCommand) name(i int) string {
	if i == 0 {
		return e.Output
	}
	ext := filepath.Ext(e.Output)
	return fmt.Sprintf("%s-%d%s", strings.TrimSuffix(e.Output, ext), i+1, ext)
}

// write makes one file, which has its name when it is whole.
func (e *exportCommand) write(c *console, export exporter, a playback.Ask, path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part")
	if err != nil {
		return err
	}
	p := &progress{w: f, ctx: c.ctx}
	if isTerminal(c.err) {
		p.console = c.err
	}
	err = export(c.ctx, a, p, func(n int64) { p.total = n })
	p.clear()
	if err == nil {
		err = errors.Join(f.Chmod(0o644), f.Sync())
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	fmt.Fprintf(c.err, "%s: %.1f MB\n", path, float64(p.done)/1e6)
	return nil
}

// progress shows how far a file is.
type progress struct {
	w           io.Writer
	ctx         context.Context //nolint:containedctx // of the one export that it shows
	console     io.Writer       // nil: nobody sees it
	done, total int64
	shown       int64 // percent
}

// Write implements io.Writer.
func (p *progress) Write(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, errors.New("told to end")
	}
	n, err := p.w.Write(b)
	p.done += int64(n)
	if percent := 100 * p.done / max(p.total, 1); p.console != nil && percent != p.shown {
		p.shown = percent
		fmt.Fprintf(p.console, "\r\x1b[K%.1f of %.1f MB", float64(p.done)/1e6, float64(p.total)/1e6)
	}
	return n, err
}

func (p *progress) clear() {
	if p.console != nil {
		fmt.Fprint(p.console, "\r\x1b[K")
	}
}

// fromFolder exports from files.
func fromFolder(f *playback.Folder) exporter {
	return func(ctx context.Context, a playback.Ask, to io.Writer, sized func(int64)) error {
		film, err := playback.Export(ctx, f, a)
		if nothing, ok := errors.AsType[*playback.NothingError](err); ok {
			return fmt.Errorf("%w: %s", err, nothing.Hint())
		}
		if err != nil {
			return err
		}
		sized(film.Size)
		_, err = film.WriteTo(to)
		return errors.Join(err, film.Close())
	}
}

// fromAPI has a running millrace export.
func fromAPI(c client) exporter {
	return func(_ context.Context, a playback.Ask, to io.Writer, sized func(int64)) error {
		q := query(a)
		if a.File > 0 {
			q.Set("file", strconv.FormatUint(a.File, 10))
		}
		resp, err := c.request(http.MethodGet, "/v1/channels/"+url.PathEscape(a.Channel)+"/export?"+q.Encode(), 0)
		if r, ok := errors.AsType[*refusal](err); ok && len(r.apiError.Parts) > 0 {
			return &playback.ManyError{Ask: a, Parts: r.apiError.Parts}
		}
		if err != nil {
			return err
		}
		sized(resp.ContentLength)
		_, err = io.Copy(to, resp.Body)
		return errors.Join(err, resp.Body.Close())
	}
}
