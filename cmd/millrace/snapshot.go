package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-video/millrace/stages/snapshot"
)

type snapshotCommand struct {
	API   string `name:"api" default:"127.0.0.1:8080" placeholder:"ADDR" help:"HOST:PORT where millrace run serves its API. Default: ${default}."`
	Name  string `arg:"" help:"The channel."`
	Out   string `short:"o" required:"" placeholder:"FILE" help:"Where the picture goes; - is standard output."`
	Width int    `placeholder:"PIXELS" help:"A narrower picture. Default: as it comes."`
}

// Run asks a running millrace for a picture of a channel.
func (s *snapshotCommand) Run(c *console) error {
	if err := snapshot.CheckWidth(s.Width); err != nil {
		return usageError{fmt.Errorf("--width: %w", err)}
	}
	path := "/v1/channels/" + url.PathEscape(s.Name) + "/snapshot.jpg"
	if s.Width != 0 {
		path += "?width=" + strconv.Itoa(s.Width)
	}
	resp, err := client{asking{API: s.API}, c}.request(http.MethodGet, path, time.Minute)
	if err != nil {
		return err
	}
	picture, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.Header.Get("Content-Type") == "video/mp4" && !strings.HasSuffix(s.Out, ".mp4") {
		fmt.Fprintf(c.err, "the key frame could not be decoded there: %s is an MP4 with that one frame\n", s.Out)
	}
	if s.Out == "-" {
		_, err = c.out.Write(picture)
		return err
	}
	return replace(s.Out, picture)
}

// replace writes a file whole, or leaves what is there.
func replace(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".snapshot-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil { //nolint:gosec // as files are
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(f.Name()))
	}
	return nil
}
