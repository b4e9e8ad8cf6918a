package config

import (
	"fmt"
	"net/url"
	"strings"
)

// maxSources is how many a channel may have.
const maxSources = 16

// sources reads one source or a list of them.
func (d *decoder) sources(ch *Channel) setter {
	return func(n *node, path string) {
		items := []*node{n}
		if n.kind == isList {
			items = n.items
			if len(items) == 0 || len(items) > maxSources {
				d.wrong(n, path, "has %d sources: 1 to %d, the preferred one first", len(items), maxSources)
				return
			}
		}
		ch.Sources = nil
		for i, item := range items {
			at := path
			if n.kind == isList {
				at = fmt.Sprintf("%s[%d]", path, i)
			}
			if s, ok := d.source(item, at); ok {
				ch.Sources = append(ch.Sources, s)
			}
		}
	}
}

// source reads a URL, or an object with one.
func (d *decoder) source(n *node, path string) (Source, bool) {
	const want = "a URL such as rtsp://192.168.1.20/main, or an object with url, user, password and transport"
	var s Source
	at := n
	if n.kind == isObject {
		if !d.sourceObject(n, path, want, &s) {
			return s, false
		}
		at, path = n.at("url"), path+".url"
	} else {
		s = d.url(n, path, want)
	}
	if s.URL == "" {
		return s, false
	}
	if err := d.env.Check(s.URL, s.Transport); err != nil {
		if s.Transport != "" && d.env.Check(s.URL, "") == nil {
			at, path = n.at("transport"), strings.TrimSuffix(path, ".url")+".transport"
		}
		message := strings.ReplaceAll(err.Error(), s.URL, s.Shown)
		d.wrong(at, path, "%s", strings.Join(strings.Split(message, "\n"), "; "))
		return s, false
	}
	return s, true
}

// sourceObject reads a source with its URL, user, password and transport.
func (d *decoder) sourceObject(n *node, path, want string, s *Source) bool {
	before := len(d.problems)
	var user, password template
	d.fields(n, path,
		entry{"url", func(v *node, path string) {
			got := d.url(v, path, want)
			s.URL, s.Shown = got.URL, got.Shown
		}},
		entry{"user", d.secret(&user, false)},
		entry{"password", d.secret(&password, true)},
		entry{"transport", d.oneOf(&s.Transport, "tcp", "udp", "multicast")},
	)
	if n.get("url") == nil {
		d.wrong(n, path, "has no url: url: rtsp://192.168.1.20/main")
	}
	if n.get("password") != nil && n.get("user") == nil {
		d.wrong(n.at("password"), path, "has a password but no user: user: NAME")
	}
	if len(d.problems) > before {
		return false
	}
	return n.get("user") == nil || d.signIn(n, path, s, user, password)
}

// url reads a URL with its secrets.
func (d *decoder) url(n *node, path, want string) Source {
	raw, ok := d.scalar(n, path, want, isText)
	if !ok {
		return Source{}
	}
	t, ok := d.expand(n, path, raw)
	if !ok {
		return Source{}
	}
	var s Source
	s.URL, s.Shown = t.url()
	if !strings.Contains(s.URL, ":") {
		d.wrong(n, path, "is %q: %s", d.show(s.Shown), want)
		return Source{}
	}
	return s
}

// secret reads text that may be a secret: ${NAME}, file:PATH, or itself.
func (d *decoder) secret(dst *template, hide bool) setter {
	return func(n *node, path string) {
		if n.kind == isInteger { // a PIN: as it is written
			n.kind = isText
		}
		if n.kind != isText && n.kind != isBroken {
			d.wrong(n, path, "is %s: text in quotes, ${NAME} for a variable of the environment, or file:PATH", n.kind)
		}
		if n.kind != isText {
			return
		}
		if file, ok := strings.CutPrefix(n.text, "file:"); ok {
			value, err := d.fromFile(file)
			if err != nil {
				d.wrong(n, path, "%v", err)
			}
			dst.parts = []part{{text: value, secret: true}}
			return
		}
		if t, ok := d.expand(n, path, n.text); ok {
			*dst = t
			if hide {
				d.keep(t.plain())
			}
		}
	}
}

func (t template) plain() string {
	return t.fill(func(_ spot, secret string) string { return secret })
}

// signIn puts user and password into the URL.
func (d *decoder) signIn(n *node, path string, s *Source, user, password template) bool {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" {
		d.wrong(n.at("user"), path, "has a user, but its url has no host to sign in to")
		return false
	}
	if u.User != nil {
		d.wrong(n.at("user"), path, "has a user here and one in its url: one of them")
		return false
	}
	u.User = url.User(user.plain())
	if n.get("password") != nil {
		u.User = url.UserPassword(user.plain(), password.plain())
	}
	s.URL = u.String()
	if shown, err := url.Parse(s.Shown); err == nil {
		shown.User = url.UserPassword(user.plain(), hidden)
		s.Shown = shown.Redacted()
	}
	return true
}
