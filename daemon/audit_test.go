package daemon_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
)

// waitForLog asks a daemon something until its log holds the text.
func waitForLog(t *testing.T, d *testdaemon.Daemon, text string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(d.Log(), text); {
		if err := d.Client.Health(t.Context()); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatalf("the log does not say %q", text)
		}
	}
}

// stopped runs a daemon on the directory while fn works with it.
func stopped(t *testing.T, dir string, fn func(c *client.Client)) *testdaemon.Daemon {
	t.Helper()
	d, err := testdaemon.Launch(testdaemon.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	fn(d.Client)
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestForeignFilesAreReported starts a daemon on a directory with things that it did not make. It tells of them, and
// leaves them alone.
func TestForeignFilesAreReported(t *testing.T) {
	dir := t.TempDir()
	d := stopped(t, dir, func(*client.Client) {})
	link := filepath.Join(d.Data, "images", "ab", "link")
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	waitForLog(t, testdaemon.Start(t, testdaemon.Config{Dir: dir}), link)
	if _, err := os.Lstat(link); err != nil {
		t.Errorf("the foreign file: %v", err)
	}
}

// TestLostDatabaseIsTold starts a daemon without the database of its store: one line of the log says so, before anything
// is answered. It does not say so of a store that is in order, or empty.
func TestLostDatabaseIsTold(t *testing.T) {
	const lost = `"level":"ERROR","msg":"the store holds data and the database knows no image`
	dir := t.TempDir()
	d := stopped(t, dir, func(c *client.Client) {
		newDisk(t, c, "one", []byte("one"))
		newDisk(t, c, "two", []byte("two"))
	})
	files := filesOf(t, filepath.Join(d.Data, "images"))
	d = stopped(t, dir, func(*client.Client) {})
	if strings.Contains(d.Log(), lost) {
		t.Errorf("a store in order is told of:\n%s", d.Log())
	}
	for _, ending := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(d.Data, "vitrine.db"+ending)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	d = stopped(t, dir, func(*client.Client) {})
	if log := d.Log(); strings.Count(log, lost) != 1 || !strings.Contains(log, `"objects":2,"or_more":false`) {
		t.Errorf("without its database the log says\n%s", log)
	}
	if left := filesOf(t, filepath.Join(d.Data, "images")); left != files {
		t.Errorf("the store holds %s, held %s", left, files)
	}
}

// TestDeletedImagesAreNoLostDatabase starts a daemon on a store whose images were all deleted.
func TestDeletedImagesAreNoLostDatabase(t *testing.T) {
	dir := t.TempDir()
	stopped(t, dir, func(c *client.Client) {
		if err := c.Delete(t.Context(), newDisk(t, c, "one", []byte("one"))); err != nil {
			t.Error(err)
		}
	})
	if d := stopped(t, dir, func(*client.Client) {}); strings.Contains(d.Log(), "the database knows no image") {
		t.Errorf("the log says\n%s", d.Log())
	}
}

// TestLostDataIsTold takes the files of images away.
func TestLostDataIsTold(t *testing.T) {
	dir := t.TempDir()
	d := stopped(t, dir, func(c *client.Client) {
		newDisk(t, c, "one", []byte("one"))
		newDisk(t, c, "two", []byte("two"))
	})
	for _, path := range strings.Fields(filesOf(t, filepath.Join(d.Data, "images"))) {
		if !strings.HasSuffix(path, ".vitrine-store") {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	waitForLog(t, testdaemon.Start(t, testdaemon.Config{Dir: dir}), `"level":"ERROR","msg":"image data is lost or out of reach`)
}

// filesOf returns the paths of the files below dir.
func filesOf(t *testing.T, dir string) string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(paths, "\n")
}
