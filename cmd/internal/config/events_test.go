package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/stages/event"
)

func TestEventKeysAreRead(t *testing.T) { // A3, C7, C8
	c, err := config.Parse("m.yml", []byte(`
defaults:
  events: {priorities: {person: 0, user-16: -1, 7: 3}}
channels:
  gate:
    source: synth://
    events:
      interval: 1m
      minimum: 30s
      pre: 0s
      waiting: 12
      record: true
      ring: 4Mi
      motion: {enabled: true, sensitivity: 70, area: 0.5, rate: 10, hold: 3s}
      pictures: {enabled: true, width: 640}
  yard:
    source: synth://
    events: {enabled: false, priorities: {motion: 31}}
  lane:
    source: synth://
    events: {interval: 5s}
`), env())
	require.NoError(t, err)
	require.Equal(t, config.Events{
		Enabled: true, Interval: time.Minute, Minimum: 30 * time.Second, Waiting: 12, Record: true, Ring: 4 << 20,
		Priorities: map[event.Source]int{event.Person: 0, 16: event.Unbound, 7: 3},
		Motion:     config.Motion{Enabled: true, Sensitivity: 70, Area: 0.5, Rate: 10, Hold: 3 * time.Second},
		Pictures:   config.Pictures{Enabled: true, Said: true, Width: 640},
	}, c.Channels[0].Events)
	yard := c.Channels[1].Events
	require.False(t, yard.Enabled)
	require.Equal(t, map[event.Source]int{event.Motion: 31}, yard.Priorities)
	require.Equal(t, []any{180 * time.Second, 8 * time.Second, 5 * time.Second}, []any{yard.Interval, yard.Minimum, yard.Pre}, "the defaults of C7")
	require.Equal(t, 5*time.Second, c.Channels[2].Events.Minimum, "not longer than the interval")
}

func TestWrongEventKeys(t *testing.T) {
	for text, want := range map[string]string{
		"{interval: 3s}":                  "m.yml:1:53: channels.g.events.interval: is \"3s\": a time with its unit",
		"{minimum: 3s}":                   "events.minimum: is \"3s\"",
		"{interval: 10s, minimum: 11s}":   "m.yml:1:67: channels.g.events.minimum: is 11s: at most the interval, 10s",
		"{pre: 61s}":                      "from 0s to 1m",
		"{waiting: -1}":                   "a whole number from 0 to 1000000",
		"{priorities: {cat: 1}}":          "key \"cat\": motion, person, sound, linkage, user-16 to user-31, or a number from 0 to 31",
		"{priorities: {motion: 32}}":      "events.priorities.motion: is 32: a whole number from -1 to 31",
		"{priorities: {motion: 1, 0: 2}}": "motion is given twice",
		"{priorities: [1]}":               "is a list: an object of triggers and their priorities",
		"{motion: {area: 0}}":             "events.motion.area: is 0: percent of the picture, from 0.1 to 100",
		"{motion: {area: .nan}}":          "percent of the picture",
		"{motion: {rate: fast}}":          "is \"fast\" (text): pictures a second, from 0.5 to 30",
		"{motion: {sensitivity: 0}}":      "from 1 to 100",
		"{motion: {sensitive: 3}}":        "unknown key \"sensitive\"",
		"{pictures: {width: 8}}":          "events.pictures.width: is 8: a whole number from 16 to",
		"{pictures: {enabled: true}}, snapshot: {enabled: false}": "m.yml:1:43: channels.g.events.pictures: are taken from snapshots, which snapshot.enabled: false turns off: one of the two",
	} {
		_, err := config.Parse("m.yml", []byte("channels: {g: {source: synth://, events: "+text+"}}"), env())
		require.ErrorContains(t, err, want, text)
	}
}

// C4, C8: pictures go to the store where the cloud's event service is on, unless somebody says
// another thing, and where there is something to take them from.
func TestWhetherEventsHavePictures(t *testing.T) {
	for text, want := range map[string]bool{
		"cloud: {events: false}":                                       false,
		"cloud: {events: true}":                                        true,
		"cloud: {events: true, enabled: false}":                        false,
		"cloud: {events: true}, events: {pictures: {enabled: false}}":  false,
		"cloud: {events: true}, events: {pictures: {width: 64}}":       true,
		"cloud: {events: true}, events: {enabled: false}":              false,
		"cloud: {events: true}, snapshot: {enabled: false}":            false,
		"events: {pictures: {enabled: true}}":                          true,
		"events: {pictures: {enabled: true}}, cloud: {enabled: false}": true,
		"events: {pictures: {enabled: true}, enabled: false}":          false,
	} {
		c, err := config.Parse("m.yml", []byte("channels: {g: {source: synth://, "+text+"}}"), env())
		require.NoError(t, err, text)
		require.Equal(t, want, c.Channels[0].EventPictures(), text)
	}
}
