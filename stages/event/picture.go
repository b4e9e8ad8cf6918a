package event

import (
	"errors"
	"io/fs"
	"slices"
	"time"
)

const (
	bigEnough = 2 << 10                // a picture's file is larger once it is written
	patience  = 5 * time.Second        // for it to grow
	lookEvery = 100 * time.Millisecond // at its size
)

// shot is a picture on its way to its one result.
type shot struct {
	picture Picture
	story   *story
	state   shotState
	since   int64 // Mono of when its path was known
	next    int64 // Mono of the next look
	looking bool
	until   int64 // Mono: the upload has to end
}

type shotState uint8

const (
	asked     shotState = iota // the application has not returned its path
	growing                    // its file is waited for
	uploading                  // being read
)

// due is when time brings something for it.
func (s *shot) due() int64 {
	switch s.state {
	case growing:
		if !s.looking {
			return s.next
		}
	case uploading:
		return s.until
	case asked:
	}
	return never
}

// ask has the application take a picture.
func (m *machine) ask(e *story, src Source) {
	m.pictures++
	s := &shot{story: e, picture: Picture{Channel: m.channel, Event: e.number, Number: m.pictures, Source: src}}
	m.shots = append(m.shots, s)
	e.shots++
	m.do(action{kind: doCapture, picture: s.picture})
}

// captured is the path that the application returned; empty: there is no picture, and so no result.
func (m *machine) captured(now Instant, p Picture, path string) {
	m.tick(now)
	s := m.shot(p.Number)
	switch {
	case s == nil && path == "":
		return
	case s == nil: // a forced exit came first
		m.count.Pictures++
		m.count.Results[TimedOut]++
		p.Path = path
		m.do(action{kind: doResult, picture: p, code: TimedOut})
		return
	case path == "":
		m.drop(s)
		m.clear()
		m.reckon()
		return
	}
	m.count.Pictures++
	for _, o := range slices.Clone(m.shots) {
		if o.story == s.story && o.state == growing {
			m.finish(o, Expired)
		}
	}
	s.picture.Path = path
	s.state, s.since, s.next = growing, now.Mono, now.Mono
	m.reckon()
	m.tick(now)
}

// looked is what a look at a picture's file found: its size, −1 where it is not there.
func (m *machine) looked(now Instant, number uint64, size int64) {
	m.tick(now)
	s := m.shot(number)
	if s == nil || s.state != growing {
		return
	}
	s.looking = false
	last := s.since + int64(patience)
	switch {
	case size > bigEnough:
		s.state, s.until = uploading, now.Mono+int64(m.cfg.UploadTimeout)
		m.do(action{kind: doUpload, picture: s.picture})
	case s.next < last:
		s.next = min(max(s.next+int64(lookEvery), now.Mono), last)
	case size < 0:
		m.finish(s, NotThere)
	default:
		m.finish(s, TimedOut)
	}
	m.clear()
	m.reckon()
}

// uploaded is how a picture's upload ended.
func (m *machine) uploaded(now Instant, number uint64, err error) {
	m.tick(now)
	s := m.shot(number)
	if s == nil || s.state != uploading {
		return
	}
	code := Uploaded
	switch {
	case errors.Is(err, fs.ErrNotExist):
		code = NotThere
	case err != nil:
		code = TimedOut
	}
	m.finish(s, code)
	m.clear()
	m.reckon()
}

// tickShots looks at the files that are waited for, and gives up uploads that take too long.
func (m *machine) tickShots(now Instant) {
	for _, s := range slices.Clone(m.shots) {
		switch s.state {
		case growing:
			if !s.looking && s.next <= now.Mono {
				s.looking = true
				m.do(action{kind: doLook, picture: s.picture})
			}
		case uploading:
			if s.until <= now.Mono {
				m.finish(s, TimedOut)
			}
		case asked:
		}
	}
}

// finish gives a picture its result.
func (m *machine) finish(s *shot, code Code) {
	if s.state == uploading {
		m.do(action{kind: doGiveUp, picture: s.picture})
	}
	m.count.Results[code]++
	m.drop(s)
	m.do(action{kind: doResult, picture: s.picture, code: code})
}

func (m *machine) drop(s *shot) {
	s.story.shots--
	m.shots = slices.DeleteFunc(m.shots, func(o *shot) bool { return o == s })
}

func (m *machine) shot(number uint64) *shot {
	for _, s := range m.shots {
		if s.picture.Number == number {
			return s
		}
	}
	return nil
}
