package daemon_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestUsersOfAMount finds the process that opened a file, and one that was given it and is known by its open files only.
func TestUsersOfAMount(t *testing.T) {
	testservers.Require(t, "fuse")
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), Mount: true})
	id := newDisk(t, d.Client, "debian", []byte("one"))
	f, err := os.Open(filepath.Join(d.Mount, "by-id", string(id), "disk.raw"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	heir := exec.Command("cat") // waits for what it is to copy
	heir.ExtraFiles = []*os.File{f}
	in, err := heir.StdinPipe()
	if err == nil {
		err = heir.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer heir.Wait()
	defer in.Close()
	users, err := d.Client.Users(t.Context(), id)
	if err != nil || users.Opens != 1 || len(users.Processes) != 2 {
		t.Fatalf("Users = %+v, %v", users, err)
	}
	if p := users.Processes[0]; p.PID != os.Getpid() || p.Command == "" {
		t.Errorf("the first process is %+v, want %d", p, os.Getpid())
	}
	if p := users.Processes[1]; p.PID != heir.Process.Pid {
		t.Errorf("the second process is %+v, want %d", p, heir.Process.Pid)
	}
	other := newDisk(t, d.Client, "other", []byte("two"))
	if users, err := d.Client.Users(t.Context(), other); err != nil || users.Opens != 0 || !slices.Equal(users.Processes, []image.Process(nil)) {
		t.Errorf("Users of another image = %+v, %v", users, err)
	}
}
