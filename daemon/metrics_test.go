package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// monitored starts a daemon, and returns what asks its monitoring socket.
func monitored(t *testing.T, cfg testdaemon.Config) (d *testdaemon.Daemon, ask func(path string) (int, string)) {
	t.Helper()
	dir, err := os.MkdirTemp("", "monitor") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	cfg.TOML += fmt.Sprintf("[metrics]\nlisten = [%q]\n", "unix:"+socket)
	d = testdaemon.Start(t, cfg)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	return d, func(path string) (int, string) {
		t.Helper()
		resp, err := c.Get("http://daemon" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
}

// TestMetrics lets an image be uploaded, downloaded and read from the mount, and finds each in the metrics; and all metrics that the
// reference names.
func TestMetrics(t *testing.T) {
	testservers.Require(t, "fuse")
	d, ask := monitored(t, testdaemon.Config{Dir: t.TempDir(), Mount: true})
	data := strings.Repeat("disk", 1000)
	id := newDisk(t, d.Client, "debian", []byte(data))
	if got, err := os.ReadFile(filepath.Join(d.Mount, "by-id", string(id), "disk.raw")); err != nil || string(got) != data {
		t.Fatalf("the mount gave %d bytes, %v", len(got), err)
	}
	body, err := d.Client.Download(t.Context(), id, client.DownloadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, body); err != nil || n != int64(len(data)) {
		t.Fatalf("downloaded %d bytes, %v", n, err)
	}
	body.Close()
	text := ""
	for end := time.Now().Add(time.Minute); !strings.Contains(text, `vitrine_http_response_bytes_total{method="GET",route="/v2/images/:image/file"} 4000`); { // a client has all bytes before they are counted
		code := 0
		if code, text = ask("/metrics"); code != http.StatusOK || time.Now().After(end) {
			t.Fatalf("status %d: %s", code, text)
		}
	}
	for _, want := range []string{
		`vitrine_http_request_duration_seconds_count\{code="201",method="POST",route="/v2/images"\} 1`,
		`vitrine_http_request_duration_seconds_count\{code="204",method="PUT",route="/v2/images/:image/file"\} 1`,
		`vitrine_http_request_bytes_total\{method="PUT",route="/v2/images/:image/file"\} 4000`,
		`vitrine_http_response_bytes_total\{method="GET",route="/v2/images/:image/file"\} 4000`,
		`vitrine_store_bytes_total\{direction="in",store="local"\} 4000`,
		`vitrine_store_bytes_total\{direction="out",store="local"\} 4000`,
		`vitrine_store_up\{store="local"\} 1`,
		`vitrine_store_free_bytes\{store="local"\} [1-9]`,
		`vitrine_mount_up 1`,
		`vitrine_mount_operation_duration_seconds_count\{operation="open"\} [1-9]`,
		`vitrine_mount_operation_duration_seconds_count\{operation="lookup"\} [1-9]`,
		`vitrine_mount_opens_total\{reader="(kernel|daemon)"\} [1-9]`,
		`vitrine_database_duration_seconds_count\{operation="update"\} [1-9]`,
		`vitrine_cache_bytes\{cache="disks"\} 0`,
		`vitrine_job_runs_total\{name="heartbeat",result="failed"\} 0`,
	} {
		if !regexp.MustCompile("(?m)^" + want).MatchString(text) {
			t.Errorf("there is no line %s", want)
		}
	}
	if strings.Contains(text, string(id)) {
		t.Error("the metrics name an image")
	}
	reference, err := os.ReadFile("../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("(?m)^\\| `(vitrine_[a-z_]+)`").FindAllStringSubmatch(string(reference), -1)
	if len(names) < 15 {
		t.Fatalf("the reference names %d metrics", len(names))
	}
	for _, name := range names {
		// A mount without errors has none to show, and no job needs to have ended yet.
		if n := name[1]; n != "vitrine_mount_errors_total" && n != "vitrine_job_last_success_timestamp_seconds" && !strings.Contains(text, "# TYPE "+n+" ") {
			t.Errorf("the reference names %s, which the daemon does not show", n)
		}
	}
}

// TestReadiness starts a daemon where the disk of its second store is not mounted: that one is down, and the daemon is ready.
func TestReadiness(t *testing.T) {
	away := filepath.Join(t.TempDir(), "away")
	cfg := testdaemon.Config{Dir: t.TempDir(), TOML: fmt.Sprintf("[stores.local]\npath = %q\ndefault = true\n[stores.away]\npath = %q\n",
		filepath.Join(t.TempDir(), "images"), away)}
	if err := testdaemon.Start(t, cfg).Stop(); err != nil { // it makes the stores
		t.Fatal(err)
	}
	if err := os.Rename(away, away+"-unmounted"); err != nil {
		t.Fatal(err)
	}
	_, ask := monitored(t, cfg)
	if code, text := ask("/healthz"); code != http.StatusOK || text != "ok\n" {
		t.Errorf("/healthz answers %d %q", code, text)
	}
	if code, _ := ask("/v2/images"); code != http.StatusNotFound {
		t.Errorf("the API answers %d where monitoring is served", code)
	}
	wantStores(t, ask, "down")
	if _, text := ask("/metrics"); !strings.Contains(text, `vitrine_store_up{store="away"} 0`) {
		t.Error("the metrics do not show a store that is away")
	}
	if err := os.Rename(away+"-unmounted", away); err != nil {
		t.Fatal(err)
	}
	wantStores(t, ask, "up")
}

// wantStores compares what /readyz says of the stores.
func wantStores(t *testing.T, ask func(string) (int, string), away string) {
	t.Helper()
	code, text := ask("/readyz")
	var got struct {
		Ready           bool
		Database, Mount string
		Stores          []struct{ ID, State, Error string }
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if code != http.StatusOK || !got.Ready || got.Database != "ok" || got.Mount != "off" {
		t.Errorf("/readyz answers %d %s", code, text)
	}
	states := make(map[string]string)
	for _, s := range got.Stores {
		states[s.ID] = s.State
		if (s.State == "down") != (s.Error != "") {
			t.Errorf("store %s is %s, and why is %q", s.ID, s.State, s.Error)
		}
	}
	if want := map[string]string{"local": "up", "away": away, imagestore.Staging: "up"}; !maps.Equal(states, want) {
		t.Errorf("the stores are %v, want %v", states, want)
	}
}
