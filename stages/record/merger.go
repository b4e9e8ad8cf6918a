package record

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// Merger turns the files of recordings that have ended into one (R4), one recording after the
// other, for all recorders of a program. What waits for it is written down beside the files, so
// that the next start takes it up again.
type Merger struct {
	clock   *hal.Clock
	log     *slog.Logger
	catalog Catalog // may be nil

	mu      sync.Mutex
	jobs    []job
	working bool // on jobs[0]
	adopted map[string]bool
	wakeup  chan struct{}
	stats   MergerStats
}

// MergerStats is what a merger has done.
type MergerStats struct {
	Waiting int    `json:"waiting"` // recordings
	Merged  uint64 `json:"merged"`
	Failed  uint64 `json:"failed"`
	Cause   string `json:"cause,omitempty"` // of the last failure
}

// job is a recording to merge.
type job struct {
	Channel string      `json:"channel"`
	Parts   []Segment   `json:"parts"`
	Policy  MergePolicy `json:"policy"`

	dir string
	due int64 // clock
}

// NewMerger returns a merger that tells catalog, which may be nil. Nothing runs before Run.
func NewMerger(catalog Catalog, clock *hal.Clock, log *slog.Logger) *Merger {
	return &Merger{catalog: catalog, clock: clock, log: log, adopted: map[string]bool{}, wakeup: make(chan struct{}, 1)}
}

// Stats returns what the merger has done.
func (m *Merger) Stats() MergerStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.Waiting = len(m.jobs)
	return s
}

const jobPrefix, jobSuffix = ".merge-", ".json"

func (j job) path() string {
	return filepath.Join(j.dir, fmt.Sprintf("%s%0*d%s", jobPrefix, digits, j.Parts[0].Recording, jobSuffix))
}

// add has a recording merged when it is due. A nil Merger merges nothing.
func (m *Merger) add(j job) {
	if m == nil || j.Policy.Off || len(j.Parts) == 0 {
		return
	}
	var bytes int64
	for _, p := range j.Parts {
		bytes += p.Bytes
	}
	if j.Policy.MaxBytes > 0 && bytes > j.Policy.MaxBytes {
		m.log.Info("recording stays in its parts: it is larger than what is merged", "channel", j.Channel,
			"recording", j.Parts[0].Recording, "bytes", bytes, "limit", j.Policy.MaxBytes)
		return
	}
	if text, err := json.Marshal(j); err != nil || os.WriteFile(j.path(), text, fileMode) != nil {
		m.log.Warn("a merge could not be written down; if the program is killed before it is done the parts stay", "file", j.path())
	}
	m.queue(j)
}

func (m *Merger) queue(j job) {
	m.mu.Lock()
	at := m.busy()
	for at < len(m.jobs) && m.jobs[at].due <= j.due {
		at++
	}
	m.jobs = slices.Insert(m.jobs, at, j)
	m.mu.Unlock()
	select {
	case m.wakeup <- struct{}{}:
	default:
	}
}

// busy is how many jobs are under way. The caller holds mu.
func (m *Merger) busy() int {
	if m.working {
		return 1
	}
	return 0
}

// cancel takes a recording back that goes on, and says whether that came in time.
func (m *Merger) cancel(dir string, recording uint64) bool {
	if m == nil {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, j := range m.jobs {
		if j.dir != dir || j.Parts[0].Recording != recording {
			continue
		}
		if i < m.busy() {
			return false
		}
		m.jobs = slices.Delete(m.jobs, i, i+1)
		m.forget(j)
		return true
	}
	return true
}

func (m *Merger) forget(j job) {
	if err := os.Remove(j.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.log.Warn("the note of a merge stays", "file", j.path(), "cause", err.Error())
	}
}

// adopt takes up what an earlier program left unmerged in a directory.
func (m *Merger) adopt(dir string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	known := m.adopted[dir]
	m.adopted[dir] = true
	m.mu.Unlock()
	if known {
		return
	}
	if err := CleanMerges(dir); err != nil {
		m.log.Warn("what a merge left could not be removed", "dir", dir, "cause", err.Error())
	}
	notes, err := filepath.Glob(filepath.Join(dir, jobPrefix+"*"+jobSuffix))
	if err != nil {
		return // a folder's name that is a bad pattern
	}
	for _, path := range notes {
		text, err := os.ReadFile(path) //nolint:gosec // in a folder of ours
		j := job{dir: dir, due: m.clock.Mono()}
		if err == nil {
			err = json.Unmarshal(text, &j)
		}
		if err != nil || len(j.Parts) == 0 || j.path() != path {
			m.log.Warn("the note of a merge makes no sense and is removed; its parts stay", "file", path)
			err = os.Remove(path)
		} else {
			m.queue(j)
		}
		if err != nil {
			m.log.Warn("the note of a merge stays", "file", path, "cause", err.Error())
		}
	}
}

// Run merges what is due until ctx is done; what is left the next start finds.
func (m *Merger) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		j, wait, ok := m.next()
		if ok {
			m.work(ctx, j)
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-m.wakeup:
		case <-timer.C:
		}
	}
}

// next returns the job that is due, or how long there is none.
func (m *Merger) next() (job, time.Duration, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.jobs) == 0 {
		return job{}, time.Hour, false
	}
	if wait := time.Duration(m.jobs[0].due - m.clock.Mono()); wait > 0 {
		return job{}, wait, false
	}
	m.working = true
	return m.jobs[0], 0, true
}

// work merges one recording. One that cannot be merged stays in its parts.
func (m *Merger) work(ctx context.Context, j job) {
	err := m.merge(ctx, j)
	m.mu.Lock()
	m.working = false
	m.jobs = slices.Delete(m.jobs, 0, 1)
	switch {
	case err == nil:
		m.stats.Merged++
	case ctx.Err() == nil:
		m.stats.Failed++
		m.stats.Cause = err.Error()
	}
	m.mu.Unlock()
	switch {
	case ctx.Err() != nil: // the note stays for the next start
	case err != nil:
		m.log.Error("recording stays in its parts", "channel", j.Channel, "recording", j.Parts[0].Recording, "cause", err.Error())
		m.forget(j)
	default:
		m.forget(j)
	}
}

func (m *Merger) merge(ctx context.Context, j job) error {
	parts := slices.DeleteFunc(slices.Clone(j.Parts), func(s Segment) bool {
		_, err := os.Stat(filepath.Join(j.dir, s.File))
		return errors.Is(err, fs.ErrNotExist) // retention was here before
	})
	if len(parts) == 0 {
		return nil
	}
	made, err := Merge(ctx, j.dir, parts, MergeOptions{Clock: m.clock})
	if err != nil {
		return err
	}
	for _, one := range made {
		m.account(j, one)
	}
	return nil
}

// account enters a merged file, and removes its parts where they are not kept.
func (m *Merger) account(j job, one MergedFile) {
	numbers := make([]uint64, 0, len(one.Parts))
	for _, p := range one.Parts {
		numbers = append(numbers, p.Number)
	}
	slices.SortFunc(numbers, cmp.Compare[uint64])
	segment := one.Segment
	if m.catalog != nil {
		m.catalog.Enter(Entry{Kind: Merged, Channel: j.Channel, Segment: &segment, Parts: numbers, Kept: j.Policy.KeepParts})
	}
	m.log.Info("recording merged", "channel", j.Channel, "file", filepath.Join(j.dir, segment.File), "bytes", segment.Bytes,
		"length", segment.Length, "parts", len(numbers), "copied", one.Copied, "durable", one.Durable, "kept", j.Policy.KeepParts, "why_not_one", strings.TrimSpace(one.Why))
	if j.Policy.KeepParts {
		return
	}
	if err := RemoveParts(j.dir, one); err != nil {
		m.log.Warn("parts of a merged recording stay", "channel", j.Channel, "cause", err.Error())
	}
}
