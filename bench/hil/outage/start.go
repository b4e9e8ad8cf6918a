package outage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/millrace-video/millrace/stages/record"
)

// dump is what `millrace catalog show` prints, as far as it is judged.
type dump struct {
	Channels []struct {
		Name  string
		Items []struct {
			Open    bool
			Segment *record.Segment
			Gap     *record.Gap
		}
	}
}

// errNone is a folder without a catalog.
var errNone = errors.New("there is no catalog")

// show returns what the catalog of a folder says, changed by nothing.
func show(ctx context.Context, millrace, data string) (text []byte, d dump, err error) {
	cmd := exec.CommandContext(ctx, millrace, "catalog", "show", "--data", data) //nolint:gosec // our own program
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if text, err = cmd.Output(); err != nil {
		if strings.Contains(complaints.String(), errNone.Error()) {
			return nil, d, errNone
		}
		return nil, d, fmt.Errorf("millrace catalog show: %w: %s", err, complaints.String())
	}
	return text, d, json.Unmarshal(text, &d)
}

// restart starts the program in a folder and ends it in order once it is up. It records nothing. It
// returns what it said.
func restart(ctx context.Context, millrace, data string) (log string, err error) {
	const longest = time.Minute
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	file := data + ".yml"
	if err = os.WriteFile(file, []byte(configuration(data, "5s", ", on_command: true")), 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, millrace, "run", "--listen", "127.0.0.1:0", "--rtsp", "127.0.0.1:0", "--config", file) //nolint:gosec // our own program
	out := &awaited{word: "/v1/channels", act: func() { _ = cmd.Process.Signal(syscall.SIGTERM) }}                         //nolint:errcheck // shows at the Wait
	cmd.Stdout, cmd.Stderr = out, out
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("millrace run: %w: %s", err, out.text.String())
	}
	return out.text.String(), err
}

// awaited acts when a word comes.
type awaited struct {
	word string
	act  func()

	mu   sync.Mutex
	text bytes.Buffer
	done bool
}

func (a *awaited) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, err := a.text.Write(b)
	if !a.done && bytes.Contains(a.text.Bytes(), []byte(a.word)) {
		a.done = true
		a.act()
	}
	return n, err
}

// agree makes sure that journals and files make the same catalog as the database is. The
// configuration, which restart has left, names channels that have no files yet.
func agree(ctx context.Context, millrace, data string) (dump, error) {
	before, d, err := show(ctx, millrace, data)
	if err != nil {
		return d, err
	}
	if err = tool(ctx, millrace, "catalog", "rebuild", "--config", data+".yml"); err != nil {
		return d, err
	}
	after, _, err := show(ctx, millrace, data)
	if err == nil && !bytes.Equal(before, after) {
		err = errors.Join(errors.New("the catalog made anew says something else"),
			os.WriteFile(filepath.Join(data, "before.json"), before, 0o600), os.WriteFile(filepath.Join(data, "after.json"), after, 0o600))
	}
	return d, err
}
