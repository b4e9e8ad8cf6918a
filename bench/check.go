package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/millrace-video/millrace/stages/pack"
)

// Checked is what the files of one recording hold, all of them.
type Checked struct {
	Files      int   `json:"files"`
	Pictures   int64 `json:"pictures"`
	Sounds     int64 `json:"sounds"`
	Missing    int64 `json:"missing"`     // pictures between the first and the last that are not there
	Twice      int64 `json:"twice"`       // pictures that are there again, or out of order
	SoundHoles int64 `json:"sound_holes"` // places where a piece of sound is not followed by the next
	NoOpening  int   `json:"no_opening"`  // channels whose files do not begin with the first picture sent
	NotKey     int   `json:"not_key"`     // files whose first picture is no key frame
	Tail       int64 `json:"tail"`        // pictures that the camera had sent at the end and the file has not: the most of any channel
	Faults     []string
}

// whole says whether every frame is there.
func (c *Checked) whole() bool {
	return c.Missing+c.Twice+c.SoundHoles == 0 && c.NoOpening+c.NotKey == 0 && c.Tail <= tailLimit && len(c.Faults) == 0
}

func (c *Checked) String() string {
	if c.whole() {
		return fmt.Sprintf("all there: %d pictures in %d files", c.Pictures, c.Files)
	}
	text := fmt.Sprintf("%d of %d pictures missing, %d twice, %d holes in sound, %d openings lost, %d files begin with no key frame, %d missing at the end",
		c.Missing, c.Pictures+c.Missing, c.Twice, c.SoundHoles, c.NoOpening, c.NotKey, c.Tail)
	if len(c.Faults) > 0 {
		text += ", " + c.Faults[0]
	}
	return text
}

// tailLimit is how many pictures may be missing at the end: what was on its way when the recorder was told to end.
const tailLimit = 2 * simRate

// maxFaults bounds how many are told.
const maxFaults = 5

func (c *Checked) fault(format string, args ...any) {
	if len(c.Faults) < maxFaults {
		c.Faults = append(c.Faults, fmt.Sprintf(format, args...))
	}
}

// sample is one frame in a file.
type sample struct {
	video  bool
	key    bool
	offset int64
	size   int
}

// checkFiles looks at every frame of every file against what the cameras sent, by the numbers in the pictures and the
// sizes of the sounds.
func checkFiles(ctx context.Context, pattern func(channel int) string, sent []Session, clip *clip) (c Checked, err error) {
	for _, s := range firstSessions(sent) {
		paths, err := filepath.Glob(pattern(s.Channel))
		if err != nil {
			return c, err
		}
		slices.Sort(paths)
		k := check{Checked: &c, sent: s, clip: clip, next: -1}
		for _, path := range paths {
			if err := k.file(ctx, path); err != nil {
				c.fault("%s: %v", path, err)
			}
		}
		if k.next < 0 {
			c.fault("%s: no picture was recorded", channelName(s.Channel))
			continue
		}
		c.Tail = max(c.Tail, s.FirstPicture+s.Pictures-k.next)
	}
	return c, nil
}

// firstSessions are the first of each camera in which it sent a picture, by camera.
func firstSessions(sent []Session) []Session {
	var first []Session
	for _, s := range sent {
		if s.Pictures > 0 && !slices.ContainsFunc(first, func(o Session) bool { return o.Channel == s.Channel }) {
			first = append(first, s)
		}
	}
	slices.SortFunc(first, func(a, b Session) int { return a.Channel - b.Channel })
	return first
}

// check follows one channel through its files.
type check struct {
	*Checked
	sent Session
	clip *clip
	next int64 // the picture that is to come; −1: any

	heard  bool
	sounds []int // which pieces of the loop may come next
}

func (k *check) file(ctx context.Context, path string) (err error) {
	samples, err := samplesOf(ctx, path)
	if err != nil {
		return err
	}
	f, err := os.Open(path) //nolint:gosec // a file of the recorder's
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	k.Files++
	head := make([]byte, 512)
	first := true
	for _, s := range samples {
		if !s.video {
			k.piece(s.size)
			continue
		}
		n, err := f.ReadAt(head[:min(len(head), s.size)], s.offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		number, ok := numberIn(head[:n])
		if !ok {
			return fmt.Errorf("a picture at byte %d without its number", s.offset)
		}
		if first && !s.key {
			k.NotKey++
		}
		first = false
		k.picture(number)
	}
	return nil
}

// picture takes down the next picture of the channel.
func (k *check) picture(number int64) {
	switch {
	case k.next < 0:
		if number != k.sent.FirstPicture {
			k.NoOpening++
		}
	case number < k.next:
		k.Twice++
		return
	default:
		k.Missing += number - k.next
	}
	k.Pictures++
	k.next = number + 1
}

// piece takes down the next piece of sound by its size: where in the loop it may be follows from those before it.
func (k *check) piece(size int) {
	k.Sounds++
	loop := k.clip.sounds
	kept := k.sounds[:0]
	for _, at := range k.sounds {
		if len(loop[at]) == size {
			kept = append(kept, (at+1)%len(loop))
		}
	}
	if k.sounds = kept; len(kept) > 0 {
		return
	}
	if k.heard {
		k.SoundHoles++
	}
	k.heard = true
	for at := range loop {
		if len(loop[at]) == size {
			k.sounds = append(k.sounds, (at+1)%len(loop))
		}
	}
}

// samplesOf lists the frames of a file: by our own reader where it is one of ours, else by ffprobe.
func samplesOf(ctx context.Context, path string) ([]sample, error) {
	index, err := pack.OpenIndex(path)
	if err != nil || index.Broken != nil {
		return probed(ctx, path)
	}
	var all []sample
	for _, t := range index.Tracks {
		for _, s := range t.Samples {
			all = append(all, sample{video: t.Video, key: s.Sync, offset: s.Offset, size: int(s.Size)})
		}
	}
	return all, nil
}

// probed asks ffprobe.
func probed(ctx context.Context, path string) ([]sample, error) {
	cmd := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-show_entries", "stream=index,codec_type:packet=stream_index,size,pos,flags", "-of", "json", path)
	var said tail
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ffprobe: %w: %s", err, said.String())
	}
	var out struct {
		Packets []struct {
			Stream int    `json:"stream_index"`
			Size   string `json:"size"`
			Pos    string `json:"pos"`
			Flags  string `json:"flags"`
		} `json:"packets"`
		Streams []struct {
			Index int    `json:"index"`
			Type  string `json:"codec_type"`
		} `json:"streams"`
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&out); err != nil {
		return nil, err
	}
	video := map[int]bool{}
	for _, s := range out.Streams {
		video[s.Index] = s.Type == "video"
	}
	all := make([]sample, 0, len(out.Packets))
	for _, p := range out.Packets {
		size, badSize := strconv.Atoi(p.Size)
		pos, badPos := strconv.ParseInt(p.Pos, 10, 64)
		if err := errors.Join(badSize, badPos); err != nil {
			return nil, err
		}
		all = append(all, sample{video: video[p.Stream], key: len(p.Flags) > 0 && p.Flags[0] == 'K', offset: pos, size: size})
	}
	return all, nil
}
