package outage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace-video/millrace/bench/hil"
	"github.com/millrace-video/millrace/stages/record"
)

// Series cuts the power of one machine again and again: its disk lives on, so that what is on it
// comes from several boots.
type Series struct {
	Machine  hil.Machine // its kind and where it lies; the rest is the series' own
	Machines string      // the program as the machine runs it
	Host     string      // the program as this host runs it
	Scratch  string      // an empty folder
	From, To time.Duration
	Progress func(string)

	disk    *hil.Disk
	image   string
	kept    map[string]kept   // what was durable and salvaged, by name
	highest map[string]uint64 // number of a channel's files before this boot
	said    []string          // what the start on the host reported of the disk as it is
	found   Found
}

// Found is what a series came to.
type Found struct {
	Cuts     int
	Lost     int // blocks that were written and not flushed, and that a cut took
	Worst    time.Duration
	Measured int // channels' ends that Worst is of
	Files    int // decoded
	Salvaged int // lines of starts that repaired something
	Starts   int // inside the machine, as far as its log goes
}

// String is the figure of the table.
func (f Found) String() string {
	return fmt.Sprintf("%d cuts, %d blocks lost on their way; at most %.2f s missing at %d ends; %d files decoded; %d lines of salvage in %d starts",
		f.Cuts, f.Lost, f.Worst.Seconds(), f.Measured, f.Files, f.Salvaged, f.Starts)
}

const imageSize = 512 << 20

// Run does the cuts, one after the other. After an error the scratch folder shows how things were.
func (s *Series) Run(ctx context.Context, cuts []Cut) (_ Found, err error) {
	s.kept, s.highest = map[string]kept{}, map[string]uint64{}
	s.image = filepath.Join(s.Scratch, "disk.img")
	share := filepath.Join(s.Scratch, "share")
	if err = errors.Join(os.Mkdir(share, 0o755), hil.MakeImage(ctx, s.image, imageSize)); err != nil { //nolint:gosec // the machine's
		return s.found, err
	}
	if err = tool(ctx, "cp", s.Machines, filepath.Join(share, "millrace")); err != nil {
		return s.found, err
	}
	if s.disk, err = hil.NewDisk(s.image, filepath.Join(s.Scratch, "socket")); err != nil {
		return s.found, err
	}
	defer func() { err = errors.Join(err, s.disk.Close()) }()
	s.Machine.Share, s.Machine.Disk, s.Machine.Mount = share, s.disk, "commit=300"
	for i, c := range cuts {
		if err = s.one(ctx, c); err != nil {
			return s.found, fmt.Errorf("cut %d (sync %s, random %v): %w", i+1, c.Sync, c.Random, err)
		}
		s.Progress(fmt.Sprintf("cut %d of %d (sync %s): %v", i+1, len(cuts), c.Sync, s.found))
	}
	return s.found, nil
}

// one is a boot, its cut, and the judgement of both.
func (s *Series) one(ctx context.Context, c Cut) error {
	out, err := boot(ctx, s.Machine, c, s.From, s.To)
	if err != nil {
		return err
	}
	var chance *rand.Rand
	if c.Random {
		chance = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // no secret
	}
	lost, err := s.disk.Cut(chance)
	if err != nil {
		return err
	}
	s.found.Cuts, s.found.Lost = s.found.Cuts+1, s.found.Lost+lost
	state := filepath.Join(s.Scratch, "state")
	log := filepath.Join(s.Scratch, "console.log")
	err = errors.Join(os.WriteFile(log, out.text.Bytes(), 0o600), extract(ctx, s.image, state))
	if err != nil {
		return err
	}
	data := filepath.Join(state, "rec")
	if err = os.MkdirAll(data, 0o755); err != nil { //nolint:gosec // others judge what lies there
		return err
	}
	if err = dig(ctx, data); err != nil {
		return err
	}
	return errors.Join(s.restarted(out), s.asLeft(ctx, data, c, out), s.afterStart(ctx, data))
}

// restarted compares what the machine's start said of the disk as the cut before left it with what
// the same start said on this host.
func (s *Series) restarted(out *console) error {
	lines, through := report(out.text.String())
	if s.found.Cuts == 1 || !through {
		return nil
	}
	s.found.Starts++
	s.found.Salvaged += len(lines)
	if !slices.Equal(lines, s.said) {
		return fmt.Errorf("the machine's start reports\n\t%s\nbut on this host it reports\n\t%s",
			strings.Join(lines, "\n\t"), strings.Join(s.said, "\n\t"))
	}
	return nil
}

// asLeft judges the disk as the cut left it.
func (s *Series) asLeft(ctx context.Context, data string, c Cut, out *console) error {
	files, err := leavings(data)
	if err != nil {
		return err
	}
	err = errors.Join(s.unharmed(data), s.missing(files, c, out), s.noticed(files, c, out))
	_, d, failed := show(ctx, s.Host, data)
	if errors.Is(failed, errNone) && (s.found.Cuts == 1 || len(s.kept) == 0) {
		return err // before it was made
	}
	if failed != nil {
		return errors.Join(err, failed)
	}
	return errors.Join(err, d.holds(data, false))
}

// unharmed makes sure that what was durable once is there as it was.
func (s *Series) unharmed(data string) error {
	for name, was := range s.kept {
		is, err := keep(filepath.Join(data, name), was.size)
		if err != nil {
			return fmt.Errorf("a later cut lost a file: %w", err)
		}
		if is != was {
			return fmt.Errorf("a later cut changed %s: it had %d bytes, and of them %d are there or another content", name, was.size, is.size)
		}
	}
	return nil
}

// limit is how much a cut may take.
func (c Cut) limit() time.Duration {
	const fragment = 1500 * time.Millisecond
	switch c.Sync {
	case "fragment":
		return fragment
	case "segment":
		return Segment + fragment
	}
	d, _ := time.ParseDuration(c.Sync) //nolint:errcheck // our own
	return d
}

// missing measures how much of each channel's last seconds is in no file. A channel that had not
// begun has nothing to lose.
func (s *Series) missing(files []left, c Cut, out *console) error {
	var errs []error
	for channel, end := range out.begun {
		last := "no file"
		for _, f := range files {
			if f.channel == channel && f.number > s.highest[channel] && f.index != nil {
				end, last = max(end, f.end()), f.name()
			}
		}
		missing := out.alive - end
		missing -= min(missing, out.stalled(missing)) // who stands still can make nothing durable
		s.found.Measured++
		s.found.Worst = max(s.found.Worst, missing)
		if missing > c.limit() {
			errs = append(errs, fmt.Errorf("channel %s: the machine was alive at %s, but %s ends at %s: %s are missing, more than %s",
				channel, out.alive, last, end, missing, c.limit()))
		}
	}
	return errors.Join(errs...)
}

// holds makes sure that every file is there that the catalog names, with the bytes that it names,
// and, after a start, no other.
func (d *dump) holds(data string, started bool) error {
	known := map[string]bool{}
	for _, ch := range d.Channels {
		for _, i := range ch.Items {
			if i.Segment == nil {
				continue
			}
			name := ch.Name + "/" + i.Segment.File
			known[name] = true
			is, err := os.Stat(filepath.Join(data, name))
			switch {
			case err != nil:
				return fmt.Errorf("the catalog names what is not there: %w", err)
			case i.Segment.EndedBy != "" && is.Size() < i.Segment.Bytes, started && is.Size() != i.Segment.Bytes:
				return fmt.Errorf("the catalog names %d bytes of %s, which has %d", i.Segment.Bytes, name, is.Size())
			case started && i.Open:
				return fmt.Errorf("%s is still open for the catalog", name)
			}
		}
	}
	files, err := leavings(data)
	for _, f := range files {
		if started && !known[f.name()] {
			err = errors.Join(err, fmt.Errorf("the catalog does not know %s", f.name()))
		}
	}
	return err
}

// afterStart starts the program with the disk as the cut left it, and judges what it made of it.
func (s *Series) afterStart(ctx context.Context, data string) error {
	log, err := restart(ctx, s.Host, data)
	if err != nil {
		return err
	}
	s.said, _ = report(log)
	d, err := agree(ctx, s.Host, data)
	if err != nil {
		return err
	}
	files, err := leavings(data)
	if err != nil {
		return err
	}
	for _, f := range files {
		s.highest[f.channel] = max(s.highest[f.channel], f.number)
		now, err := keep(f.path, -1)
		if err != nil {
			return err
		}
		if s.kept[f.name()] == now {
			continue
		}
		s.kept[f.name()] = now
		if err := playable(ctx, &f); err != nil {
			return err
		}
		s.found.Files++
	}
	return errors.Join(s.unharmed(data), d.holds(data, true), d.ordered())
}

// playable makes sure that a file is whole, and that ffmpeg, which knows nothing of us, decodes all
// of it without a complaint.
func playable(ctx context.Context, f *left) error {
	if f.index == nil || f.index.Whole != f.size {
		return fmt.Errorf("%s has more than its whole fragments after a start", f.name())
	}
	for _, args := range [][]string{
		{"ffprobe", "-v", "error", "-show_format", f.path},
		{"ffmpeg", "-v", "error", "-xerror", "-nostdin", "-i", f.path, "-map", "0", "-f", "null", "-"},
	} {
		if err := tool(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// ordered makes sure that in each channel the files follow each other in the order of their
// numbers, none over another, and nothing between them that is not accounted for.
func (d *dump) ordered() error {
	for _, ch := range d.Channels {
		var last *record.Segment
		explained := true
		for _, i := range ch.Items {
			if i.Segment == nil {
				explained = true
				continue
			}
			if err := follows(last, i.Segment, explained); err != nil {
				return fmt.Errorf("channel %s: %w", ch.Name, err)
			}
			last, explained = i.Segment, false
		}
	}
	return nil
}

// follows judges a file and the one before it; nil: there is none.
func follows(last, n *record.Segment, explained bool) error {
	const jitter = 100 * time.Millisecond // of a picture's arrival
	if year := n.Start.Time().Year(); year < 2026 {
		return fmt.Errorf("%s is of the year %d in the catalog, though the time was known later", n.File, year)
	}
	if last == nil {
		return nil
	}
	if n.Number <= last.Number {
		return fmt.Errorf("file %d stands behind file %d", n.Number, last.Number)
	}
	if n.Recording != last.Recording { // another boot
		return nil
	}
	switch apart := time.Duration(n.Start.Mono - last.End().Mono); {
	case apart < -time.Millisecond:
		return fmt.Errorf("%s begins %s before %s ends", n.File, -apart, last.File)
	case apart > jitter && !explained:
		return fmt.Errorf("%s begins %s after %s, and nothing says why", n.File, apart, last.File)
	}
	return nil
}
