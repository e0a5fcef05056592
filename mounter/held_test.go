package mounter

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/internal/fusemount"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestOnlyRegularFilesForReading registers what a daemon could hand over and must not: the kernel opens it anew with our rights.
func TestOnlyRegularFilesForReading(t *testing.T) {
	testservers.Require(t, "fuse", "root", "passthrough")
	o := fusemount.Options{Name: "vitrine", MaxRead: 128 << 10}
	path := filepath.Join(t.TempDir(), "mnt")
	h, err := mount(path, o, 4096, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := fusemount.Release(path, true); err != nil {
			t.Error(err)
		}
		h.close()
	}()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path  string
		flags int
	}{
		{file, unix.O_RDWR}, {file, unix.O_WRONLY}, {file, unix.O_PATH}, {filepath.Dir(file), unix.O_RDONLY}, {"/dev/null", unix.O_RDONLY},
	} {
		fd, err := unix.Open(tt.path, tt.flags|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if id, err := h.register(fd); err != syscall.EINVAL {
			t.Errorf("register %s opened with %#x = %d, %v, want EINVAL", tt.path, tt.flags, id, err)
		}
		unix.Close(fd)
	}
	if !h.lives(path, o.Type()) {
		t.Error("the mount is taken to be dead")
	}
	if err := fusemount.Abort(h.minor); err != nil {
		t.Fatal(err)
	}
	if h.lives(path, o.Type()) {
		t.Error("a mount whose connection was aborted is taken to live")
	}
}

// TestStateStaysAsLong makes a state that a daemon can neither cut short nor lengthen.
func TestStateStaysAsLong(t *testing.T) {
	first := []byte("the first request")
	fd, err := makeState(first)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, size := range []int64{0, StateSize + 1} {
		if err := unix.Ftruncate(fd, size); err != unix.EPERM {
			t.Errorf("to make it %d bytes long gives %v, want EPERM", size, err)
		}
	}
	head := make([]byte, StateHead)
	if _, err := unix.Pread(fd, head, 0); err != nil || string(FirstRequest(head)) != string(first) {
		t.Errorf("the first request is %q, %v", FirstRequest(head), err)
	}
	if _, err := makeState(make([]byte, StateHead)); err == nil {
		t.Error("a first request that does not fit was taken")
	}
}

func TestHeldFromWhatWasKept(t *testing.T) {
	h := &held{minor: 98}
	for _, tt := range []struct {
		kept map[string]int
		want string
	}{
		{map[string]int{h.fuseName(): 7, keptState: 8}, "7 8 98"},
		{map[string]int{h.fuseName(): 7}, "none"},
		{map[string]int{keptFuse + "x": 7, keptState: 8}, "none"},
		{nil, "none"},
	} {
		got := "none"
		if h := heldFrom(tt.kept); h != nil {
			got = fmt.Sprint(h.fuse, " ", h.state, " ", h.minor)
		}
		if got != tt.want {
			t.Errorf("from %v comes %s, want %s", tt.kept, got, tt.want)
		}
	}
}
