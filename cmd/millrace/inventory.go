package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/millrace-video/millrace/hal"
)

// print writes tables for a person: the cameras, what each of them delivers and what can be set
// on it, and the encoders.
func (inv inventory) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CAMERA\tDRIVER\tBUS\tNODE\tURL")
	for _, d := range inv.Devices {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", plain(d.Name), d.Driver, orDash(d.Bus), orDash(d.Node), plain(hal.Redact(d.URL)))
	}
	for _, d := range inv.Devices {
		if err := t.Flush(); err != nil { // the columns of one table are not another's
			return err
		}
		fmt.Fprintf(w, "\n%s\n", plain(hal.Redact(d.URL)))
		formats(t, d.Formats)
		if len(d.Controls) > 0 {
			if err := t.Flush(); err != nil {
				return err
			}
			fmt.Fprintln(t, "\n  CONTROL\tKIND\tDEFAULT\tVALUE\tRANGE")
		}
		for _, c := range d.Controls {
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", c.Name, c.Kind, item(c, &c.Default), item(c, c.Value), controlRange(c))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(t, "\nENCODER\tMAKES\tRANK\tHARDWARE\tLIBRARY OR DEVICE")
	for _, e := range inv.Encoders {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", e.Name, e.Codec, e.Rank, yesNo(e.Hardware), plain(e.Detail))
	}
	if len(inv.Encoders) == 0 {
		fmt.Fprintln(t, "none: raw cameras cannot be recorded\t\t\t\t")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range inv.Notes {
		if _, err := fmt.Fprintln(w, "\n"+n+"."); err != nil {
			return err
		}
	}
	return nil
}

// formats writes a line for the sizes of a format that come at the same rates.
func formats(w io.Writer, all []hal.Format) {
	type line struct{ name, rates string }
	var order []line
	sizes := map[line][]string{}
	for _, f := range all {
		l := line{f.Name, rates(f.Rates)}
		if !slices.Contains(order, l) {
			order = append(order, l)
		}
		sizes[l] = append(sizes[l], fmt.Sprintf("%dx%d", f.Width, f.Height))
	}
	if len(order) == 0 {
		fmt.Fprintln(w, "  no format that is known here")
		return
	}
	fmt.Fprintln(w, "  FORMAT\tFRAMES A SECOND\tSIZES")
	for _, l := range order {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", l.name, l.rates, strings.Join(sizes[l], " "))
	}
}

// rates is rates as a person writes them, the highest first.
func rates(all []float64) string {
	words := make([]string, 0, len(all))
	for _, r := range all {
		words = append(words, rate(r))
	}
	return orDash(strings.Join(words, " "))
}

// rate is a rate with two decimals at most.
func rate(r float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(r, 'f', 2, 64), "0"), ".")
}

// controlRange says what a control can be.
func controlRange(c hal.Control) string {
	switch c.Kind {
	case "button":
		return "-"
	case "bool":
		return "0 or 1"
	case "bits":
		return fmt.Sprintf("bits of %#x", uint32(c.Max)) //nolint:gosec // the kernel's number of them is unsigned
	case "menu":
		var items []string
		for _, name := range c.Menu {
			if name != "" {
				items = append(items, plain(name))
			}
		}
		return strings.Join(items, ", ")
	}
	s := fmt.Sprintf("%d to %d", c.Min, c.Max)
	if c.Step > 1 {
		s += fmt.Sprintf(" by %d", c.Step)
	}
	return s
}

// item is a control's value: a menu's by its name.
func item(c hal.Control, value *int64) string {
	switch {
	case value == nil || c.Kind == "button":
		return "-"
	case c.Kind == "menu" && *value >= c.Min && *value-c.Min < int64(len(c.Menu)) && c.Menu[*value-c.Min] != "":
		return plain(c.Menu[*value-c.Min])
	}
	if c.Kind == "bits" {
		return fmt.Sprintf("%#x", uint32(*value)) //nolint:gosec // as in controlRange
	}
	return strconv.FormatInt(*value, 10)
}

// plain is what a device calls itself, without what would upset a terminal or a table.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return plain(s)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
