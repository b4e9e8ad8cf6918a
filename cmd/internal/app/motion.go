package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"slices"
	"strings"

	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/stages/event/motion"
	"github.com/millrace-video/millrace/stages/snapshot"
)

// newMotionKeys returns what decodes key frames for motion, on a quarter of the cores, with the
// decoders that snapshots have too.
func newMotionKeys(keys *soft.Keys) *motion.Keys {
	atOnce := max(1, runtime.GOMAXPROCS(0)/4)
	return motion.NewKeys(atOnce, keys, snapshot.NewFFmpeg("", atOnce, 0))
}

// CheckMotion says in which channels motion is to be looked for and this machine cannot: their
// cameras send, or may send, what has to be decoded, and nothing is here that does.
func CheckMotion(ctx context.Context, cfg config.Config) error {
	_, err := snapshot.NewFFmpeg("", 0, 0).Find()
	return checkMotion(cfg, openH264(ctx, soft.Driver{}), err)
}

// openH264 says why openh264 is not there to decode: one library encodes and decodes.
func openH264(ctx context.Context, d soft.Driver) error {
	found, err := d.Encoders(ctx)
	if slices.ContainsFunc(found, func(e hal.EncoderInfo) bool { return e.Codec == hal.H264 }) {
		return nil
	}
	return errors.Join(hal.ErrNoDevice, err)
}

// checkMotion is CheckMotion with what keeps each decoder from its work.
func checkMotion(cfg config.Config, decoders ...error) error {
	for _, missing := range decoders {
		if missing == nil {
			return nil
		}
	}
	var errs []error
	for _, ch := range cfg.Channels {
		if !ch.Events.Enabled || !ch.Events.Motion.Enabled {
			continue
		}
		for _, s := range ch.Sources {
			if mayBeCoded(s.URL) {
				errs = append(errs, fmt.Errorf("channel %s: events.motion: nothing on this machine decodes the key frames of %s: install Debian's libopenh264-7 (H.264) or ffmpeg (H.265 and AV1 too), or let the camera tell of motion itself (events.motion.enabled: false)", ch.Name, s.Shown))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// mayBeCoded says whether a source may send H.264, H.265 or AV1, as far as its URL tells.
func mayBeCoded(source string) bool {
	u, err := url.Parse(source)
	if err != nil {
		return false
	}
	q := u.Query()
	switch u.Scheme {
	case "synth":
		return q.Get("codec") != hal.Raw.String()
	case "v4l2":
		format := strings.ToLower(q.Get("format"))
		return format == "h264" || format == "h265" || format == "hevc"
	case ReplayScheme:
		return false
	}
	return true // RTSP, FLV, a file
}
