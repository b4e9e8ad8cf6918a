package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Requirement is one numbered line of docs/requirements.md: "- **P4** (built) …".
type Requirement struct {
	Number, Status string
}

// Test is a test function and the requirements it names.
type Test struct {
	Place, Name string
	Numbers     []string
}

// ParseRequirements reads the list. Every line that begins like a requirement must be one.
func ParseRequirements(text string) ([]Requirement, error) {
	item := regexp.MustCompile(`^- \*\*([A-Z]\d+)\*\* \((built|partly|planned)\) \S`)
	var reqs []Requirement
	for i, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, "- **") {
			continue
		}
		m := item.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("line %d: want \"- **P4** (built|partly|planned) text\", have %q", i+1, line)
		}
		if slices.ContainsFunc(reqs, func(r Requirement) bool { return r.Number == m[1] }) {
			return nil, fmt.Errorf("line %d: %s is there twice", i+1, m[1])
		}
		reqs = append(reqs, Requirement{Number: m[1], Status: m[2]})
	}
	if len(reqs) == 0 {
		return nil, errors.New("no requirement found")
	}
	return reqs, nil
}

// FindTests parses every _test.go file below root but those in dot directories (.ci
// has tests) and testdata.
func FindTests(root string) ([]Test, error) {
	var tests []Test
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".ci" || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		place, err := filepath.Rel(root, path)
		if err != nil {
			return fmt.Errorf("find tests: %w", err)
		}
		found, err := parseTests(path, filepath.ToSlash(place))
		tests = append(tests, found...)
		return err
	})
	return tests, err
}

// parseTests finds the tests of one file. A test names a requirement in its own name (TestP4Exit), in its
// doc comment or in a comment inside it. Benchmarks and examples without output cannot fail
// and do not count.
func parseTests(path, place string) ([]Test, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("find tests: %w", err)
	}
	var tests []Test
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !isTest(f.Name.Name) {
			continue
		}
		from, to := f.Pos(), f.End()
		if f.Doc != nil {
			from = f.Doc.Pos()
		}
		var words strings.Builder
		for _, c := range file.Comments {
			if c.Pos() >= from && c.End() <= to {
				words.WriteString(c.Text())
			}
		}
		if strings.HasPrefix(f.Name.Name, "Example") && !strings.Contains(words.String(), "utput:") {
			continue
		}
		numbers := append(inComment(words.String()), inName(f.Name.Name)...)
		slices.Sort(numbers)
		tests = append(tests, Test{
			Place:   fmt.Sprintf("%s:%d", place, set.Position(f.Pos()).Line),
			Name:    f.Name.Name,
			Numbers: slices.Compact(numbers),
		})
	}
	return tests, nil
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "Test") && name != "TestMain" ||
		strings.HasPrefix(name, "Fuzz") || strings.HasPrefix(name, "Example")
}

// inComment finds numbers in "P4: …", "(P4)", "P1, P7: …" and running text. S3 is an object store too:
// it counts only as "S3:".
func inComment(text string) []string {
	var numbers []string
	for _, m := range regexp.MustCompile(`\b([PHRCSUA]\d{1,2})\b(:?)`).FindAllStringSubmatch(text, -1) {
		if m[1] != "S3" || m[2] == ":" {
			numbers = append(numbers, m[1])
		}
	}
	return numbers
}

// inName finds numbers that stand as a word of their own: TestP4Exit, TestExit_P4.
func inName(name string) []string {
	found := regexp.MustCompile(`(?:[a-z_0-9])([PHRCSUA]\d{1,2})(?:[A-Z_]|$)`).FindAllStringSubmatch(name, -1)
	numbers := make([]string, len(found))
	for i, m := range found {
		numbers[i] = m[1]
	}
	return numbers
}

// Match lists the tests of each requirement. The error names every requirement that is built
// and has none, and every test that names what is not there.
func Match(reqs []Requirement, tests []Test) (string, error) {
	var errs []error
	by := map[string][]Test{}
	for _, t := range tests {
		for _, n := range t.Numbers {
			if !slices.ContainsFunc(reqs, func(r Requirement) bool { return r.Number == n }) {
				errs = append(errs, fmt.Errorf("%s: %s names %s, which is no requirement", t.Place, t.Name, n))
			}
			by[n] = append(by[n], t)
		}
	}
	var out strings.Builder
	for _, r := range reqs {
		fmt.Fprintf(&out, "%-3s %-7s %3d tests", r.Number, r.Status, len(by[r.Number]))
		for _, t := range by[r.Number] {
			fmt.Fprintf(&out, "\n      %s %s", t.Place, t.Name)
		}
		out.WriteByte('\n')
		if r.Status != "planned" && len(by[r.Number]) == 0 {
			errs = append(errs, fmt.Errorf("%s is %s but no test names it", r.Number, r.Status))
		}
	}
	return out.String(), errors.Join(errs...)
}
