package bench

import (
	_ "embed" // the page's style
	"fmt"
	"html"
	"io"
	"strings"
)

//go:embed page.css
var style string

// HTML writes the report as one page that needs nothing but a browser: its style and charts are in it,
// and it loads nothing. It is light or dark as the reader's system is.
func (r *Report) HTML(w io.Writer) error {
	p := &page{}
	p.add(`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">`)
	p.add(`<title>Millrace bench %s: %s</title><style>%s</style></head><body><main>`, r.Name, r.Title, raw(style))
	p.head(r)
	p.promises(r.Promises)
	p.charts(r.Charts)
	p.figures(r)
	for _, t := range r.Tables {
		p.table(t, nil)
	}
	p.lines(r)
	p.add(`<footer>Written by millrace bench. The page loads nothing from anywhere.</footer></main></body></html>`)
	_, err := io.WriteString(w, p.String())
	return err
}

// page is HTML in the making.
type page struct{ strings.Builder }

// raw is text that is HTML already; esc makes it of what is not.
type raw string

func esc(text string) raw { return raw(html.EscapeString(text)) }

// add appends HTML. What goes into it is a number, raw, or text that is made HTML of.
func (p *page) add(format string, args ...any) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = esc(text)
		}
	}
	fmt.Fprintf(p, format, args...)
}

func (p *page) head(r *Report) {
	p.add(`<header><p class="name">millrace bench %s</p><h1>%s</h1>`, r.Name, capital(r.Title))
	p.verdict(r)
	if r.About != "" {
		p.add(`<p class="about">%s</p>`, r.About)
	}
	p.add(`</header><dl class="card">`)
	row := func(name string, value raw) {
		if value != "" {
			p.add(`<dt>%s</dt><dd>%s</dd>`, name, value)
		}
	}
	row("Command", `<code>`+esc(r.Command)+`</code>`)
	row("Machine", esc(r.Machine.String()))
	row("Versions", esc(r.versions()))
	row("When", esc(fmt.Sprintf("%s, for %.0f s", r.Began, r.Took)))
	row("Runs", esc(fmt.Sprint(r.Runs)))
	row("Not measured", esc(r.Ended))
	p.add(`</dl>`)
}

// verdict says in one line whether all is well.
func (p *page) verdict(r *Report) {
	kept := 0
	for _, one := range r.Promises {
		if one.Held {
			kept++
		}
	}
	class, sign := raw("held"), raw("✓")
	if !r.Held() {
		class, sign = "broken", "✗"
	}
	text := fmt.Sprintf("%d of %d promises held", kept, len(r.Promises))
	if len(r.Promises) == 0 {
		text = "nothing was promised"
	}
	if r.Ended != "" {
		text += ", but not all was measured"
	}
	p.add(`<p class="verdict %s"><span aria-hidden="true">%s</span>%s</p>`, class, sign, text)
}

func (p *page) promises(all []Promise) {
	if len(all) == 0 {
		return
	}
	p.add(`<h2>Promises</h2><ul class="promises">`)
	for _, one := range all {
		class, says := raw("held"), raw("✓ held")
		if !one.Held {
			class, says = "broken", "✗ not held"
		}
		p.add(`<li class="card"><span class="badge %s">%s</span><div><p>%s</p><p class="limit"><b>%s</b> &nbsp;·&nbsp; limit: %s</p></div></li>`,
			class, says, one.What, one.Got, one.Limit)
	}
	p.add(`</ul>`)
}

// figures is the table of medians; of one run, of what it measured.
func (p *page) figures(r *Report) {
	if len(r.Results) > 0 {
		t := r.medians()
		if r.Runs <= 1 {
			t.Title, t.Columns = "Figures", []string{"what", "measured", "unit"}
			for i, row := range t.Rows {
				t.Rows[i] = []string{row[0], row[1], row[4]}
			}
		}
		for i := len(t.Rows) - 1; i > 0; i-- { // a name stands once
			if t.Rows[i][0] == t.Rows[i-1][0] {
				t.Rows[i][0] = ""
			}
		}
		p.table(t, func(column int) raw {
			switch column {
			case 0:
				return ""
			case len(t.Columns) - 1:
				return ` class="u"`
			}
			return ` class="n"`
		})
	}
}

// table writes one; class is a column's, and may be nil.
func (p *page) table(t Table, class func(column int) raw) {
	p.add(`<h2>%s</h2><div class="card wide"><table>`, capital(t.Title))
	if class == nil {
		class = func(int) raw { return "" }
	}
	if len(t.Columns) > 0 {
		p.add(`<thead><tr>`)
		for i, name := range t.Columns {
			p.add(`<th%s>%s</th>`, class(i), capital(name))
		}
		p.add(`</tr></thead>`)
	}
	p.add(`<tbody>`)
	for _, row := range t.Rows {
		p.add(`<tr>`)
		for i, cell := range row {
			p.add(`<td%s>%s</td>`, class(i), raw(strings.ReplaceAll(string(esc(cell)), "/", "/<wbr>")))
		}
		p.add(`</tr>`)
	}
	p.add(`</tbody></table></div>`)
}

// lines is what benchstat reads.
func (p *page) lines(r *Report) {
	if len(r.Results) == 0 {
		return
	}
	p.add(`<details><summary>The runs, in benchstat's form</summary><pre class="card">`)
	var text strings.Builder
	r.benchstat(&text)
	p.add(`%s</pre></details>`, text.String())
}
