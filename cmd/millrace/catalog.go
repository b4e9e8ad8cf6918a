package main

import (
	"errors"
	"fmt"

	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/cmd/internal/config"
)

type catalogCommand struct {
	Rebuild catalogRebuild `cmd:"" help:"Make the database anew from the journals and files, with the same content. No millrace may run in the folder."`
	Show    catalogShow    `cmd:"" help:"Print all that the catalog knows, as JSON in one canonical form. No millrace may run in the folder."`
}

// dataFlags say whose recordings a command is about.
type dataFlags struct {
	Config string `placeholder:"FILE" help:"The configuration (YAML) that the recordings were made with."`
	Data   string `placeholder:"DIR" help:"The folder of the recordings. Default: data of the configuration, else ./millrace-data."`
}

// catalogOf says which catalog is meant.
func (d dataFlags) catalogOf(c *console) (catalog.Config, error) {
	cfg := config.Default()
	if d.Config != "" {
		var err error
		if cfg, err = config.Load(d.Config, app.ConfigEnv(app.Drivers())); err != nil {
			return catalog.Config{}, usageError{err}
		}
	}
	if d.Data != "" {
		cfg.Data = d.Data
	}
	log, err := c.logger("warn", "text", cfg.Scrub)
	known := app.CatalogConfig(cfg)
	known.Logger = log
	return known, err
}

type (
	catalogRebuild struct{ dataFlags }
	catalogShow    struct{ dataFlags }
)

// Run makes the database anew.
func (r *catalogRebuild) Run(c *console) error {
	cfg, err := r.catalogOf(c)
	if err != nil {
		return err
	}
	made, err := catalog.Rebuild(cfg, func(what string) { fmt.Fprintln(c.err, what) })
	if err != nil {
		return err
	}
	usage, err := made.Usage()
	if err == nil {
		segments := int64(0)
		for _, ch := range usage.Channels {
			segments += ch.Segments
		}
		fmt.Fprintf(c.out, "the catalog of %s is made anew: %d channels, %d segments, %.1f GB\n", cfg.Data, len(usage.Channels), segments, float64(usage.Bytes)/1e9)
	}
	return errors.Join(err, made.Close())
}

// Run prints the catalog.
func (s *catalogShow) Run(c *console) error {
	cfg, err := s.catalogOf(c)
	if err != nil {
		return err
	}
	opened, err := catalog.OpenToRead(cfg)
	if err != nil {
		return err
	}
	return errors.Join(opened.Dump(c.out), opened.Close())
}
