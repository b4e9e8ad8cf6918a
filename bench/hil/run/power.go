package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace-video/millrace/bench/hil"
)

// trial is a program of the machine that shows what a power cut takes. At first it writes a file
// that is flushed and, past the machine's page cache, over one that is not, and waits for its end; after
// that it tells what is there.
const trial = `#!/bin/sh
if [ -e /disk/flushed ]; then
	echo "TRIAL flushed: $(cat /disk/flushed), over: $(head -c 4 /disk/over), late: $(ls /disk | grep -c late)"
	exit 0
fi
yes old0 | tr -d '\n' | head -c 65536 >/disk/over
echo kept >/disk/flushed
sync
echo lost >/disk/late
yes new0 | tr -d '\n' | head -c 65536 | dd of=/disk/over bs=65536 iflag=fullblock oflag=direct conv=notrunc 2>/dev/null
echo "TRIAL head $(head -c 4 /disk/over)"
sleep 600
`

// What trial says, in the end and before it waits for it.
const (
	trialReady = "TRIAL head new0"
	trialFound = "TRIAL flushed: kept, over: old0, late: 0"
)

// powerCut shows that the machine's disk loses at a power cut what was not flushed, and only that.
func (s settings) powerCut(ctx context.Context, dir string) hil.Case {
	begin := time.Now()
	c := hil.Case{Name: "APowerCutLosesWhatWasNotFlushed", Result: "pass"}
	figure, err := s.cutOnce(ctx, dir)
	if err != nil {
		c.Result, figure = "fail", err.Error()
	}
	c.Figures, c.Seconds = []string{figure}, fmt.Sprintf("%.2f", time.Since(begin).Seconds())
	return c
}

func (s settings) cutOnce(ctx context.Context, dir string) (figure string, err error) {
	share, err := os.MkdirTemp("", "millrace-hil-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(share) //nolint:errcheck // a leftover in the temporary directory
	image := filepath.Join(share, "disk.img")
	if err = hil.MakeImage(ctx, image, 64<<20); err != nil {
		return "", err
	}
	disk, err := hil.NewDisk(image, filepath.Join(share, "disk.socket"))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	err = errors.Join(os.WriteFile(filepath.Join(share, "trial"), []byte(trial), 0o755), //nolint:gosec // it is a program
		os.WriteFile(filepath.Join(share, "args"), nil, 0o600))
	if err != nil {
		return "", err
	}
	m := hil.Machine{Arch: s.arch, Dir: dir, Share: share, Program: "trial", Disk: disk, Mount: "commit=300"}
	first, cut := context.WithTimeout(ctx, time.Minute)
	defer cut()
	said := &heard{word: trialReady, act: cut}
	if _, err = m.Run(first, said); !errors.Is(err, context.Canceled) {
		return "", fmt.Errorf("the first machine was not cut: %w\n%s", err, said)
	}
	lost, err := disk.Cut(nil)
	if err != nil {
		return "", err
	}
	said = &heard{word: trialFound, act: func() {}}
	if _, err = m.Run(ctx, said); err != nil || !said.done {
		return "", fmt.Errorf("the second machine found something else: %w\n%s", err, said)
	}
	writes, flushes := disk.Counts()
	return fmt.Sprintf("%d writes and %d flushes, %d writes lost", writes, flushes, lost), nil
}

// heard is a console that acts when a word comes.
type heard struct {
	text bytes.Buffer
	word string
	act  func()
	done bool
}

func (h *heard) String() string { return h.text.String() }

func (h *heard) Write(b []byte) (int, error) {
	n, err := h.text.Write(b)
	if !h.done && strings.Contains(h.String(), h.word) {
		h.done = true
		h.act()
	}
	return n, err
}
