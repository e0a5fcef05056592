package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Contestants of the rows about lists: the same question to a small and to a large database.
const (
	few  = "1,000 images"
	many = "N images" // the report says how many
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
	rows = append(rows, asked...)
	cold := row{name: "over HTTP, admin: deep, by size, database not in memory", unit: "ms", targets: []target{{of: many, to: few}}}
	for _, name := range []string{many, few} {
		cold.contestants = append(cold.contestants, contestant{name, over[name].coldPage})
	}
	return append(rows, cold), nil // last: it leaves nothing in the page cache
}

// coldPage measures in milliseconds one page of a list by size, behind a random image of it, with nothing of the database
// in the page cache.
func (s *server) coldPage(ctx context.Context) (measured, error) {
	list := func(query string) ([]byte, error) {
		return s.call(ctx, http.MethodGet, "/v2/images?sort_key=size&sort_dir=desc"+query, nil, http.StatusOK)
	}
	answer, err := list(fmt.Sprintf("&limit=1&size_max=%d", largestImage/4+rand.Int64N(largestImage/2)))
	if err != nil {
		return measured{}, err
	}
	var found struct{ Images []struct{ ID string } }
	if err := json.Unmarshal(answer, &found); err != nil || len(found.Images) != 1 {
		return measured{}, fmt.Errorf("%d images to begin behind (%w)", len(found.Images), err)
	}
	if err := forget(filepath.Join(s.dir, "vitrine.db")); err != nil {
		return measured{}, err
	}
	start := time.Now()
	_, err = list("&limit=100&marker=" + found.Images[0].ID)
	return measured{value: time.Since(start).Seconds() * 1000}, err
}

// forget takes a file out of the page cache.
func forget(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil { // what is not written cannot be forgotten
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// largestImage is the size that the images of the benchmark's databases stay below.
const largestImage = 64 << 30

// daemonOn starts a daemon on a copy of the benchmark's database with n images, which is in memory then.
func (b *bench) daemonOn(ctx context.Context, dir string, n int) (*server, error) {
	original, err := b.database(n)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "data", "vitrine.db")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if _, err := output(ctx, "cp", original, path); err != nil {
		return nil, err
	}
	if err := readOnce(path); err != nil {
		return nil, err
	}
	return b.daemon(ctx, dir, false, "")
}

// database finds the benchmark's database with n images.
func (b *bench) database(n int) (path string, err error) {
	schema, err := os.ReadFile("metadata/sqlite/migrations/0001_start.sql") // which the benchmark names its databases by
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(b.dir, fmt.Sprintf("bench-%d-%.8x*.db", n, sha256.Sum256(schema))))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%d databases of %d images in %s, want one (%w)", len(found), n, b.dir, err)
	}
	return found[0], nil
}

// readOnce reads a file to its end, so that it is in the page cache.
func readOnce(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(struct{ io.Writer }{io.Discard}, f)
	return err
}

// askDatabases runs the benchmark of package metadata/sqlite on databases that are in memory and returns its results as
// rows that are measured already.
func (b *bench) askDatabases(ctx context.Context) ([]row, error) {
	if _, err := b.benchmark(ctx, "^BenchmarkList$/^admin:_plain$", "-benchtime", "1x"); err != nil { // which makes them
		return nil, err
	}
	for _, n := range []int{1000, b.images} {
		path, err := b.database(n)
		if err != nil {
			return nil, err
		}
		if err := readOnce(path); err != nil {
			return nil, err
		}
	}
	out, err := b.benchmark(ctx, "^BenchmarkList$", "-benchtime", "100x", "-count", strconv.Itoa(b.rounds))
	if err != nil {
		return nil, err
	}
	return parseLists(out)
}

// benchmark runs a benchmark of package metadata/sqlite and returns what it printed.
func (b *bench) benchmark(ctx context.Context, pattern string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"test", "-run", "^$", "-timeout", "2h", "-bench", pattern}, args, []string{"./metadata/sqlite"})...)
	cmd.Env = append(os.Environ(), "VITRINE_BENCH_IMAGES="+strconv.Itoa(b.images), "VITRINE_BENCH_DIR="+b.dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", cmd, err, out)
	}
	return string(out), nil
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
