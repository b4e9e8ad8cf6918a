// Command trace tells which tests name which requirement of docs/requirements.md. It fails where a
// requirement that is built, wholly or partly, is named by no test, and where a test names a
// requirement that does not exist.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	if err := run(root); err != nil {
		fmt.Fprintln(os.Stderr, "trace:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	list, err := os.ReadFile(filepath.Join(root, "docs", "requirements.md"))
	if err != nil {
		return fmt.Errorf("read the list of requirements: %w", err)
	}
	reqs, err := ParseRequirements(string(list))
	if err != nil {
		return fmt.Errorf("docs/requirements.md: %w", err)
	}
	tests, err := FindTests(root)
	if err != nil {
		return err
	}
	report, err := Match(reqs, tests)
	fmt.Print(report)
	return err
}
