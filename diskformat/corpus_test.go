package diskformat

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
)

// Every file that was made to do harm is refused, or read for as long as it makes sense, by every reader and by what looks at
// uploads; all of that within 2 s and 64 MiB. What refers to other files is never taken for a disk.
func TestHostileCorpus(t *testing.T) {
	files, opened := 0, 0
	seen := make(map[string]bool)
	for f := range formattest.Corpus() {
		files++
		if seen[f.Name] {
			t.Errorf("there are two of %s", f.Name)
		}
		seen[f.Name] = true
		err := usesLittle(t, func() error {
			for _, format := range []string{QCOW2, VMDK, VHD, VHDX, VDI, Raw} {
				opens, err := openHostile(t, f.Data, format)
				switch {
				case err != nil:
					return fmt.Errorf("as %s: %w", format, err)
				case opens && format == f.Format:
					opened++
					if f.Refers {
						return errors.New("it is read")
					}
				}
			}
			got := inspect(Rules{}, f.Data, 1<<16)
			if err := (Rules{}).Check(Declaration{DiskFormat: f.Format, ContainerFormat: "bare"}, got); f.Refers && err == nil {
				return errors.New("it is taken")
			}
			return nil
		})
		if err != nil || t.Failed() {
			t.Fatalf("%s: %v", f.Name, err)
		}
	}
	if files < 2000 || opened < 500 {
		t.Errorf("there are %d files, of which %d are read", files, opened)
	}
}

// openHostile opens and reads a file. Only an error that does not blame the file is returned.
func openHostile(t *testing.T, file []byte, format string) (opens bool, err error) {
	d, err := Open(t.Context(), bytesSource(file), format, NewCache(8<<20))
	if err == nil {
		defer d.Close()
		opens, err = true, touch(t, d)
	}
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnsupported) {
		err = nil
	}
	return opens, err
}

// Nothing in this package can open a file or a connection.
func TestNothingIsOpened(t *testing.T) {
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	pure := []string{"bytes", "cmp", "context", "encoding/binary", "errors", "fmt", "hash/adler32", "hash/crc32", "io", "iter", "math", "math/bits", "regexp", "slices",
		"strconv", "strings", "sync", "sync/atomic", "unsafe"}
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(pure, path) && !strings.HasPrefix(path, "github.com/klauspost/compress/") {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}
