package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/internal/testdaemon"
)

// TestForeignFilesAreReported starts a daemon on a directory with things that it did not make. It tells of them, and
// leaves them alone.
func TestForeignFilesAreReported(t *testing.T) {
	dir := t.TempDir()
	d, err := testdaemon.Launch(testdaemon.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(d.Data, "images", "ab", "link")
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	d = testdaemon.Start(t, testdaemon.Config{Dir: dir})
	for !strings.Contains(d.Log(), link) && t.Context().Err() == nil {
		if err := d.Client.Health(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(link); err != nil {
		t.Errorf("the foreign file: %v", err)
	}
}
