package daemon_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// qemuImg runs a command that may read from a mount.
func qemuImg(t *testing.T, args ...string) {
	t.Helper()
	args = append([]string{"-s", "KILL", "120", "qemu-img"}, args...)
	if out, err := exec.CommandContext(t.Context(), "timeout", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// fromRaw converts a disk into another format, with options of qemu-img behind its name, and returns ours of it.
func fromRaw(t *testing.T, disk, options string) (path, format string) {
	t.Helper()
	made := strings.Fields(options)
	path = filepath.Join(t.TempDir(), "image")
	qemuImg(t, slices.Concat([]string{"convert", "-f", "raw", "-O"}, made, []string{disk, path})...)
	return path, strings.Replace(made[0], "vpc", "vhd", 1)
}

// newFileIn makes an active image in a store, "" for the default one, of what a file holds.
func newFileIn(t *testing.T, c *client.Client, store, format, path string) image.ID {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	id := newQueued(t, c, format)
	if err := c.Upload(t.Context(), id, client.Upload{Body: f, Size: info.Size(), Store: store}); err != nil {
		t.Fatal(err)
	}
	return id
}

// TestRawViews compares disk.raw with the disk that QEMU finds in the same image, in all the ways in which QEMU makes them.
func TestRawViews(t *testing.T) {
	rawViews(t, testdaemon.Config{Dir: t.TempDir(), Mount: true}, "", []string{
		"qcow2", "qcow2 -c", "qcow2 -c -o compression_type=zstd", "qcow2 -o compat=0.10", "qcow2 -o cluster_size=512",
		"qcow2 -o cluster_size=2M", "qcow2 -o extended_l2=on,cluster_size=128k", "qcow2 -o preallocation=falloc",
		"vmdk", "vmdk -o subformat=streamOptimized", "vpc", "vpc -o force_size=on", "vpc -o subformat=fixed,force_size=on",
		"vhdx", "vhdx -o subformat=fixed", "vdi", "vdi -o static=on",
	})
}

// rawViews makes images of a disk in the formats, and looks at them in the mount.
func rawViews(t *testing.T, cfg testdaemon.Config, store string, formats []string) {
	testservers.Require(t, "fuse", "qemu")
	d := testdaemon.Start(t, cfg)
	disk := filepath.Join(t.TempDir(), "disk")
	data := slices.Concat(storetest.Random(3<<20), make([]byte, 20<<20), bytes.Repeat([]byte("text "), 1<<20), make([]byte, 1<<20), storetest.Random(4096))
	if err := os.WriteFile(disk, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, options := range formats {
		t.Run(options, func(t *testing.T) {
			path, format := fromRaw(t, disk, options)
			id := newFileIn(t, d.Client, store, format, path)
			dir := filepath.Join(d.Mount, "by-id", string(id))
			if names := entries(t, dir); !slices.Equal(names, []string{"disk.raw", "image." + format, "metadata.json", "sha512sum"}) {
				t.Errorf("the image has the files %v", names)
			}
			want := filepath.Join(t.TempDir(), "raw")
			qemuImg(t, "convert", "-f", strings.Fields(options)[0], "-O", "raw", path, want)
			inDaemon := exec.CommandContext(t.Context(), "timeout", "-s", "KILL", "60", "cmp", filepath.Join(dir, "disk.raw"), want)
			if out, err := inDaemon.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			qemuImg(t, "compare", "-q", "-f", "raw", "-F", "raw", filepath.Join(dir, "disk.raw"), want)
			wantHoles(t, filepath.Join(dir, "disk.raw"), want)
			deleteClosed(t, d.Client, id)
		})
	}
}

// wantHoles makes sure that a file tells of the large hole of the disk, and of none where there is data.
func wantHoles(t *testing.T, path, want string) {
	t.Helper()
	data, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var at, holes int64
	for at < int64(len(data)) {
		start, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, syscall.ENXIO) {
			start, err = int64(len(data)), nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.IndexFunc(data[at:start], func(r rune) bool { return r != 0 }); i >= 0 {
			t.Fatalf("there is data at %d, in a hole from %d to %d", at+int64(i), at, start)
		}
		if holes += start - at; start == int64(len(data)) {
			break
		}
		if at, err = f.Seek(start, unix.SEEK_HOLE); err != nil {
			t.Fatal(err)
		}
	}
	if holes < 8<<20 { // one object of Ceph
		t.Errorf("%d bytes lie in holes of a disk with one of 20 MiB", holes)
	}
}

// TestDamagedRawViews changes images in their store: what cannot be read as a disk any more gives an error and a line in the log, and
// leads to no other file.
func TestDamagedRawViews(t *testing.T) {
	testservers.Require(t, "fuse", "qemu")
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, bytes.Repeat([]byte("secret "), 1<<18), 0o600); err != nil {
		t.Fatal(err)
	}
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true})
	path, _ := fromRaw(t, secret, "qcow2")
	for _, tt := range []struct {
		name   string
		damage func(file []byte) []byte
		want   syscall.Errno
		reason string
	}{
		{"a backing file", func(f []byte) []byte {
			copy(f[1024:], secret)
			return formattest.Put32(formattest.Put64(f, 8, 1024), 16, uint32(len(secret)))
		}, syscall.EMEDIUMTYPE, "backing"},
		{"no header", func(f []byte) []byte { return formattest.Put32(f, 0, 0) }, syscall.EMEDIUMTYPE, "not of the format qcow2"},
		{"a table far away", func(f []byte) []byte { return formattest.Put64(f, int(binary.BigEndian.Uint64(f[40:])), 1<<40) },
			syscall.EBADMSG, "refers to"},
		{"another size", func(f []byte) []byte { return formattest.Put64(f, 24, 1<<20) }, syscall.EBADMSG, "were expected"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := newFileIn(t, d.Client, "", "qcow2", path)
			object := filepath.Join(d.Data, "images", string(id[:2]), string(id))
			data, err := os.ReadFile(object)
			if err != nil {
				t.Fatal(err)
			}
			data = tt.damage(data)
			if err := os.WriteFile(object, data, 0); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := os.ReadFile(filepath.Join(d.Mount, "by-id", string(id), "disk.raw")); !errors.Is(err, tt.want) {
					t.Errorf("reading disk.raw gives %v, want %v", err, tt.want)
				}
			}
			if got, err := os.ReadFile(filepath.Join(d.Mount, "by-id", string(id), "image.qcow2")); err != nil || !bytes.Equal(got, data) {
				t.Errorf("reading image.qcow2 gives %d bytes, %v", len(got), err)
			}
			lines := 0
			for line := range strings.Lines(d.Log()) {
				if strings.Contains(line, "mount operation failed") && strings.Contains(line, tt.reason) {
					lines++
				}
			}
			if lines != 1 {
				t.Errorf("the log gives the reason, %q, %d times", tt.reason, lines)
			}
		})
	}
}
