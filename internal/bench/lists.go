package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Contestants of the rows about lists: the same question to a small and to a large database.
const (
	few  = "1,000 images"
	many = "many images"
)

// prepareLists lets the database's own benchmark make the databases and ask them every kind of question, and asks the
// daemon some of them over HTTP.
func prepareLists(ctx context.Context, b *bench, dir string) ([]row, error) {
	fmt.Fprintf(os.Stderr, "asking databases of 1,000 and %d images; making them takes minutes the first time\n", b.images)
	asked, err := b.askDatabases(ctx)
	if err != nil {
		return nil, err
	}
	over := map[string]*server{}
	for name, n := range map[string]int{few: 1000, many: b.images} {
		if over[name], err = b.daemonOn(ctx, filepath.Join(dir, name), n); err != nil {
			return nil, err
		}
	}
	var rows []row
	for _, r := range []struct{ name, query string }{
		{"first page", ""},
		{"first page by size", "&sort_key=size"},
		{"first page by name", "&sort_key=name&sort_dir=asc"},
		{"common tag", "&tag=lts"},
		{"common property", "&os_distro=debian"},
	} {
		row := row{name: "over HTTP, admin: " + r.name, unit: "ms", targets: []target{{of: many, to: few, ratio: 1.3, atMost: true}}}
		for _, name := range []string{many, few} {
			row.contestants = append(row.contestants, contestant{name, latency(over[name].URL + "/v2/images?limit=100" + r.query)})
		}
		rows = append(rows, row)
	}
	return append(rows, asked...), nil
}

// daemonOn starts a daemon on a copy of the benchmark's database with n images.
func (b *bench) daemonOn(ctx context.Context, dir string, n int) (*server, error) {
	schema, err := os.ReadFile("metadata/sqlite/migrations/0001_start.sql") // which the benchmark names its databases by
	if err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(b.dir, fmt.Sprintf("bench-%d-%.8x*.db", n, sha256.Sum256(schema))))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("%d databases of %d images in %s, want one (%w)", len(found), n, b.dir, err)
	}
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	if _, err := output(ctx, "cp", found[0], filepath.Join(data, "vitrine.db")); err != nil {
		return nil, err
	}
	return b.daemon(ctx, dir, false, "")
}

// askDatabases runs the benchmark of package metadata/sqlite and returns its results as rows that are measured already.
func (b *bench) askDatabases(ctx context.Context) ([]row, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkList$", "-benchtime", "100x",
		"-count", strconv.Itoa(b.rounds), "-timeout", "2h", "./metadata/sqlite")
	cmd.Env = append(os.Environ(), "VITRINE_BENCH_IMAGES="+strconv.Itoa(b.images), "VITRINE_BENCH_DIR="+b.dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", cmd, err, out)
	}
	return parseLists(string(out))
}

var (
	listLine   = regexp.MustCompile(`(?m)^BenchmarkList/(\S+?)(?:-\d+)?\s+\d+\s(.*)$`)
	listMetric = regexp.MustCompile(`([0-9.e+]+) µs-at-(1000|N)`)
)

// parseLists reads the lines of the benchmark; a shape that comes several times was measured in several rounds.
func parseLists(out string) (rows []row, err error) {
	index := map[string]int{}
	for _, line := range listLine.FindAllStringSubmatch(out, -1) {
		name := strings.ReplaceAll(line[1], "_", " ")
		i, known := index[name]
		if !known {
			i = len(rows)
			index[name] = i
			rows = append(rows, row{name: name, unit: "ms", targets: []target{wantedOfList(name)}, values: map[string][]measured{}})
		}
		metrics := listMetric.FindAllStringSubmatch(line[2], -1)
		if len(metrics) != 2 {
			return nil, fmt.Errorf("benchmark of lists: %q has not both medians", line[0])
		}
		for _, m := range metrics {
			us, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				return nil, fmt.Errorf("benchmark of lists: %w", err)
			}
			who := map[string]string{"1000": few, "N": many}[m[2]]
			rows[i].values[who] = append(rows[i].values[who], measured{value: us / 1000})
		}
	}
	if len(rows) == 0 {
		return nil, errors.New("the benchmark of lists printed nothing that is understood")
	}
	return rows, nil
}

// wantedOfList returns what is expected of a shape: the same time at any size for the common ones, 5 ms for those that
// look for little or deep, 50 ms for a filter together with another order.
func wantedOfList(name string) target {
	who, shape, _ := strings.Cut(name, ": ")
	bound := func(ms float64) target { return target{of: many, figure: 1, ratio: ms, atMost: true} }
	filter, sorted, _ := strings.Cut(shape, ", ")
	switch {
	case strings.HasPrefix(shape, "deep"):
		return bound(5)
	case strings.Contains(sorted, "by "):
		return bound(50)
	case who == "sparse", strings.HasSuffix(filter, "match"), strings.Contains(shape, "match,"), shape == "name":
		return bound(5)
	case shape == "plain", shape == "tag", shape == "property", strings.HasPrefix(shape, "by ") && shape != "by status and name":
		return target{of: many, to: few, ratio: 1.3, atMost: true}
	}
	return target{of: many, to: few}
}
