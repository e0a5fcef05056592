package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// smallDisk mounts a file system of 64 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	testservers.Require(t, "root")
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func freeBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	return int64(fs.Bavail) * fs.Bsize
}

// fill takes all the space that is left.
func fill(t *testing.T, dir string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// smallExt4 mounts a file system of that size, which is a file.
func smallExt4(t *testing.T, megabytes int) string {
	t.Helper()
	testservers.Require(t, "root", "ext4")
	dir := t.TempDir()
	disk, mnt := filepath.Join(dir, "disk"), filepath.Join(dir, "mnt")
	for _, step := range [][]string{
		{"truncate", "-s", fmt.Sprint(megabytes << 20), disk},
		{"mkfs.ext4", "-q", disk},
		{"mkdir", mnt},
		{"mount", "-o", "loop", disk, mnt},
	} {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("no ext4 on a file here: %v: %v %s", step, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", mnt).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v %s", err, out)
		}
	})
	return mnt
}

func newRaw(t *testing.T, c *client.Client) image.ID {
	t.Helper()
	img, err := c.Create(t.Context(), "", []image.Edit{
		{Op: image.EditAdd, Name: "disk_format", Value: "raw"}, {Op: image.EditAdd, Name: "container_format", Value: "bare"}})
	if err != nil {
		t.Fatal(err)
	}
	return img.ID
}

// TestStoreFull uploads more than there is room for, announced and not.
func TestStoreFull(t *testing.T) {
	disk := smallDisk(t)
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), TOML: "[stores.small]\ntype = \"file\"\npath = \"" + disk + "/images\"\n"})
	before := freeBytes(t, disk)
	data := bytes.Repeat([]byte("x"), 80<<20)
	for _, size := range []int64{int64(len(data)), -1} {
		id := newRaw(t, d.Client)
		err := d.Client.Upload(t.Context(), id, client.Upload{Body: bytes.NewReader(data), Size: size})
		var refused *client.Error
		if !errors.As(err, &refused) || refused.Status != 413 {
			t.Errorf("an upload of %d bytes, announced as %d: %v, want 413", len(data), size, err)
		}
		img, err := d.Client.Get(t.Context(), id)
		if err != nil || img.Status != image.Queued || img.Size != nil {
			t.Errorf("the image is %+v, %v, want it queued again", img, err)
		}
		if free := freeBytes(t, disk); free < before-1<<20 {
			t.Errorf("%d bytes are free after the refusal, %d before it", free, before)
		}
		if err := d.Client.Upload(t.Context(), id, client.Upload{Body: bytes.NewReader(data[:1<<20]), Size: 1 << 20}); err != nil {
			t.Errorf("a smaller upload after the refusal: %v", err)
		}
		if err := d.Client.Delete(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
}

// TestDatabaseFull takes all space from the database: writes are answered with 503, reads go on, and when there is
// space again everything works without a restart.
func TestDatabaseFull(t *testing.T) {
	disk, images := smallDisk(t), t.TempDir()
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), Data: disk,
		TOML: "[stores.local]\ntype = \"file\"\npath = \"" + images + "\"\n"})
	id := newRaw(t, d.Client)
	filler := fill(t, disk)
	var failed error
	for i := 0; failed == nil && i < 10_000; i++ { // the database has some room within its files
		_, failed = d.Client.Create(t.Context(), "", []image.Edit{{Op: image.EditAdd, Name: "p", Value: string(bytes.Repeat([]byte("v"), 60_000))}})
	}
	var refused *client.Error
	if !errors.As(failed, &refused) || refused.Status != 503 {
		t.Fatalf("creating on a full disk: %v, want 503", failed)
	}
	if _, err := d.Client.Get(t.Context(), id); err != nil {
		t.Errorf("reading while the disk is full: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := d.Client.Upload(t.Context(), id, client.Upload{Body: bytes.NewReader([]byte("data")), Size: 4}); err != nil {
		t.Errorf("an upload when there is room again: %v", err)
	}
}

// TestDeleteOnFullDisk fills the disk that holds data and database with records, and deletes an image: at once, or after the
// daemon was stopped or killed on the full disk. Then there is room for others, without a restart.
func TestDeleteOnFullDisk(t *testing.T) {
	for _, end := range []string{"", "stop", "kill"} {
		t.Run("then "+end, func(t *testing.T) {
			cfg := testdaemon.Config{Dir: t.TempDir(), Data: smallExt4(t, 48)}
			d, err := testdaemon.Launch(cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := d.Stop(); err != nil {
					t.Error(err)
				}
				if t.Failed() {
					t.Logf("the daemon's log:\n%s", d.Log())
				}
			})
			id := newRaw(t, d.Client)
			if err := d.Client.Upload(t.Context(), id, client.Upload{Body: bytes.NewReader(make([]byte, 5<<20)), Size: 5 << 20}); err != nil {
				t.Fatal(err)
			}
			create := func(properties, bytes int) error {
				var edits []image.Edit
				for i := range properties {
					edits = append(edits, image.Edit{Op: image.EditAdd, Name: fmt.Sprint("p", i), Value: strings.Repeat("v", bytes)})
				}
				_, err := d.Client.Create(t.Context(), "", edits)
				return err
			}
			createUntilRefused := func() {
				t.Helper()
				for _, size := range [][2]int{{12, 60_000}, {1, 1000}} {
					var failed error
					for i := 0; failed == nil && i < 10_000; i++ {
						failed = create(size[0], size[1])
					}
					if refused := (*client.Error)(nil); !errors.As(failed, &refused) || refused.Status != 503 {
						t.Fatalf("creating on a full disk: %v, want 503", failed)
					}
				}
			}
			createUntilRefused()
			if end != "" {
				leave := d.Stop
				if end == "kill" {
					leave = d.Kill
				}
				if err := leave(); err != nil {
					t.Fatal(err)
				}
				if d, err = testdaemon.Launch(cfg); err != nil {
					t.Fatal(err)
				}
				createUntilRefused()
			}
			if err := d.Client.Delete(t.Context(), id); err != nil {
				t.Fatalf("deleting an image on a full disk: %v", err)
			}
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			for err := create(1, 1000); err != nil; err = create(1, 1000) { // it is looked for room once a second
				if ctx.Err() != nil {
					t.Fatalf("creating once there is room again: %v", err)
				}
			}
			if info, err := os.Stat(filepath.Join(d.Data, "vitrine.db.reserve")); err != nil || info.Size() < 20<<20 {
				t.Errorf("the space kept for deletions is %v, %v", info, err)
			}
		})
	}
}
