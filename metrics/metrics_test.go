package metrics

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testservers"
	"github.com/vitrine-image/vitrine/keeper"
	"github.com/vitrine-image/vitrine/metadata"
)

var update = flag.Bool("update", false, "write the reference anew")

// full returns metrics in which everything has happened once.
func full(t *testing.T) *Metrics {
	m := New([]string{"lookup", "read"})
	m.Request("GET", "/v2/images/:image/file", 200, 20*time.Millisecond, 1, 4096)
	m.Stored("local", 4096)
	m.Read("local", 4096)
	m.MountOperation(Operation{Name: "read", Took: time.Second, Bytes: 10, Errno: int(unix.EIO)})
	m.MountUp(func() bool { return true })
	m.Cache("tables", func() Cache { return Cache{Hits: 3, Misses: 1, Bytes: 100} })
	m.Stores(func(context.Context) []Store {
		return []Store{{ID: "local", Up: true, Measured: true, Total: 100, Free: 40}, {ID: "ceph", Measured: true}, {ID: "web", Up: true}}
	})
	db := m.Database(fakeDB{})
	if err := db.Update(t.Context(), nil); !errors.Is(err, image.ErrUnavailable) {
		t.Fatal(err)
	}
	jobs := m.Jobs([]keeper.Job{{Name: "audit", Run: func(context.Context) error { return nil }}})
	if err := jobs[0].Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

type fakeDB struct{ metadata.DB }

func (fakeDB) View(context.Context, func(metadata.Tx) error) error { return nil }
func (fakeDB) Update(context.Context, func(metadata.WriteTx) error) error {
	return fmt.Errorf("disk: %w", image.ErrUnavailable)
}
func (fakeDB) UpdateFreeing(context.Context, func(metadata.WriteTx) error) error { return nil }

func scrape(m *Metrics) string {
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	return rec.Body.String()
}

func TestWhatIsShown(t *testing.T) {
	text := scrape(full(t))
	for _, line := range []string{
		`vitrine_http_request_duration_seconds_bucket{code="200",method="GET",route="/v2/images/:image/file",le="0.025"} 1`,
		`vitrine_http_request_duration_seconds_bucket{code="200",method="GET",route="/v2/images/:image/file",le="0.01"} 0`,
		`vitrine_http_request_bytes_total{method="GET",route="/v2/images/:image/file"} 1`,
		`vitrine_http_response_bytes_total{method="GET",route="/v2/images/:image/file"} 4096`,
		`vitrine_store_bytes_total{direction="in",store="local"} 4096`,
		`vitrine_store_bytes_total{direction="out",store="local"} 4096`,
		`vitrine_store_up{store="local"} 1`, `vitrine_store_up{store="ceph"} 0`, `vitrine_store_up{store="web"} 1`,
		`vitrine_store_free_bytes{store="local"} 40`,
		`vitrine_mount_up 1`, `vitrine_mount_read_bytes_total 10`,
		`vitrine_mount_errors_total{errno="EIO",operation="read"} 1`,
		`vitrine_cache_hits_total{cache="tables"} 3`, `vitrine_cache_misses_total{cache="tables"} 1`,
		`vitrine_database_duration_seconds_count{operation="update"} 1`,
		`vitrine_database_unavailable_total{operation="update"} 1`,
		`vitrine_job_runs_total{name="audit",result="ok"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no line\n%s", line)
		}
	}
	for _, none := range []string{`vitrine_store_free_bytes{store="ceph"}`, `vitrine_store_size_bytes{store="web"}`} {
		if strings.Contains(text, none) {
			t.Errorf("what a store does not tell is shown: %s", none)
		}
	}
}

// Operations of many readers at once are all counted, each in the bucket of its time.
func TestMountOperationsAreCounted(t *testing.T) {
	m := New([]string{"lookup", "read"})
	var readers sync.WaitGroup
	for reader := range uint64(8) {
		readers.Go(func() {
			for i := range uint64(1000) {
				m.MountOperation(Operation{Name: "read", Key: reader + 8*i, Took: 10 * time.Microsecond, Bytes: 2})
				m.MountOperation(Operation{Name: "lookup", Key: i, Took: time.Hour, Errno: int(unix.ENOENT)})
			}
		})
	}
	readers.Wait()
	text := scrape(m)
	for _, line := range []string{
		`vitrine_mount_operation_duration_seconds_bucket{operation="read",le="1e-05"} 8000`,
		`vitrine_mount_operation_duration_seconds_sum{operation="read"} 0.08`,
		`vitrine_mount_operation_duration_seconds_bucket{operation="lookup",le="30"} 0`,
		`vitrine_mount_operation_duration_seconds_count{operation="lookup"} 8000`,
		`vitrine_mount_read_bytes_total 16000`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no line\n%s", line)
		}
	}
	if strings.Contains(text, "vitrine_mount_errors_total{") {
		t.Error("a name that is not there counts as an error")
	}
}

// A job that is stopped has neither failed nor done its work; one that fails has.
func TestJobsAreCounted(t *testing.T) {
	m := New([]string{"lookup", "read"})
	trouble := errors.New("no disk")
	jobs := m.Jobs([]keeper.Job{{Name: "sweep", Run: func(ctx context.Context) error { return errors.Join(ctx.Err(), trouble) }}})
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, ctx := range []context.Context{stopped, t.Context(), t.Context()} {
		if err := jobs[0].Run(ctx); !errors.Is(err, trouble) {
			t.Error(err)
		}
	}
	text := scrape(m)
	for _, line := range []string{`vitrine_job_runs_total{name="sweep",result="failed"} 2`, `vitrine_job_runs_total{name="sweep",result="ok"} 0`} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no line %s", line)
		}
	}
	if strings.Contains(text, "vitrine_job_last_success_timestamp_seconds{") {
		t.Error("a job that has never ended well has a time of success")
	}
}

// own returns the metrics that are ours, sorted by their names.
func own(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	all, err := full(t).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(f *dto.MetricFamily) bool { return !strings.HasPrefix(f.GetName(), "vitrine_") })
}

// TestReference compares the page in docs/reference with the metrics.
func TestReference(t *testing.T) {
	const path = "../docs/reference/metrics.md"
	var page bytes.Buffer
	page.WriteString("# Metrics\n\nWritten from the definitions by `go test ./metrics -run TestReference -update`; do not edit.\n\n" +
		"Beside these there are those of the Go runtime (`go_...`) and of the process (`process_...`). " +
		"[How to monitor Vitrine](../howto/monitoring.md) says how to get them.\n\n" +
		"| metric | type | labels | what it is |\n|---|---|---|---|\n")
	for _, f := range own(t) {
		var labels []string
		for _, label := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, label.GetName())
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp())
	}
	if *update {
		if err := os.WriteFile(path, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, page.Bytes()) {
		t.Errorf("%s is not what the program says (%v); write it anew: go test ./metrics -run TestReference -update", path, err)
	}
}

func TestNoLabelIsAnID(t *testing.T) {
	for _, f := range own(t) {
		for _, label := range f.GetMetric()[0].GetLabel() {
			if !slices.Contains([]string{"method", "route", "code", "store", "direction", "operation", "errno", "reader", "name", "result", "cache", "version"}, label.GetName()) {
				t.Errorf("%s has the label %s: see that it has few values", f.GetName(), label.GetName())
			}
		}
	}
}

func TestPromtoolAccepts(t *testing.T) { promtool(t, scrape(full(t)), "check", "metrics") }

// files are what packaging has for monitoring systems.
const (
	alerts    = "../packaging/monitoring/alerts.yml"
	dashboard = "../packaging/monitoring/dashboard.json"
)

// TestFilesNameMetricsThatExist looks up each metric and each of its labels that the dashboard and the alerts name.
func TestFilesNameMetricsThatExist(t *testing.T) {
	labels := make(map[string][]string)
	for _, f := range own(t) {
		names := []string{"instance", "le"}
		for _, label := range f.GetMetric()[0].GetLabel() {
			names = append(names, label.GetName())
		}
		labels[f.GetName()] = names
		if f.GetType() == dto.MetricType_HISTOGRAM {
			for _, part := range []string{"_bucket", "_count", "_sum"} {
				labels[f.GetName()+part] = names
			}
		}
	}
	metric := regexp.MustCompile(`(vitrine_[a-z_]+)(?:\{([^}]*)\})?`)
	label := regexp.MustCompile(`([a-z]+)(?:=~|!~|!=|=)`)
	for _, path := range []string{alerts, dashboard} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := metric.FindAllSubmatch(text, -1)
		if len(found) < 8 {
			t.Errorf("%s names %d metrics", path, len(found))
		}
		for _, m := range found {
			known, ok := labels[string(m[1])]
			if !ok {
				t.Errorf("%s names %s, which does not exist", path, m[1])
			}
			for _, l := range label.FindAllSubmatch(m[2], -1) {
				if !slices.Contains(known, string(l[1])) {
					t.Errorf("%s asks for the label %s of %s, which has %v", path, l[1], m[1], known)
				}
			}
		}
	}
}

func TestDashboardIsJSON(t *testing.T) {
	text, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder // promtool knows expressions in rules only
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for _, panel := range board.Panels {
		if panel.Title == "" || len(panel.Targets) == 0 {
			t.Errorf("panel %d has no title, or shows nothing", panel.ID)
		}
		for i, target := range panel.Targets {
			fmt.Fprintf(&rules, "  - record: panel%d_%d\n    expr: %q\n", panel.ID, i, strings.ReplaceAll(target.Expr, "$__rate_interval", "5m"))
		}
	}
	path := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(path, []byte(rules.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", path)
}

func TestAlertsAreRules(t *testing.T) { promtool(t, "", "check", "rules", alerts) }

func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	testservers.Require(t, "promtool")
	cmd := exec.CommandContext(t.Context(), "promtool", args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
