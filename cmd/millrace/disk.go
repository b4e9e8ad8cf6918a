package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
)

type diskCommand struct {
	dataFlags

	API  string `name:"api" default:"127.0.0.1:8080" placeholder:"ADDR" help:"HOST:PORT where millrace run serves its API; asked where neither --data nor --config is given. Default: ${default}."`
	JSON bool   `name:"json" help:"Print the API's JSON."`
}

// Run asks a running millrace, or looks into the catalog itself.
func (d *diskCommand) Run(c *console) error {
	text, err := d.usage(c)
	if err != nil {
		return err
	}
	if d.JSON {
		_, err := c.out.Write(text)
		return err
	}
	var u catalog.Usage
	if err := json.Unmarshal(text, &u); err != nil {
		return fmt.Errorf("what answers at %s is no millrace: %w", d.API, err)
	}
	return usageTable(c.out, u)
}

// usage is the API's answer, or what it would be.
func (d *diskCommand) usage(c *console) (text []byte, err error) {
	if d.Data == "" && d.Config == "" {
		return client{asking{API: d.API}, c}.get(http.MethodGet, "/v1/disk")
	}
	cfg, err := d.catalogOf(c)
	if err != nil {
		return nil, err
	}
	opened, err := catalog.OpenToRead(cfg)
	if err != nil {
		return nil, err
	}
	u, err := opened.Usage()
	if err = errors.Join(err, opened.Close()); err != nil {
		return nil, err
	}
	text, err = json.MarshalIndent(u, "", "  ")
	return append(text, '\n'), err
}

func usageTable(w io.Writer, u catalog.Usage) error {
	for _, what := range []string{u.Alarm, u.Trouble} {
		if what != "" {
			fmt.Fprintln(w, "ALARM:", what)
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CHANNEL\tFILES\tBYTES\tOF\tKEEP\tPINS\tOLDEST\tNEWEST\tFOLDER")
	for _, ch := range u.Channels {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", ch.Name, ch.Segments, gigabytes(ch.Bytes), limit(ch.MaxBytes), keep(ch.Keep), ch.Pins,
			label(ch.Oldest), label(ch.Newest), ch.Folder)
	}
	if s := u.Spool; s != nil {
		fmt.Fprintf(t, "(spool)\t\t%s\t%s\t\t\t\t\t%s\n", gigabytes(s.Bytes), limit(s.MaxBytes), s.Folder)
	}
	fmt.Fprintf(t, "all\t\t%s\t%s\n", gigabytes(u.Bytes), limit(u.MaxBytes))
	if err := t.Flush(); err != nil {
		return err
	}
	for _, d := range u.Disks {
		fmt.Fprintf(w, "\nDisk of %s: %s free of %s, %s stay free\n", d.Folder, gigabytes(d.Free), gigabytes(d.Total), gigabytes(d.MinFree))
		for i, s := range d.Next {
			fmt.Fprintf(w, "  %d. to go: %s, %s%s\n", i+1, toGo(s), gigabytes(s.Bytes), pinned(s))
		}
	}
	if len(u.Beside) > 0 {
		fmt.Fprintln(w, "\nBeside that, in no limit but what stays free:")
	}
	for _, b := range u.Beside {
		more := ""
		if b.AtLeast {
			more = " at least"
		}
		fmt.Fprintf(w, "  %s: %s in %d files%s\n", b.What, gigabytes(b.Bytes), b.Files, more)
	}
	if !u.Trusted {
		fmt.Fprintln(w, "\nThe wall clock is not trusted: nothing goes for its age until it is.")
	}
	return nil
}

func toGo(s catalog.Sacrifice) string {
	if s.Spool {
		return "from the spool"
	}
	return s.Channel + "/" + s.File
}

func pinned(s catalog.Sacrifice) string {
	if s.Spool && s.Pinned {
		return ", of events, the oldest packages first, then pictures, then messages: nothing else is left"
	}
	if s.Spool {
		return ", the oldest packages that are in no event: no other recording is left"
	}
	if s.Pinned {
		return ", an event's: nothing else is left"
	}
	return ", the oldest that no event keeps"
}

func gigabytes(n int64) string { return fmt.Sprintf("%.2f GB", float64(n)/1e9) }

func limit(n int64) string {
	if n == 0 {
		return "-"
	}
	return gigabytes(n)
}

func keep(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.String()
}

func label(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Format(time.DateTime)
}
