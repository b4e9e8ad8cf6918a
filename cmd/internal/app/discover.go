package app

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
)

// Cameras returns every camera there is: the synthetic one only where there is no other. They
// come even where a driver failed to list its devices; the error says which did.
func Cameras(ctx context.Context, reg *hal.Registry) ([]hal.Device, error) {
	devices, err := reg.Devices(ctx)
	var found, made []hal.Device
	for _, d := range devices {
		if d.Driver == (synth.Driver{}).Name() {
			made = append(made, d)
		} else {
			found = append(found, d)
		}
	}
	if len(found) == 0 {
		return made, err
	}
	return found, err
}

// Discover returns a channel for every camera there is and for the synthetic one. They come even
// where a driver failed to list its devices; the error says which did.
func Discover(ctx context.Context, reg *hal.Registry) ([]config.Channel, error) {
	cameras, err := reg.Devices(ctx)
	all := make([]config.Channel, 0, len(cameras))
	namesakes := map[string]int{}
	for _, d := range cameras {
		namesakes[cameraName(d)]++
	}
	taken := map[string]bool{}
	for _, d := range cameras {
		plain := cameraName(d)
		if namesakes[plain] > 1 && d.Bus != "" {
			plain = label(plain + "-" + d.Bus)
		}
		name := plain
		for i := 2; taken[name]; i++ {
			name = fmt.Sprintf("%s-%d", plain, i)
		}
		taken[name] = true
		all = append(all, config.DefaultChannel(name, config.FromURL(d.URL)))
	}
	return all, err
}

// cameraName makes a channel's name of what a camera calls itself: unlike the number of its
// node that stays when other cameras come and go. Where it has no node its driver's name does.
func cameraName(d hal.Device) string {
	if name := label(d.Name); d.Node != "" && name != "" {
		return name
	}
	return d.Driver
}

// label makes a name that a channel can have of any text, shortened where it is long.
func label(text string) string {
	text = regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(text), "-")
	text = strings.Trim(text, "-")
	return strings.TrimRight(text[:min(len(text), 48)], "-")
}
