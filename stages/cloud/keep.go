package cloud

import (
	"encoding/json"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// reserved is how many numbers are given out for each time they are noted on disk.
const reserved = 256

// trouble tells of a disk that does not take what is under way.
func (ch *Channel) trouble(what string, err error) {
	if err != nil {
		ch.cloud.log.Error("the folder of what is under way cannot be written: "+what, "channel", ch.name, "folder", ch.cloud.cfg.Dir, "cause", err.Error())
	}
}

// keepState notes the numbers that may have been given out, and the hour.
func (ch *Channel) keepState() {
	if ch.disk == nil {
		return
	}
	text, err := json.Marshal(state{Next: ch.next + 2*reserved, Hour: ch.hour})
	if err == nil {
		err = ch.disk.save(stateFile, text)
	}
	ch.trouble("names may repeat after a restart", err)
}

// spool puts a package on disk, and returns false where it stays in memory.
func (ch *Channel) spool(p *pkg) bool { return ch.keep(spoolPath(p), p.body, "a package") }

func spoolPath(p *pkg) string { return packagesDir + "/" + p.folder + "~" + p.base() }

// unspool removes a package from disk.
func (c *Cloud) unspool(p *pkg) { p.ch.unspool(spoolPath(p)) }

// noteFolder notes that an hour's playlist is not complete.
func (ch *Channel) noteFolder(folder string) {
	if ch.disk == nil || ch.noted == folder {
		return
	}
	ch.noted = folder
	ch.trouble("the playlist of this hour may miss packages after a restart", ch.disk.save(foldersDir+"/"+folder, nil))
}

func (ch *Channel) forgetFolder(folder string) {
	if ch.disk != nil {
		ch.trouble("a note stays", ch.disk.remove(foldersDir+"/"+folder))
	}
}

// noteEvents notes which packages events have.
func (ch *Channel) noteEvents() {
	if ch.disk == nil {
		return
	}
	type job struct {
		file string
		keys []string
	}
	var todo []job
	c := ch.cloud
	c.mu.Lock()
	for _, f := range ch.events {
		if f.list == nil || f.noted == len(f.keys) {
			continue
		}
		f.noted = len(f.keys)
		file := eventsDir + "/" + strings.TrimSuffix(path.Base(f.list.key), listExt) + ".json"
		if f.list.done == nil {
			f.list.done = func() { ch.trouble("a note stays", ch.disk.remove(file)) }
		}
		todo = append(todo, job{file, slices.Clone(f.keys)})
	}
	c.mu.Unlock()
	for _, j := range todo {
		text, err := json.Marshal(j.keys)
		if err == nil {
			err = ch.disk.save(j.file, text)
		}
		ch.trouble("the playlist of this event may miss packages after a restart", err)
	}
}

// head is what packages begin with: an object of its own.
type head struct {
	body []byte
	sent bool
}

// mostHeads is how many are remembered; a stream whose format changes without end has more.
const mostHeads = 64

// newHead takes a head from the branch.
func (ch *Channel) newHead(hash string, body []byte) {
	c := ch.cloud
	if c.over() {
		return
	}
	c.mu.Lock()
	_, known := ch.heads[hash]
	var old []string
	if !known {
		if len(ch.heads) >= mostHeads {
			old = ch.unusedHeads()
		}
		ch.heads[hash] = &head{body: body}
	}
	c.mu.Unlock()
	if known || ch.disk == nil {
		return
	}
	for _, o := range old {
		ch.trouble("a note stays", ch.disk.remove(headPath(o)))
	}
	if c.cfg.Spool {
		ch.trouble("packages cannot be played after a restart", ch.disk.save(headPath(hash), body))
	}
}

func headPath(hash string) string { return filepath.Join(initDir, hash+".mp4") }

// unusedHeads forgets those that no package on its way needs. The caller holds mu.
func (ch *Channel) unusedHeads() (gone []string) {
	used := map[string]bool{}
	for _, all := range [][]*pkg{ch.waiting, ch.recent} {
		for _, p := range all {
			used[p.head] = true
		}
	}
	for hash, h := range ch.heads {
		if h.sent && !used[hash] {
			delete(ch.heads, hash)
			gone = append(gone, hash)
		}
	}
	return gone
}

// restore finds what a run before left on disk. It comes before anything else.
func (ch *Channel) restore() error {
	c := ch.cloud
	now := c.clock.Now()
	ch.next = max(1, uint64(max(0, now.Unix()))) //nolint:gosec // not negative
	if ch.disk == nil {
		return nil
	}
	was, err := ch.disk.state()
	if err != nil {
		c.log.Warn("what the run before noted cannot be read: numbers go on from the wall clock", "channel", ch.name, "cause", err.Error())
	}
	ch.next = max(ch.next, was.Next)
	if was.Hour.Folder != "" {
		ch.hour = was.Hour
		ch.hour.anchor = c.clock.Anchor().Number
	}
	for _, file := range ch.disk.list(initDir) {
		body, err := ch.disk.root.ReadFile(initDir + "/" + file)
		if hash, ok := strings.CutSuffix(file, ".mp4"); ok && err == nil && digest(body) == hash {
			ch.heads[hash] = &head{body: body}
		}
	}
	for _, file := range ch.disk.list(foldersDir) {
		l := ch.hourList(file)
		l.folders, l.dirty, l.closed = []string{file}, true, file != ch.hour.Folder
	}
	ch.restorePackages()
	ch.restoreLetters()
	ch.restoreEvents()
	ch.keepState()
	return nil
}

func (ch *Channel) restorePackages() {
	c := ch.cloud
	for _, file := range ch.disk.list(packagesDir) {
		folder, base, _ := strings.Cut(file, "~")
		n, ok := parseName(folder, base)
		info, err := ch.disk.root.Stat(packagesDir + "/" + file)
		if !ok || err != nil {
			c.log.Warn("a file in the spool is no package: it is left alone", "channel", ch.name, "file", file)
			continue
		}
		ch.next = max(ch.next, n.number+1)
		p := &pkg{name: n, ch: ch, size: info.Size(), stage: waiting}
		ch.waiting = append(ch.waiting, p)
		c.spooled += p.size
		ch.enters(p)
	}
	slices.SortFunc(ch.waiting, func(a, b *pkg) int { return strings.Compare(a.base(), b.base()) })
}

// restoreEvents goes on with the playlists of events that a run before could not complete.
func (ch *Channel) restoreEvents() {
	for _, file := range ch.disk.list(eventsDir) {
		text, err := ch.disk.root.ReadFile(eventsDir + "/" + file)
		var keys []string
		if err == nil {
			err = json.Unmarshal(text, &keys)
		}
		if err != nil {
			ch.cloud.log.Warn("an event's note cannot be read", "channel", ch.name, "file", file, "cause", err.Error())
			continue
		}
		l := ch.cloud.newList(ch, ch.root+eventFolder+strings.TrimSuffix(file, ".json")+listExt, true)
		l.only, l.dirty, l.closed = keys, true, true
		l.done = func() { ch.trouble("a note stays", ch.disk.remove(eventsDir+"/"+file)) }
		w := &window{ch: ch, of: &footage{list: l}, done: true}
		for _, key := range keys {
			if folder, _, ok := splitKey(key); ok && !slices.Contains(l.folders, folder) {
				l.folders = append(l.folders, folder)
			}
		}
		for _, p := range ch.waiting {
			if slices.Contains(keys, p.key()) {
				p.event, p.windows = true, append(p.windows, w)
				l.pending++
			}
		}
	}
}
