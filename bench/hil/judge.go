package hil

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/millrace-video/millrace/hal/synth"
)

// WantFile lies beside the recordings of a case and holds a Want.
const WantFile = "want.json"

// Want is what a case says of its recordings. They are of the synthetic camera, whose pictures
// show their numbers.
type Want struct {
	Case          string // the test's name
	Width, Height int
	Pictures      int // of all files together
	Breaks        int // where a picture's number does not follow the one before
	Lost          int // pictures that were counted as lost: so many breaks more may be
}

// Judge decodes what the machine recorded with ffmpeg, which knows nothing of us, and returns a
// case for each directory below out that has a WantFile.
func Judge(ctx context.Context, out string) ([]Case, error) {
	var cases []Case
	err := filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != WantFile {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // below our own directory
		if err != nil {
			return err
		}
		var want Want
		if err = json.Unmarshal(text, &want); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		begin := time.Now()
		c := Case{Name: want.Case + "/decoded by ffmpeg", Result: "pass"}
		c.Figures, err = want.judge(ctx, filepath.Dir(path))
		if err != nil {
			c.Result, c.Figures = "fail", append(c.Figures, err.Error())
		}
		c.Seconds = fmt.Sprintf("%.2f", time.Since(begin).Seconds())
		cases = append(cases, c)
		return nil
	})
	return cases, err
}

func (w Want) judge(ctx context.Context, dir string) (figures []string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.mp4"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(errors.New("there is no recording"), err)
	}
	pictures, breaks, last := 0, 0, uint32(0)
	for _, file := range files {
		var numbers []uint32
		if numbers, err = w.numbers(ctx, file); err != nil {
			return nil, err
		}
		for _, n := range numbers {
			if pictures > 0 && n != last+1 {
				breaks++
			}
			last = n
			pictures++
		}
	}
	figures = []string{fmt.Sprintf("%d files, %d pictures, %d breaks", len(files), pictures, breaks)}
	if pictures != w.Pictures || breaks < w.Breaks || breaks > w.Breaks+w.Lost {
		err = fmt.Errorf("but %d pictures and %d breaks went in, with %d pictures lost", w.Pictures, w.Breaks, w.Lost)
	}
	return figures, err
}

// numbers returns the number of each picture of a file, in the order shown. The filter gives each a
// time of its own, which those of a camera that is late need not have in a raw file.
func (w Want) numbers(ctx context.Context, file string) ([]uint32, error) {
	cmd := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-nostdin", "-i", file, "-map", "0:v", //nolint:gosec // our own command
		"-fps_mode", "passthrough", "-vf", "setpts=N", "-f", "rawvideo", "-pix_fmt", "gray", "-")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	pictures, err := cmd.Output()
	size := w.Width * w.Height
	switch {
	case err != nil:
		return nil, fmt.Errorf("ffmpeg about %s: %w: %s", filepath.Base(file), err, complaints.String())
	case complaints.Len() > 0:
		return nil, fmt.Errorf("ffmpeg about %s: %s", filepath.Base(file), complaints.String())
	case size == 0 || len(pictures)%size != 0:
		return nil, fmt.Errorf("%s: %d bytes of pictures of %dx%d", filepath.Base(file), len(pictures), w.Width, w.Height)
	}
	var numbers []uint32
	for ; len(pictures) > 0; pictures = pictures[size:] {
		n, ok := synth.ReadNumber(pictures[:size], w.Width, w.Width, w.Height)
		if !ok {
			return nil, fmt.Errorf("%s: picture %d shows no number", filepath.Base(file), len(numbers))
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
