package daemon_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
)

// TestSecondDaemon starts another daemon on the same data, also after somebody removed the lock file.
func TestSecondDaemon(t *testing.T) {
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir()})
	for _, remove := range []bool{false, true} {
		if remove {
			if err := os.Remove(filepath.Join(d.Data, "vitrine.db.lock")); err != nil {
				t.Fatal(err)
			}
		}
		second, err := testdaemon.Launch(testdaemon.Config{Dir: t.TempDir(), Data: d.Data})
		if err == nil {
			t.Fatal(errors.Join(errors.New("a second daemon works on the same data"), second.Stop()))
		}
		if !strings.Contains(err.Error(), "another vitrined works on "+filepath.Join(d.Data, "vitrine.db")) {
			t.Errorf("with the lock file removed: %v, a second daemon says %v", remove, err)
		}
	}
	newRaw(t, d.Client) // the first one still has its database
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), Data: d.Data}) // the lock ended with it
}

// TestDatabaseTakenAway moves the database away under a daemon: it says so instead of writing what would be lost.
func TestDatabaseTakenAway(t *testing.T) {
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir()})
	path := filepath.Join(d.Data, "vitrine.db")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	status := func(err error) int {
		if answer := (*client.Error)(nil); errors.As(err, &answer) {
			return answer.Status
		}
		t.Errorf("unexpected answer: %v", err)
		return 0
	}
	_, err := d.Client.Create(t.Context(), "", nil)
	if got := status(err); got != 503 {
		t.Errorf("creating without the database is answered with %d, want 503", got)
	}
	if got := healthStatus(t, d); got != 503 {
		t.Errorf("the health check without the database gives %d, want 503", got)
	}
	if !strings.Contains(d.Log(), "the metadata database was taken away") {
		t.Error("the log does not tell of it")
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	newRaw(t, d.Client)
	if got := healthStatus(t, d); got != 200 {
		t.Errorf("the health check with the database back gives %d, want 200", got)
	}
}

func healthStatus(t *testing.T, d *testdaemon.Daemon) int {
	t.Helper()
	resp, err := http.Get(d.Endpoint + "/healthcheck")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
