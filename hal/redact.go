package hal

import (
	"net/url"
	"slices"
	"strings"
)

// redacted stands in place of what must not be shown.
const redacted = "xxxxx"

// Redact returns a URL fit to be shown: without its password and without what its query calls one,
// else as it is written. What does not parse, or has an @ where no user stands, loses everything
// between the scheme and the last @.
func Redact(rawURL string) string {
	head, query, asks := strings.Cut(redactUser(rawURL), "?")
	if !asks {
		return head
	}
	return head + "?" + redactQuery(query)
}

func redactUser(rawURL string) string {
	u, err := url.Parse(rawURL)
	switch {
	case err == nil && u.User != nil:
		return u.Redacted()
	case err == nil && !strings.Contains(rawURL, "@"):
		return rawURL
	}
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		scheme, rest = "", rawURL
	} else {
		scheme += "://"
	}
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = redacted + rest[at:]
	}
	return scheme + rest
}

// redactQuery hides the values whose names say that they are secret: cameras and services take
// them so, such as ?user=admin&password=…, ?token=… and the signature of a presigned URL.
func redactQuery(query string) string {
	var shown strings.Builder
	for query != "" {
		end := strings.IndexAny(query, "&;") + 1
		if end == 0 {
			end = len(query)
		}
		field := query[:end]
		query = query[end:]
		name, value, _ := strings.Cut(strings.TrimRight(field, "&;"), "=")
		if value != "" && isSecret(name) {
			field = name + "=" + redacted + field[len(name)+1+len(value):]
		}
		shown.WriteString(field)
	}
	return shown.String()
}

// isSecret says whether a parameter's name speaks of a secret.
func isSecret(name string) bool {
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"pass", "pwd", "psw", "psk", "token", "secret", "auth", "sig", "cred", "key"},
		func(word string) bool { return strings.Contains(name, word) })
}
