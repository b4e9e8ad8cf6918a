package remote

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Take takes the parameters with these names out of a URL's query and hands each to set. What it
// returns is the URL as the camera is to see it: the rest of the query as it was written, and no
// fragment.
func Take(u *url.URL, names []string, set func(name, value string) error) (*url.URL, error) {
	rest := *u
	rest.Fragment, rest.RawFragment = "", ""
	var keep []string
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, _ := strings.Cut(part, "=")
		if !slices.Contains(names, name) {
			keep = append(keep, part)
			continue
		}
		value, err := url.QueryUnescape(value)
		if err != nil {
			return nil, fmt.Errorf("parameter %s: not percent-encoded as a URL wants it", name)
		}
		if err := set(name, value); err != nil {
			return nil, err
		}
	}
	rest.RawQuery = strings.Join(keep, "&")
	return &rest, nil
}
