package app

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
)

// Discover returns a channel for every camera there is, the synthetic one among them. Channels
// come even where a driver failed to list its devices; the error says which did.
func Discover(ctx context.Context, reg *hal.Registry) ([]config.Channel, error) {
	devices, err := reg.Devices(ctx)
	all := make([]config.Channel, 0, len(devices))
	taken := map[string]bool{}
	for _, d := range devices {
		name := channelName(d)
		for i := 2; taken[name]; i++ {
			name = fmt.Sprintf("%s-%d", channelName(d), i)
		}
		taken[name] = true
		all = append(all, config.DefaultChannel(name, config.FromURL(d.URL)))
	}
	return all, err
}

// channelName makes a name of a device's node, such as video0, or else of its driver.
func channelName(d hal.Device) string {
	_, path, _ := strings.Cut(d.URL, "://")
	path, _, _ = strings.Cut(path, "?")
	name := path[strings.LastIndexByte(path, '/')+1:]
	name = strings.Trim(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(name, "-"), "-")
	if name == "" {
		return d.Driver
	}
	return name[:min(len(name), 48)]
}
