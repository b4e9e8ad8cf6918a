package bench_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench"
)

// fixed is a bench whose figures are known: 3, 1, 2 and so on.
type fixed struct {
	runs  int
	limit float64
	fails error // of the second run
}

func (*fixed) About() bench.About {
	return bench.About{Name: "fixed", Title: "figures <that> are known", Text: "one: two & three", Peers: []string{"no-such-program"}}
}

func (f *fixed) Run(ctx context.Context, r *bench.Report) error {
	f.runs++
	if f.runs == 2 && f.fails != nil {
		return f.fails
	}
	v := []float64{3, 1, 2}[(f.runs-1)%3]
	r.Add("Fixed/size=8", 10, bench.Value{Value: v, Unit: "ns/op"}, bench.Value{Value: 0.125 * v, Unit: "MB"})
	r.Add("Fixed/size=64", 10, bench.Value{Value: 10 * v, Unit: "ns/op"}, bench.Value{Value: math.NaN(), Unit: "of-nothing"})
	return ctx.Err()
}

func (f *fixed) Judge(r *bench.Report) {
	got, _ := r.Median("Fixed/size=8", "ns/op")
	r.Promise(got <= f.limit, "a \"figure\" is small", strconv.FormatFloat(f.limit, 'f', 0, 64)+" ns", strconv.FormatFloat(got, 'f', 0, 64)+" ns")
	r.Tables = append(r.Tables, bench.Table{Title: "more", Columns: []string{"a", "b"}, Rows: [][]string{{"x: y", "<z>"}}})
	r.Charts = append(
		r.Charts,
		bench.Chart{Title: "lines", X: "size", Y: "ns", Series: []bench.Series{{Name: "fixed", Points: []bench.Point{{X: 8, Y: got}, {X: 64, Y: 10 * got}, {X: 32, Y: math.Inf(1)}}}}},
		bench.Chart{Title: "bars", Y: "ns", Series: []bench.Series{{Name: "a", Points: []bench.Point{{Label: "eight", Y: got}}}, {Name: "b"}}, Limits: []bench.Limit{{Name: "what <was> promised", Y: 2}}},
		bench.Chart{Title: "empty", Y: "ns"},
	)
}

func printed(t *testing.T, r *bench.Report) string {
	t.Helper()
	var text strings.Builder
	require.NoError(t, r.Print(&text))
	return text.String()
}

// Issue, Build 1: five runs are five lines that benchstat reads, by the rules of Go's benchmark format; nothing else
// that is printed is one of its lines.
func TestAReportIsWhatBenchstatReads(t *testing.T) {
	r, err := bench.Measure(t.Context(), &fixed{limit: 2}, bench.Config{Count: 5, Version: "v1", Command: "millrace bench fixed --count 5"})
	require.NoError(t, err)
	runs := map[string]int{}
	keys := map[string]bool{}
	key := regexp.MustCompile(`^(\p{Ll}[^\p{Lu}\s]*):\s`)
	for line := range strings.Lines(printed(t, r)) {
		if found := key.FindStringSubmatch(line); found != nil {
			keys[found[1]] = true
		}
		fields := strings.Fields(line)
		if len(fields) == 0 || !strings.HasPrefix(line, "Benchmark") {
			continue
		}
		name := []rune(strings.TrimPrefix(fields[0], "Benchmark"))
		require.True(t, unicode.IsUpper(name[0]), line)
		_, err := strconv.Atoi(fields[1])
		require.NoError(t, err, line)
		require.Zero(t, len(fields)%2, line)
		for i := 2; i < len(fields); i += 2 {
			_, err := strconv.ParseFloat(fields[i], 64)
			require.NoError(t, err, line)
		}
		name, _ = []rune(regexp.MustCompile(`-\d+$`).ReplaceAllString(string(name), "")), 0
		runs[string(name)]++
	}
	require.Equal(t, map[string]int{"Fixed/size=8": 5, "Fixed/size=64": 5}, runs)
	delete(keys, "cpu") // a machine may not say
	require.Equal(t, map[string]bool{"goos": true, "goarch": true, "pkg": true}, keys)
}

func TestPromisesAreJudgedOnTheMedians(t *testing.T) {
	for limit, held := range map[float64]bool{2: true, 1: false} { // the figures are 3, 1, 2
		r, err := bench.Measure(t.Context(), &fixed{limit: limit}, bench.Config{Count: 3})
		require.NoError(t, err)
		require.Equal(t, held, r.Held())
		require.Equal(t, "2 ns", r.Promises[0].Got)
		require.Contains(t, printed(t, r), map[bool]string{true: "held  ", false: "NOT HELD  "}[held])
		var text strings.Builder
		require.NoError(t, r.JSON(&text))
		var got struct {
			bench.Report

			All *bool `json:"held"`
		}
		require.NoError(t, json.Unmarshal([]byte(text.String()), &got))
		require.Equal(t, held, *got.All)
		require.Equal(t, r.Results, got.Results)
	}
}

// What there is when it ends is told, and that there is more to know.
func TestWhatWasMeasuredUntilTheEndIsTold(t *testing.T) {
	r, err := bench.Measure(t.Context(), &fixed{limit: 3, fails: errors.New("the disk is full")}, bench.Config{Count: 3})
	require.EqualError(t, err, "the disk is full")
	require.False(t, r.Held())
	require.Contains(t, printed(t, r), "Not all was measured: the disk is full.")
	require.Len(t, r.Results, 2)

	ctx, stop := context.WithCancel(t.Context())
	stop()
	r, err = bench.Measure(ctx, &fixed{limit: 3}, bench.Config{Count: 3})
	require.NoError(t, err, "whoever interrupts it knows")
	require.Equal(t, "interrupted after 0 of 3 runs", r.Ended)
	require.Len(t, r.Results, 2)
}

// The page loads nothing, hides nothing, and what is told in it stays text.
func TestThePageStandsAlone(t *testing.T) {
	r, err := bench.Measure(t.Context(), &fixed{limit: 1}, bench.Config{Count: 3, Version: "v1", Command: "millrace bench fixed --html 'a&b'"})
	require.NoError(t, err)
	var text strings.Builder
	require.NoError(t, r.HTML(&text))
	page := text.String()
	require.NotRegexp(t, `(?i)https?:|src=|href=|@import|url\(|<script`, page)
	require.NotContains(t, page, "%!", "a format that does not fit")
	for _, want := range []string{"prefers-color-scheme: dark", "viewport", "Figures &lt;that&gt; are known", "one: two &amp; three", "a&amp;b", "✗ not held", "a &#34;figure&#34; is small", "&lt;z&gt;", "Fixed/<wbr>size=64", "millrace v1", "limit: what &lt;was&gt; promised"} {
		require.Contains(t, page, want)
	}
	require.Equal(t, 3, strings.Count(page, `<svg viewBox="0 0 420`))
	for _, tag := range []string{"svg", "figure", "table", "ul", "li", "div", "g", "text", "main", "details", "dl"} {
		require.Equal(t, strings.Count(page, "<"+tag+" ")+strings.Count(page, "<"+tag+">"), strings.Count(page, "</"+tag+">"), tag)
	}
}
