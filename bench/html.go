package bench

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// HTML writes the report as one page that needs nothing but a browser.
func (r *Report) HTML(w io.Writer) error {
	var text strings.Builder
	if err := r.Print(&text); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "<!doctype html><title>%s</title><pre>%s</pre>", html.EscapeString(r.Title), html.EscapeString(text.String()))
	return err
}
