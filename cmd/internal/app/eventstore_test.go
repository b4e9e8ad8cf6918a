package app_test

import (
	"encoding/json"
	"fmt"
	"image/jpeg"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/stages/upload/s3test"
)

// eventful is a camera whose events go to the store; what is missing is whether with its video,
// and events.pictures.
const eventful = `
channels:
  - name: gate
    source: synth://?size=320x240&gop=25
    record: {enabled: false}
    cloud: {full_time: false, events: %s}
    events: {pictures: %s}
`

// pictures waits until so many pictures of gate have their results, and returns them, the
// newest first.
func pictures(t *testing.T, s app.Summary, n int) (all []api.EventLine) {
	t.Helper()
	require.Eventually(t, func() bool {
		all = nil
		e := eventsOf(t, s.API, "gate")
		for _, l := range e.Recent {
			if l.Kind == api.EventPicture {
				all = append(all, l)
			}
		}
		return len(all) >= n && !e.Status.Creating
	}, time.Minute, 20*time.Millisecond)
	require.Len(t, all, n)
	return all
}

func trigger(t *testing.T, s app.Summary, what string) {
	t.Helper()
	require.Equal(t, http.StatusOK, post(t, s.API+"/v1/channels/gate/events", `{"type": "`+what+`"}`))
}

// gone checks that no picture's file is left beside the recordings.
func gone(t *testing.T, cfg config.Config) {
	t.Helper()
	require.Eventually(t, func() bool {
		left, err := os.ReadDir(filepath.Join(cfg.Data, "gate", "pictures"))
		return err == nil && len(left) == 0
	}, time.Minute, 10*time.Millisecond)
}

// C4, C7, C8: a trigger's message and picture lie beside the playlists of events, once each; the
// picture has one result, and then no file.
func TestAnEventsMessageAndPictureGoToTheStore(t *testing.T) {
	log := run(t, fmt.Sprintf(eventful, "true", "{width: 160}"), func(s app.Summary, cfg config.Config) {
		require.True(t, eventsOf(t, s.API, "gate").Status.Picture, "the service is on with the cloud's event service")
		trigger(t, s, "person")
		trigger(t, s, "person")
		end := pictures(t, s, 1)[0]
		require.Equal(t, new(0), end.Code)
		require.Equal(t, "person", end.Source)
		require.Empty(t, end.Cause)
		u, err := url.Parse(end.URL)
		require.NoError(t, err)
		folder := filepath.Join(cfg.Data, "store", "gate", "events")
		require.Equal(t, folder, filepath.Dir(u.Path))
		f, err := os.Open(u.Path)
		require.NoError(t, err)
		defer func() { require.NoError(t, f.Close()) }()
		picture, err := jpeg.Decode(f)
		require.NoError(t, err)
		require.Equal(t, 160, picture.Bounds().Dx())
		stored, err := filepath.Glob(filepath.Join(folder, "event-1-*"))
		require.NoError(t, err)
		require.Len(t, stored, 2, "one message, one picture: %s", stored)
		text, err := os.ReadFile(stored[0])
		if strings.HasSuffix(stored[0], ".jpg") {
			text, err = os.ReadFile(stored[1])
		}
		require.NoError(t, err)
		var message struct {
			Channel string
			api.EventLine
		}
		require.NoError(t, json.Unmarshal(text, &message))
		require.Equal(t, "gate", message.Channel)
		require.Equal(t, []any{api.EventMessage, uint64(1), "person", true}, []any{message.Kind, message.Event, message.Source, message.Opens})
		gone(t, cfg)
		require.Equal(t, [4]uint64{1, 0, 0, 0}, eventsOf(t, s.API, "gate").Status.Counters.Results)
	})
	require.NotContains(t, log, "level=ERROR")
}

// C4: with the cloud's event service off nothing of an event goes up; switched on while the
// appliance runs, the pictures go along, unless events.pictures says another thing.
func TestPicturesFollowTheEventService(t *testing.T) {
	run(t, fmt.Sprintf(eventful, "false", "{}"), func(s app.Summary, cfg config.Config) {
		trigger(t, s, "linkage")
		pictures(t, s, 0)
		require.NoDirExists(t, filepath.Join(cfg.Data, "store", "gate", "events"))
		require.Equal(t, http.StatusOK, post(t, s.API+"/v1/channels/gate/cloud/event/start", ""))
		trigger(t, s, "person")
		require.Equal(t, "person", pictures(t, s, 1)[0].Source)
		require.Equal(t, http.StatusOK, post(t, s.API+"/v1/channels/gate/cloud/event/stop", ""))
		trigger(t, s, "motion")
		pictures(t, s, 1)
		stored, err := filepath.Glob(filepath.Join(cfg.Data, "store", "gate", "events", "event-*"))
		require.NoError(t, err)
		require.Len(t, stored, 2, "%s", stored)
	})
	run(t, fmt.Sprintf(eventful, "true", "{enabled: false}"), func(s app.Summary, cfg config.Config) {
		trigger(t, s, "person")
		pictures(t, s, 0)
		stored, err := filepath.Glob(filepath.Join(cfg.Data, "store", "gate", "events", "event-*"))
		require.NoError(t, err)
		require.Len(t, stored, 1, "the message alone: %s", stored)
	})
}

// C8: a picture that a real S3 server's front refuses has timed out, its file is gone all the
// same, and the next one is uploaded.
func TestAStoreThatRefusesAPicture(t *testing.T) {
	g := s3test.Start(t)
	proxy, _ := s3test.NewProxy(t, g.Address, false)
	proxy.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		if !s3test.IsPut(r) || !strings.HasSuffix(r.URL.Path, "-person.jpg") {
			return false
		}
		s3test.Answer(w, r, http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.")
		return true
	})
	store := fmt.Sprintf("store: {kind: s3, endpoint: %q, bucket: %s, path_style: true, prefix: site-7/, credentials: {access_key: %s, secret_key: %q}}\n",
		proxy.URL, s3test.Bucket, s3test.Access, s3test.Secret)
	run(t, store+fmt.Sprintf(eventful, "false", "{enabled: true}"), func(s app.Summary, cfg config.Config) {
		trigger(t, s, "person")
		refused := pictures(t, s, 1)[0]
		require.Equal(t, new(1), refused.Code)
		require.Contains(t, refused.Cause, "EntityTooLarge")
		require.Empty(t, refused.URL)
		gone(t, cfg)
		trigger(t, s, "motion")
		require.Equal(t, new(0), pictures(t, s, 2)[0].Code)
		gone(t, cfg)
	})
	var names []string
	for key := range g.Objects(t) {
		require.True(t, strings.HasPrefix(key, "site-7/gate/events/event-1-"), key)
		names = append(names, key[strings.LastIndexByte(key, '-')+1:])
	}
	require.ElementsMatch(t, []string{"person.json", "motion.json", "motion.jpg"}, names)
}
