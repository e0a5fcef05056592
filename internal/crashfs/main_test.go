package crashfs

import (
	"os"
	"testing"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

func TestMain(m *testing.M) {
	ServeIfChild()
	os.Exit(m.Run())
}

// begin mounts a crashfs for the test.
func begin(t *testing.T, cfg Config) (fs *FS, dir string) {
	t.Helper()
	testservers.Require(t, "fuse")
	if cfg.Mount == "" {
		cfg.Mount = t.TempDir()
	}
	fs, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fs.Close(); err != nil {
			t.Error(err)
		}
	})
	return fs, cfg.Mount
}

// survivors cuts the power, if it is still on, and returns where the rest lies.
func survivors(t *testing.T, fs *FS, mode Mode, seed uint64) string {
	t.Helper()
	dir := t.TempDir()
	if err := fs.Cut(mode, seed); err != nil {
		t.Fatal(err)
	}
	if err := fs.Survivors(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
