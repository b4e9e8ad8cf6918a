package doctor

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/v4l2"
)

// selectable says whether a driver's URLs choose among the formats that it lists.
func selectable(driver string) bool { return driver == v4l2.Scheme }

// queries are a URL's parameters with a format and a size added, one for each that the URL as
// it is written leaves open: of every format the best size, or all of them.
func queries(raw string, formats []hal.Format, all bool) []string {
	asked, err := url.ParseQuery(raw)
	if err != nil {
		return nil
	}
	format, size := asked.Get("format"), asked.Get("size")
	if format == "hevc" {
		format = hal.H265.String()
	}
	open := map[string][]hal.Format{}
	var order []string
	for _, f := range formats {
		if format != "" && f.Name != format || size != "" && sizeOf(f) != size {
			continue
		}
		if !slices.Contains(order, f.Name) {
			order = append(order, f.Name)
		}
		open[f.Name] = append(open[f.Name], f)
	}
	var result []string
	for _, name := range order {
		sizes := open[name]
		if !all {
			sizes = []hal.Format{best(sizes)}
		}
		for _, f := range sizes {
			result = append(result, with(raw, asked, f))
		}
	}
	return slices.Compact(result)
}

func sizeOf(f hal.Format) string { return fmt.Sprintf("%dx%d", f.Width, f.Height) }

// with adds what a query does not say.
func with(raw string, asked url.Values, f hal.Format) string {
	var parts []string
	if raw != "" {
		parts = append(parts, raw)
	}
	if !asked.Has("format") {
		parts = append(parts, "format="+f.Name)
	}
	if !asked.Has("size") {
		parts = append(parts, "size="+sizeOf(f))
	}
	return strings.Join(parts, "&")
}

const fluid = 24 // pictures a second that an eye takes for motion

// best is the size that a configuration would want: the largest up to 1920×1080 that is fluid,
// else the largest that is, else the largest.
func best(sizes []hal.Format) hal.Format {
	rank := func(f hal.Format) int {
		moves := len(f.Rates) == 0 || f.Rates[0] >= fluid
		switch {
		case moves && f.Width <= 1920 && f.Height <= 1080:
			return 2
		case moves:
			return 1
		}
		return 0
	}
	return slices.MaxFunc(sizes, func(a, b hal.Format) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Width*a.Height, b.Width*b.Height))
	})
}
