package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
)

// maxChannels is how many a file may have.
const maxChannels = maxKeys

// root reads the whole file.
func (d *decoder) root(n *node, c *Config) {
	shared := DefaultChannel("")
	var defaults, channels *node
	ok := d.fields(n, "", []entry{
		{"data", d.text(&c.Data, "a folder")},
		{"listen", d.listen(&c.Listen, true)},
		{"log", func(n *node, path string) {
			d.fields(n, path, entry{"level", d.oneOf(&c.Log.Level, "debug", "info", "warn", "error")}, entry{"format", d.oneOf(&c.Log.Format, "text", "json")})
		}},
		{"rtsp", func(n *node, path string) {
			d.fields(n, path,
				entry{"enabled", d.boolean(&c.RTSP.Enabled)},
				entry{"listen", d.listen(&c.RTSP.Listen, false)},
				entry{"udp", d.udp(&c.RTSP.UDP)},
				entry{"max_readers", d.integer(&c.RTSP.MaxReaders, 1, 10_000)},
				entry{"drop_after", d.duration(&c.RTSP.DropAfter, time.Second, 10*time.Minute)},
			)
		}},
		{"engine", d.engine(&c.Engine)},
		{"disk", func(n *node, path string) {
			d.fields(n, path,
				entry{"max_bytes", d.size(&c.Disk.MaxBytes, 10_000_000, 1_000_000_000_000_000)},
				entry{"min_free", d.size(&c.Disk.MinFree, 1_000_000, 1_000_000_000_000_000)},
			)
		}},
		{"store", d.store(&c.Store)},
		{"uplink", d.uplink(&c.Uplink)},
		{"spool", d.spool(&c.Spool)},
		{"snapshots", d.snapshots(&c.Snapshots)},
		{"defaults", func(n *node, _ string) { defaults = n }},
		{"channels", func(n *node, _ string) { channels = n }},
	}...)
	if !ok {
		return
	}
	if f := n.get("rtsp"); f != nil && f.value.kind == isObject && c.RTSP.Enabled && c.Listen == c.RTSP.Listen {
		d.wrong(f.value.at("listen"), "rtsp.listen", "is the API's address too (listen): give one of them another port")
	}
	if defaults != nil {
		d.fields(defaults, "defaults", d.common(&shared)...)
		d.relations(defaults, "defaults", &shared)
	}
	if channels == nil {
		d.wrong(n, "", "no channels: at least one, as in\nchannels:\n  - name: gate\n    source: rtsp://192.168.1.20/main")
		return
	}
	d.channels(channels, shared, c)
}

func (d *decoder) listen(dst *string, local bool) setter {
	return func(n *node, path string) {
		value := ""
		d.text(&value, "HOST:PORT in quotes, such as \"127.0.0.1:8080\"")(n, path)
		if value == "" {
			return
		}
		if err := CheckListen(value, local); err != nil {
			d.wrong(n, path, "is %q: %v", d.show(value), err)
			return
		}
		*dst = value
	}
}

// udp reads off, or an address with an even port.
func (d *decoder) udp(dst *string) setter {
	return func(n *node, path string) {
		value := ""
		d.text(&value, "off, or HOST:PORT in quotes")(n, path)
		if value == "" || value == "off" {
			*dst = value
			return
		}
		d.listen(dst, false)(n, path)
		_, port, _ := strings.Cut(value, ":")
		if v, err := strconv.Atoi(port); err == nil && v%2 != 0 {
			d.wrong(n, path, "is %q: an even port for RTP; RTCP takes the next one", d.show(value))
		}
	}
}

func (d *decoder) engine(e *Engine) setter {
	return func(n *node, path string) {
		d.fields(n, path,
			entry{"workers", d.integer(&e.Workers, 8, 1<<20)},
			entry{"replay", d.size(&e.Replay, 0, 64<<20)},
			entry{"init_timeout", d.duration(&e.InitTimeout, 100*time.Millisecond, 5*time.Minute)},
			entry{"exit_timeout", d.duration(&e.ExitTimeout, 100*time.Millisecond, 5*time.Minute)},
		)
	}
}

// channels reads a list of channels with their names, or an object by name.
func (d *decoder) channels(n *node, shared Channel, c *Config) {
	switch n.kind {
	case isBroken:
	case isList:
		for i, item := range n.items {
			d.channel(item, fmt.Sprintf("channels[%d]", i), shared, "", c)
		}
	case isObject:
		for _, f := range n.fields {
			d.channel(f.value, "channels."+d.show(f.name), shared, f.name, c)
		}
	case isNull, isText, isInteger, isFloat, isBoolean:
		d.wrong(n, "channels", "is %s: a list of channels, each with a name and a source", n.kind)
		return
	}
	if n.kind != isBroken && len(n.items)+len(n.fields) == 0 {
		d.wrong(n, "channels", "is empty: at least one channel")
	}
	if len(c.Channels) > maxChannels {
		d.wrong(n, "channels", "has %d channels: at most %d", len(c.Channels), maxChannels)
	}
	d.conflicts(n, c)
}

// channel reads one channel; name is its key where the channels are an object.
func (d *decoder) channel(n *node, path string, shared Channel, name string, c *Config) {
	ch := shared
	ch.Encode.Prefer = slices.Clone(shared.Encode.Prefer)
	ch.Events.Priorities = maps.Clone(shared.Events.Priorities)
	known := d.common(&ch)
	if name == "" {
		known = append([]entry{{"name", d.text(&ch.Name, "a name in quotes")}}, known...)
	} else {
		ch.Name = name
	}
	known = append(known, entry{"source", d.sources(&ch)}, entry{"sources", d.sources(&ch)})
	if !d.fields(n, path, known...) {
		return
	}
	switch {
	case n.kind == isObject && name == "" && n.get("name") == nil:
		d.wrong(n, path, "has no name: name: gate")
	case ch.Name != "":
		if err := pipeline.CheckName(ch.Name); err != nil {
			d.wrong(n.at("name"), join(path, "name"), "%v", err)
		}
	}
	switch {
	case n.get("source") != nil && n.get("sources") != nil:
		second := n.get("sources")
		d.problem(second.line, second.col, path, "has both source and sources: one of them; sources is the list, the preferred one first")
	case n.get("source") == nil && n.get("sources") == nil:
		d.wrong(n, path, "has no source: source: URL, or sources: with a list, the preferred one first")
	}
	d.relations(n, path, &ch)
	c.Channels = append(c.Channels, ch)
}

// common are the keys that a channel and the defaults share.
func (d *decoder) common(ch *Channel) []entry {
	return []entry{
		{"encode", d.encode(&ch.Encode)},
		{"record", d.record(&ch.Record)},
		{"live", d.live(&ch.Live)},
		{"frames", d.frames(&ch.Frames)},
		{"cloud", d.cloud(&ch.Cloud)},
		{"events", d.events(&ch.Events)},
		{"snapshot", d.snapshot(&ch.Snapshot)},
		{"pause", func(n *node, path string) {
			what := ""
			d.oneOf(&what, "keep", "close")(n, path)
			ch.CloseOnPause = what == "close"
		}},
		{"settle", d.duration(&ch.Settle, 100*time.Millisecond, 10*time.Minute)},
		{"open_timeout", d.duration(&ch.OpenTimeout, 100*time.Millisecond, 5*time.Minute)},
		{"buffers", d.integer(&ch.Buffers, 2, 64)},
		{"nice", d.integer(&ch.Nice, -20, 19)},
	}
}

func (d *decoder) encode(e *Encode) setter {
	return func(n *node, path string) {
		d.fields(n, path,
			entry{"codec", func(n *node, path string) {
				name := ""
				d.oneOf(&name, "h264", "h265", "mjpeg")(n, path)
				if codec, err := hal.ParseCodec(name); err == nil {
					e.Codec = codec
				}
			}},
			entry{"bitrate", d.bitrate(&e.Bitrate, 10_000, 200_000_000)},
			entry{"gop", d.integer(&e.GOP, 1, 65_535)},
			entry{"profile", d.oneOf(&e.Profile, "baseline", "main", "high")},
			entry{"quality", d.integer(&e.Quality, 1, 100)},
			entry{"parallel", d.integer(&e.Parallel, 1, 64)},
			entry{"prefer", d.prefer(&e.Prefer)},
			entry{"crop", d.crop(&e.Crop)},
			entry{"scale", d.scale(&e.Scale)},
			entry{"nice", d.integer(&e.Nice, -20, 19)},
		)
	}
}

func (d *decoder) prefer(dst *[]string) setter {
	return func(n *node, path string) {
		const want = "an encoder's name, or a list of them; millrace devices lists them"
		items := []*node{n}
		if n.kind == isList {
			items = n.items
		}
		*dst = nil
		for i, item := range items {
			name := ""
			d.text(&name, want)(item, fmt.Sprintf("%s[%d]", path, i))
			*dst = append(*dst, name)
		}
	}
}

const (
	minSide = 16
	maxSide = 16_384
)

func (s Size) ok() bool {
	return s.Width >= minSide && s.Height >= minSide && s.Width <= maxSide && s.Height <= maxSide && s.Width%2 == 0 && s.Height%2 == 0
}

func (d *decoder) scale(dst *Size) setter {
	return func(n *node, path string) {
		want := fmt.Sprintf("WIDTHxHEIGHT, both even, from %d to %d, such as 1280x720", minSide, maxSide)
		raw, ok := d.scalar(n, path, want, isText)
		if !ok {
			return
		}
		s, ok := pair(raw)
		if !ok || !s.ok() {
			d.wrong(n, path, "is %q: %s", d.show(raw), want)
			return
		}
		*dst = s
	}
}

func (d *decoder) crop(dst *Rectangle) setter {
	return func(n *node, path string) {
		const want = "WIDTHxHEIGHT+X+Y, all even, such as 1280x720+320+180"
		raw, ok := d.scalar(n, path, want, isText)
		if !ok {
			return
		}
		var r Rectangle
		size, at, _ := strings.Cut(raw, "+")
		s, good := pair(size)
		if x, y, ok := strings.Cut(at, "+"); ok && good {
			p, placed := pair(x + "x" + y)
			r = Rectangle{p.Width, p.Height, s.Width, s.Height}
			good = placed && p.Width >= 0 && p.Height >= 0 && p.Width <= maxSide && p.Height <= maxSide && p.Width%2 == 0 && p.Height%2 == 0
		} else {
			good = false
		}
		if !good || !s.ok() {
			d.wrong(n, path, "is %q: %s", d.show(raw), want)
			return
		}
		*dst = r
	}
}

func (d *decoder) record(r *Record) setter {
	return func(n *node, path string) {
		d.fields(n, path,
			entry{"enabled", d.boolean(&r.Enabled)},
			entry{"dir", d.text(&r.Dir, "a folder, in the data folder where it does not begin with /")},
			entry{"segment_duration", d.duration(&r.SegmentDuration, time.Second, 24*time.Hour)},
			entry{"segment_bytes", d.size(&r.SegmentBytes, 1_000_000, 1_000_000_000_000)},
			entry{"fragment_duration", d.duration(&r.FragmentDuration, 100*time.Millisecond, 10*time.Second)},
			entry{"ring", d.ring(r)},
			entry{"read", d.read(&r.Read)},
			entry{"keep", d.duration(&r.Keep, time.Minute, 3660*day)},
			entry{"max_bytes", d.size(&r.MaxBytes, 10_000_000, 1_000_000_000_000_000)},
			entry{"keep_events", d.duration(&r.KeepEvents, time.Minute, 3660*day)},
			entry{"sync", d.sync(&r.Sync)},
			entry{"on_command", d.boolean(&r.OnCommand)},
			entry{"merge", d.oneOf(&r.Merge, "remove", "keep", "off")},
			entry{"merge_bytes", d.size(&r.MergeBytes, 1_000_000, 1_000_000_000_000)},
			entry{"resume", d.duration(&r.Resume, 0, time.Hour)},
		)
		if n.get("ring") == nil && n.get("read") == nil {
			return
		}
		ring := pipeline.Limit{Bytes: int(r.Ring), Growth: r.Growth, Pace: r.Read}.Limit()
		if err := ring.Validate(); err != nil {
			d.wrong(n, path, "%v", err)
		}
	}
}

// ring reads a maximum alone, or all that a ring's size follows.
func (d *decoder) ring(r *Record) setter {
	most := d.size(&r.Ring, smallestRing, largestRing)
	return func(n *node, path string) {
		if n.kind != isObject {
			most(n, path)
			return
		}
		d.fields(n, path,
			entry{"max", most},
			entry{"start", d.sizeInt(&r.Growth.Start, 64<<10, largestRing)},
			entry{"step", d.sizeInt(&r.Growth.Step, 0, largestRing)},
			entry{"piece", d.sizeInt(&r.Growth.Piece, 64<<10, largestRing)},
			entry{"threshold", d.part(&r.Read.Threshold)},
			entry{"shrink_after", d.duration(&r.Growth.ShrinkAfter, time.Second, 24*time.Hour)},
		)
	}
}

const (
	smallestRing = 1 << 20
	largestRing  = 2_000_000_000
)

func (d *decoder) read(p *pipeline.Pace) setter {
	return func(n *node, path string) {
		d.fields(n, path,
			entry{"initial", d.duration(&p.Initial, 5*time.Millisecond, time.Hour)},
			entry{"floor", d.duration(&p.Floor, 5*time.Millisecond, time.Hour)},
			entry{"max", d.duration(&p.Max, 5*time.Millisecond, time.Hour)},
			entry{"empty", d.integer(&p.Empty, 2, 1000)},
		)
	}
}

func (d *decoder) live(l *Live) setter {
	return func(n *node, path string) {
		d.fields(n, path,
			entry{"enabled", d.boolean(&l.Enabled)},
			entry{"frames", d.integer(&l.Frames, 8, 65_536)},
			entry{"bytes", d.size(&l.Bytes, 256<<10, 1<<30)},
			entry{"full", func(n *node, path string) {
				name := ""
				d.oneOf(&name, "drop-until-key", "drop-oldest", "drop-newest")(n, path)
				if p, err := pipeline.ParsePolicy(name); err == nil {
					l.Full = p
				}
			}},
		)
	}
}

// relations checks what is wrong between keys that are right each for itself.
func (d *decoder) relations(n *node, path string, ch *Channel) {
	d.eventRelations(n, path, &ch.Events)
	d.pictureRelations(n, path, ch)
	e := n.at("encode")
	if n.kind != isObject || e.kind == isBroken {
		return
	}
	path = join(path, "encode")
	codec := ch.Encode.Codec
	if codec == hal.CodecUnknown {
		codec = hal.H264
	}
	clash := func(key, why string) {
		if f := e.get(key); f != nil && f.value.kind != isBroken {
			d.problem(f.line, f.col, join(path, key), why)
		}
	}
	if n.get("encode") == nil {
		return
	}
	if codec == hal.MJPEG {
		for _, key := range []string{"bitrate", "gop", "profile"} {
			clash(key, "goes with codec h264 or h265, not with mjpeg: quality says how good a JPEG is")
		}
	} else {
		for _, key := range []string{"quality", "parallel"} {
			clash(key, "goes with codec mjpeg: bitrate says how good "+codec.String()+" is")
		}
	}
	if codec == hal.H265 && ch.Encode.Profile == "baseline" {
		clash("profile", "baseline is no profile of h265: main")
	}
}

// conflicts checks what is wrong between channels.
func (d *decoder) conflicts(n *node, c *Config) {
	named, stored := map[string]bool{}, map[string]string{}
	nodes := n.items
	for _, f := range n.fields {
		nodes = append(nodes, f.value)
	}
	places := map[string]*node{} // of the first channel of a name
	for _, item := range nodes {
		if f := item.get("name"); f != nil && f.value.kind == isText {
			if first, ok := places[f.value.text]; ok {
				d.wrong(f.value, "channels", "a second channel named %q: the first is in line %d; every channel has a name of its own", d.show(f.value.text), first.line)
				continue
			}
			places[f.value.text] = f.value
		}
	}
	for _, ch := range c.Channels {
		if named[ch.Name] || !ch.Record.Enabled && !ch.Events.Enabled {
			continue
		}
		named[ch.Name] = true
		dir := ch.Folder(c.Data)
		if other, ok := stored[dir]; ok {
			d.wrong(d.dirOf(nodes, n, ch.Name), "record.dir", "channels %s and %s record into one folder: each needs one of its own", d.show(other), d.show(ch.Name))
		}
		stored[dir] = ch.Name
	}
}

// dirOf finds the place of a channel's folder.
func (d *decoder) dirOf(nodes []*node, otherwise *node, name string) *node {
	for _, item := range nodes {
		if f := item.get("name"); f != nil && f.value.text == name {
			return item.at("record").at("dir")
		}
	}
	if f := otherwise.get(name); f != nil {
		return f.value.at("record").at("dir")
	}
	return otherwise
}

// Folder returns where a channel's recordings go, in the data folder.
func (ch *Channel) Folder(data string) string {
	dir := ch.Record.Dir
	if dir == "" {
		dir = ch.Name
	}
	if filepath.IsAbs(dir) {
		return filepath.Clean(dir)
	}
	return filepath.Join(data, dir)
}
