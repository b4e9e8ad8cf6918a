package outage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// extract writes what a disk holds after a power cut to a folder: the files as the machine's next
// mount would find them. The image itself stays as it is. It takes no root: e2fsck plays the file
// system's journal into a copy, debugfs reads that.
func extract(ctx context.Context, image, dir string) error {
	scratch := dir + ".img"
	defer os.Remove(scratch)                                                     //nolint:errcheck // a leftover in the temporary directory
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil { //nolint:gosec // others judge what lies there
		return err
	}
	for _, args := range [][]string{
		{"cp", "--sparse=always", image, scratch},
		{"e2fsck", "-p", "-E", "journal_only", scratch},
		{"e2fsck", "-f", "-n", scratch}, // ext4 itself must be whole, or it is no use to look at files
		{"debugfs", "-R", "rdump / " + dir, scratch},
	} {
		if err := tool(ctx, args...); err != nil {
			return err
		}
	}
	return os.RemoveAll(filepath.Join(dir, "lost+found"))
}

// dig makes holes again of what debugfs reads as zeros: blocks that were never written, which the
// recorder's own bytes never look like.
func dig(ctx context.Context, data string) error {
	paths, err := filepath.Glob(filepath.Join(data, "*", "*.mp4"))
	for _, path := range paths {
		err = errors.Join(err, tool(ctx, "fallocate", "--dig-holes", path))
	}
	return err
}

// tool runs a program of the host that must not fail.
func tool(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // our own command
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}
