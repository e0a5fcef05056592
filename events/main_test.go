package events

import (
	"bytes"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/crashfs"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	crashfs.ServeIfChild()
	goleak.VerifyTestMain(m)
}

var at = time.Date(2026, 11, 21, 13, 50, 7, 123456000, time.UTC)

// A logBuffer takes what a logger writes. It is safe for concurrent use.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// golden compares with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (write it anew with -update):\n%s", path, got)
	}
}

// readAll returns the whole lines of a file.
func readAll(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) == 0 {
		return nil
	}
	if text[len(text)-1] != '\n' {
		t.Errorf("%s does not end with a newline", path)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func decode(t *testing.T, line string) (m map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		t.Fatalf("%v: %q", err, line)
	}
	return m
}

func picture(name string) *image.Image {
	size := int64(1024)
	return &image.Image{ID: "1b4e28ba-2fa1-11d2-883f-0016d3cca427", Name: &name, Owner: "p1", Status: image.Active, Visibility: image.Public,
		DiskFormat: "qcow2", ContainerFormat: "bare", MinDisk: 2, MinRAM: 512, Size: &size, Checksum: "d41d8cd98f00b204e9800998ecf8427e",
		HashAlgo: "sha512", HashValue: "cf83e1", Tags: []string{"a", "b"}, CreatedAt: at.Add(-time.Hour), UpdatedAt: at,
		Properties: map[string]string{"os_type": "linux", "admin_password": "hunter2", "mirror": "see https://user:hunter2@example.org/x, http://a@b",
			"os_glance_importing_to_stores": "fast,slow", "os_glance_failed_import": "", "os_glance_stage_host": "http://node1"},
		Locations: []image.Location{{Store: "fast", URL: "swift+https://user:hunter2@example.org/x"}}}
}
