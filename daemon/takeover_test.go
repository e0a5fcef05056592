package daemon_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/guestimage"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
	"github.com/vitrine-image/vitrine/mounter"
)

// watchdog is longer than any of these tests takes, unless it hangs.
const watchdog = 4 * time.Minute

// TestMountOutlivesTheDaemon keeps an image open while daemons are killed and stopped: it reads on, counts as in use, and
// what is changed while no daemon follows shows with the next one.
func TestMountOutlivesTheDaemon(t *testing.T) {
	testservers.Require(t, "fuse", "root")
	dir := t.TempDir()
	cfg := testdaemon.Config{Dir: dir, Mount: true, Mounter: testdaemon.StartMounter(t, dir, mounter.Config{}, watchdog), TOML: "passthrough = false\n"}
	launch := func() *testdaemon.Daemon {
		t.Helper()
		d, err := testdaemon.Launch(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := launch()
	data := dataOf("kept", 1<<20)
	id := newDisk(t, d.Client, "kept", data)
	f, err := os.Open(filepath.Join(d.Mount, "by-id", string(id), "disk.raw"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, end := range []func() error{d.Kill, nil} {
		if end == nil {
			end = d.Stop
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		d = launch()
		got := make([]byte, 4096)
		off := int64(i+1) << 18
		if _, err := f.ReadAt(got, off); err != nil || !bytes.Equal(got, data[off:off+4096]) {
			t.Errorf("the open file reads wrong, %v", err)
		}
		if err := d.Client.Delete(t.Context(), id); !errors.Is(err, image.ErrInUse) {
			t.Errorf("Delete = %v, want ErrInUse while a file is open that another daemon opened", err)
		}
		if got := entries(t, filepath.Join(d.Mount, "by-name")); len(got) != 1 || got[0] != "kept" {
			t.Errorf("by-name holds %q", got)
		}
	}
	if _, err := d.Client.Edit(t.Context(), id, []image.Edit{{Op: image.EditReplace, Name: "name", Value: "renamed"}}); err != nil {
		t.Fatal(err)
	}
	if err := d.Kill(); err != nil { // perhaps before the kernel was told
		t.Fatal(err)
	}
	d = launch()
	if got := entries(t, filepath.Join(d.Mount, "by-name")); len(got) != 1 || got[0] != "renamed" {
		t.Errorf("by-name holds %q", got)
	}
	f.Close()
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}

	// Another database gives other images the same numbers.
	if err := os.Rename(d.Data, d.Data+".old"); err != nil {
		t.Fatal(err)
	}
	d = launch()
	if got := entries(t, filepath.Join(d.Mount, "by-id")); len(got) != 0 {
		t.Errorf("with an empty database by-id holds %q", got)
	}
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
}

// TestGuestBootsThroughTakeovers boots guests one after the other, which hash their disks, and verifies files of other kinds, while the
// daemon is killed again and again. It runs as nobody, without any rights. VITRINE_ROUNDS makes it longer.
func TestGuestBootsThroughTakeovers(t *testing.T) {
	testservers.Require(t, "fuse", "root", "passthrough", "qemu", "guest")
	guest, err := guestimage.Build(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for up := dir; up != "/tmp" && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "data")
	if err := errors.Join(os.Mkdir(data, 0o755), os.Chown(data, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	cfg := testdaemon.Config{Dir: dir, Mount: true, User: &syscall.Credential{Uid: 65534, Gid: 65534},
		Mounter: testdaemon.StartMounter(t, dir, mounter.Config{UID: 65534, GID: 65534}, 10*time.Minute)}
	d, err := testdaemon.Launch(cfg)
	if err != nil {
		t.Fatal(err)
	}
	path, format := fromRaw(t, guest.Path, "qcow2 -c -o compression_type=zstd")
	raw := newFileIn(t, d.Client, "", "raw", guest.Path)
	packed := newFileIn(t, d.Client, "", format, path)
	want, err := os.ReadFile(guest.Path)
	if err != nil {
		t.Fatal(err)
	}

	stop := make(chan struct{})
	var running sync.WaitGroup
	var mu sync.Mutex
	byID := filepath.Join(d.Mount, "by-id")
	disk := func(id image.ID) string { return filepath.Join(byID, string(id), "disk.raw") }
	longest := map[string]time.Duration{}
	for what, id := range map[string]image.ID{"passed through": raw, "read by the daemon": packed} {
		running.Go(func() {
			f, err := os.OpenFile(disk(id), os.O_RDONLY|unix.O_DIRECT, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			block, err := unix.Mmap(-1, 0, 64<<10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // as O_DIRECT wants it
			if err != nil {
				t.Error(err)
				return
			}
			defer unix.Munmap(block)
			for reads := 0; !isClosed(stop); reads++ {
				off := rand.Int64N(int64(len(want)-len(block))/4096) * 4096
				begun := time.Now()
				_, err := f.ReadAt(block, off)
				took := time.Since(begun)
				if err != nil || !bytes.Equal(block, want[off:off+int64(len(block))]) {
					t.Errorf("%s: wrong at %d, %v", what, off, err)
					return
				}
				mu.Lock()
				longest[what] = max(longest[what], took)
				mu.Unlock()
			}
		})
	}
	boots := 0 // written until running has ended
	running.Go(func() {
		for !isClosed(stop) {
			for _, id := range []image.ID{raw, packed} {
				sum, err := guestimage.Boot(t.Context(), guestimage.Machine{Attach: guestimage.Overlay, Drive: "cache=none,aio=native",
					Image: disk(id), Dir: t.TempDir()})
				if err != nil || sum != guest.Sum {
					t.Errorf("the guest read %s, want %s: %v", sum, guest.Sum, err)
					return
				}
				boots++
			}
		}
	})
	for round := range testservers.Rounds(t, 10) {
		end := d.Kill
		if round%6 == 5 {
			end = d.Stop
		}
		if err := end(); err != nil {
			t.Error(err)
		}
		if d, err = testdaemon.Launch(cfg); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	running.Wait()
	t.Logf("%d guests booted; the longest reads: %v", boots, longest)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Pid()))
	if err != nil || !strings.Contains(string(status), "CapEff:\t0000000000000000") {
		t.Errorf("the daemon has rights: %s, %v", status, err)
	}
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
