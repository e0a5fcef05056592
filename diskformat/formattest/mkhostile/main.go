// Mkhostile writes the files that the readers of disk formats are tested with, more than 2,000, to try other programs with
// them: mkhostile DIR. See package formattest.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: mkhostile DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "mkhostile:", err)
		os.Exit(1)
	}
}

// run writes the files, and a list of them that tells what is wrong with each.
func run(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	list, err := os.Create(filepath.Join(dir, "list"))
	if err != nil {
		return err
	}
	defer list.Close()
	n := 0
	for f := range formattest.Corpus() {
		n++
		name := fmt.Sprintf("%04d.%s", n, f.Format)
		if err := os.WriteFile(filepath.Join(dir, name), f.Data, 0o644); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(list, "%s\t%q\n", name, f.Name); err != nil {
			return err
		}
	}
	fmt.Printf("%d files in %s\n", n, dir)
	return list.Close()
}
