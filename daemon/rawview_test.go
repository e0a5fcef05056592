package daemon_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// qemuImg runs a command that may read from a mount.
func qemuImg(t *testing.T, args ...string) {
	t.Helper()
	if _, err := formattest.Run(append([]string{"qemu-img"}, args...)...); err != nil {
		t.Fatal(err)
	}
}

// fromRaw converts a disk into another format, with options of qemu-img behind its name, and returns ours of it.
func fromRaw(t *testing.T, disk, options string) (path, format string) {
	t.Helper()
	made := strings.Fields(options)
	path = filepath.Join(t.TempDir(), "image")
	qemuImg(t, slices.Concat([]string{"convert", "-f", "raw", "-O"}, made, []string{disk, path})...)
	return path, formattest.FromQEMU(made[0])
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

// TestRawViews looks at images of every kind that QEMU makes, in the mount and over the API: they have the disk that QEMU finds in them.
func TestRawViews(t *testing.T) {
	rawViews(t, testdaemon.Config{Dir: t.TempDir(), Mount: true}, "", formattest.Recipes())
}

// A rawView is an image that a daemon has, and what QEMU reads in it.
type rawView struct {
	client *client.Client
	recipe formattest.Recipe
	path   string // the image as QEMU made it
	raw    string // and the disk in it
	disk   []byte // the same
	id     image.ID
	dir    string // in the mount
}

// rawViews makes images by the recipes in a store, "" for the default one, and looks at them.
func rawViews(t *testing.T, cfg testdaemon.Config, store string, recipes []formattest.Recipe) {
	testservers.Require(t, "fuse", "qemu")
	mountSays(t, cfg.Dir, "raw_cache_size = \"0B\"\n") // these are read so often that files would be made of them
	d := testdaemon.Start(t, cfg)
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, formattest.Mixed(formattest.MixedSize), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, r := range recipes {
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			v := &rawView{client: d.Client, recipe: r, path: filepath.Join(dir, "image"), raw: filepath.Join(dir, "raw")}
			if err := r.Make(v.path, disk); err != nil {
				t.Fatal(err)
			}
			qemuImg(t, "convert", "-f", r.QEMU, "-O", "raw", v.path, v.raw)
			v.id = newFileIn(t, d.Client, store, r.Format(), v.path)
			v.dir = filepath.Join(d.Mount, "by-id", string(v.id))
			var err error
			if v.disk, err = os.ReadFile(v.raw); err != nil {
				t.Fatal(err)
			}
			img, err := d.Client.Get(t.Context(), v.id)
			if err != nil || img.VirtualSize == nil || *img.VirtualSize != int64(len(v.disk)) {
				t.Errorf("the image is %+v, %v, want a disk of %d bytes", img, err, len(v.disk))
			}
			data := v.checkMount(t)
			v.checkAPI(t, data)
			deleteClosed(t, d.Client, v.id)
		})
	}
}

// checkMount reads disk.raw in every way, and returns where it has data.
func (v *rawView) checkMount(t *testing.T) (data []formattest.Range) {
	t.Helper()
	want := []string{"disk.raw", "image." + v.recipe.Format(), "metadata.json", "sha512sum"}
	if names := entries(t, v.dir); !slices.Equal(names, want) {
		t.Errorf("the image has the files %v", names)
	}
	path := filepath.Join(v.dir, "disk.raw")
	if _, err := formattest.Run("cmp", path, v.raw); err != nil {
		t.Error(err)
	}
	qemuImg(t, "compare", "-q", "-f", "raw", "-F", v.recipe.QEMU, path, v.path)
	checkDirect(t, path, v.disk)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checkMapped(t, f, v.disk)
	data = dataIn(t, f)
	checkHoles(t, data, v.disk)
	v.checkData(t, data)
	return data
}

// checkData compares the ranges of data with those that QEMU finds in the image as it was stored: those of disk.raw are within them, since
// the store knows of holes in the image.
func (v *rawView) checkData(t *testing.T, data []formattest.Range) {
	t.Helper()
	mapped, err := formattest.Map(filepath.Join(v.dir, "image."+v.recipe.Format()), v.recipe.QEMU)
	if err != nil {
		t.Fatal(err)
	}
	within := !slices.ContainsFunc(data, func(r formattest.Range) bool {
		return !slices.ContainsFunc(mapped, func(m formattest.Range) bool { return r.Offset >= m.Offset && r.Offset+r.Length <= m.Offset+m.Length })
	})
	asked := v.recipe.FromFile() && slices.Contains([]string{"raw", "vpc", "vdi"}, v.recipe.QEMU) // QEMU asks about all of them
	if !within || asked && !slices.Equal(data, mapped) {
		t.Errorf("disk.raw has data at %v, QEMU finds it at %v", data, mapped)
	}
	holes := int64(len(v.disk))
	for _, r := range data {
		holes -= r.Length
	}
	if v.recipe.QEMU == "qcow2" && v.recipe.Written && !v.recipe.Packed && holes < 8<<20 { // in blocks of any size
		t.Errorf("%d bytes lie in holes of a disk with more of them", holes)
	}
}

// checkDirect reads at random places past the kernel's cache.
func checkDirect(t *testing.T, path string, want []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const block, most = 4 << 10, 64
	p, err := unix.Mmap(-1, 0, most*block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // it is aligned
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(p)
	random := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		off, n := random.IntN(len(want)/block)*block, (1+random.IntN(most))*block
		left := want[off:][:min(n, len(want)-off)]
		if got, err := f.ReadAt(p[:n], int64(off)); got != len(left) || err != nil && err != io.EOF || !bytes.Equal(p[:got], left) {
			t.Errorf("past the cache, %d bytes at %d are %d, %v, equal: %v", n, off, got, err, bytes.Equal(p[:got], left))
		}
	}
}

// checkMapped reads a file as memory.
func checkMapped(t *testing.T, f *os.File, want []byte) {
	t.Helper()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	p, err := unix.Mmap(int(f.Fd()), 0, len(want), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(p)
	if !bytes.Equal(p, want) {
		t.Error("mapped into memory, the disk is another one")
	}
}

// dataIn returns the ranges of data that a file tells of, as far as they do not touch.
func dataIn(t *testing.T, f *os.File) (data []formattest.Range) {
	t.Helper()
	for at := int64(0); ; {
		start, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, syscall.ENXIO) {
			return data
		}
		if err == nil {
			at, err = f.Seek(start, unix.SEEK_HOLE)
		}
		if err != nil || at <= start {
			t.Fatalf("data from %d to %d, %v", start, at, err)
		}
		data = append(data, formattest.Range{Offset: start, Length: at - start})
	}
}

// checkHoles makes sure that there are only zeros between ranges of data.
func checkHoles(t *testing.T, data []formattest.Range, disk []byte) {
	t.Helper()
	at := int64(0)
	for _, r := range append(data, formattest.Range{Offset: int64(len(disk))}) {
		if i := bytes.IndexFunc(disk[at:r.Offset], func(r rune) bool { return r != 0 }); i >= 0 {
			t.Errorf("there is data at %d, in a hole from %d to %d", at+int64(i), at, r.Offset)
		}
		at = r.Offset + r.Length
	}
}

// checkAPI fetches the disk as raw and as qcow2, and asks where its data is.
func (v *rawView) checkAPI(t *testing.T, data []formattest.Range) {
	t.Helper()
	if got := v.fetch(t, "raw"); !bytes.Equal(got, v.disk) {
		t.Errorf("as raw there come %d bytes, of another disk than QEMU's with %d", len(got), len(v.disk))
	}
	converted := filepath.Join(t.TempDir(), "qcow2")
	if err := os.WriteFile(converted, v.fetch(t, "qcow2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if v.recipe.QEMU == "qcow2" { // which is sent as it is
		if _, err := formattest.Run("cmp", converted, v.path); err != nil {
			t.Error(err)
		}
	} else {
		qemuImg(t, "check", "-q", "-f", "qcow2", converted)
		qemuImg(t, "compare", "-q", "-f", "qcow2", "-F", "raw", converted, v.raw)
	}
	var extents []formattest.Range
	for q := (image.ExtentQuery{Format: "raw"}); q.Offset < int64(len(v.disk)); {
		page, err := v.client.Extents(t.Context(), v.id, q)
		if err != nil || page.Next <= q.Offset || page.Size != int64(len(v.disk)) {
			t.Fatalf("extents from %d: %+v, %v", q.Offset, page, err)
		}
		for _, e := range page.Extents {
			if e.Data {
				extents = append(extents, formattest.Range{Offset: e.Offset, Length: e.Length})
			}
		}
		q.Offset = page.Next
	}
	if !slices.Equal(extents, data) {
		t.Errorf("the API tells of data at %v, the mount at %v", extents, data)
	}
}

// fetch downloads the image in a format.
func (v *rawView) fetch(t *testing.T, format string) []byte {
	t.Helper()
	d, err := v.client.Download(t.Context(), v.id, client.DownloadOptions{Format: format})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	data, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	return data
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
