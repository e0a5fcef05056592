//go:build ceph

package daemon_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/daemon"
	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/guestimage"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// withCeph is a configuration with a local store, the default, and one in the cluster.
func withCeph(c *testservers.Ceph, dir string) string {
	return fmt.Sprintf("[stores.local]\npath = %q\ndefault = true\n[stores.ceph]\ntype = \"rbd\"\npool = \"images\"\nuser = \"images\"\n"+
		"conf = %q\nkeyring = %q\ntimeout = \"3s\"\n", filepath.Join(dir, "images"), c.Conf, c.Keyring("images"))
}

// newDiskIn makes an active image in a store.
func newDiskIn(t *testing.T, c *client.Client, store string, data []byte) image.ID {
	t.Helper()
	id := newQueued(t, c, "raw")
	if err := c.Upload(t.Context(), id, client.Upload{Body: bytes.NewReader(data), Size: int64(len(data)), Store: store}); err != nil {
		t.Fatal(err)
	}
	return id
}

func fetchData(t *testing.T, c *client.Client, id image.ID) ([]byte, error) {
	d, err := c.Download(t.Context(), id, client.DownloadOptions{})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return io.ReadAll(d)
}

func wantDownload(t *testing.T, c *client.Client, id image.ID, want []byte) {
	t.Helper()
	if got, err := fetchData(t, c, id); err != nil || !bytes.Equal(got, want) {
		t.Errorf("Download gives %d bytes, %v, want the %d that were uploaded", len(got), err, len(want))
	}
}

// wantLocations compares the URLs of an image, those below prefix by the prefix alone.
func wantLocations(t *testing.T, c *client.Client, id image.ID, prefixes ...string) {
	t.Helper()
	locations, err := c.Locations(t.Context(), id)
	var urls []string
	for _, l := range locations {
		urls = append(urls, l.URL)
	}
	slices.Sort(urls)
	if err != nil || !slices.EqualFunc(urls, prefixes, strings.HasPrefix) {
		t.Errorf("the locations are %v, %v, want %v", urls, err, prefixes)
	}
}

func wantTask(t *testing.T, c *client.Client, id image.ID, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if task := waitForTask(t, c, id); task.Status != image.TaskSuccess {
		t.Fatalf("the task is %+v", task)
	}
}

// inPool runs rbd and returns what it prints, as JSON.
func inPool(t *testing.T, c *testservers.Ceph, v any, args ...string) {
	t.Helper()
	out, err := c.RBD(t.Context(), "images", append(args, "--format", "json")...)
	if err == nil {
		err = json.Unmarshal([]byte(out), v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestCephAndLocal takes images through both stores of one daemon, and looks at the pool as Nova does.
func TestCephAndLocal(t *testing.T) {
	testservers.Require(t, "fuse")
	c := testservers.SharedCeph(t)
	dir := t.TempDir()
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true, TOML: withCeph(c, dir)})
	data := slices.Concat(storetest.Random(8<<20), make([]byte, 32<<20), storetest.Random(777))
	id := newDiskIn(t, d.Client, "ceph", data)
	url := "rbd://" + c.FSID + "/images/" + string(id) + "/snap"
	wantDownload(t, d.Client, id, data)
	wantLocations(t, d.Client, id, url)
	wantInPool(t, c, id, int64(len(data)))
	readThroughMount(t, filepath.Join(d.Mount, "by-id", string(id)), data)

	wantTask(t, d.Client, id, d.Client.Import(t.Context(), id, image.Import{Method: image.ImportCopy, Stores: []string{"local"}}))
	wantLocations(t, d.Client, id, "file://", url)
	wantHolesInFile(t, filepath.Join(dir, "images"), id, 9<<20)
	if err := d.Client.DeleteCopy(t.Context(), "ceph", id); err != nil {
		t.Fatal(err)
	}
	if names := poolNames(t, c); slices.Contains(names, string(id)) {
		t.Errorf("the pool holds %v after the copy was deleted", names)
	}
	wantDownload(t, d.Client, id, data)
	wantTask(t, d.Client, id, d.Client.Import(t.Context(), id, image.Import{Method: image.ImportCopy, Stores: []string{"ceph"}}))
	if err := d.Client.DeleteCopy(t.Context(), "local", id); err != nil {
		t.Fatal(err)
	}
	wantLocations(t, d.Client, id, "rbd://"+c.FSID+"/images/")
	wantDownload(t, d.Client, id, data)

	both := newQueued(t, d.Client, "raw")
	if err := d.Client.Stage(t.Context(), both, client.Upload{Body: bytes.NewReader(data), Size: int64(len(data))}); err != nil {
		t.Fatal(err)
	}
	wantTask(t, d.Client, both, d.Client.Import(t.Context(), both, image.Import{Method: image.ImportStaged, AllStores: true}))
	wantLocations(t, d.Client, both, "file://", "rbd://"+c.FSID+"/images/"+string(both)+"/snap")
	wantInPool(t, c, both, int64(len(data)))

	stores, err := d.Client.StoreDetails(t.Context())
	if err != nil || len(stores) != 2 {
		t.Fatalf("StoreDetails = %+v, %v", stores, err)
	}
	p := stores[0].Properties
	for _, s := range stores {
		free, _ := s.Properties["free"].(float64)
		if total, _ := s.Properties["total"].(float64); free <= 0 || total < free {
			t.Errorf("store %s tells %v", s.ID, s.Properties)
		}
	}
	if stores[0].ID != "ceph" || stores[0].Type != "rbd" || stores[0].ReadOnly || p["pool"] != "images" || p["fsid"] != c.FSID ||
		p["chunk_size"] != float64(8<<20) || p["thin_provisioning"] != true {
		t.Errorf("the store in Ceph is told as %+v", stores[0])
	}
	wantKeptByClones(t, d, c, both)
	for _, id := range []image.ID{id, both} {
		if err := d.Client.Delete(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
}

// TestWhichCopyIsRead has an image in three stores, and other bytes in each: the local one comes first, then the one of more
// weight, and both come after those that the client prefers.
func TestWhichCopyIsRead(t *testing.T) {
	c := testservers.SharedCeph(t)
	dir := t.TempDir()
	cfg := testdaemon.Config{Dir: dir, TOML: withCeph(c, dir) + fmt.Sprintf(
		"[stores.heavy]\ntype = \"rbd\"\npool = \"small\"\nuser = \"images\"\nweight = 10\nconf = %q\nkeyring = %q\n", c.Conf, c.Keyring("images"))}
	d := launch(t, cfg)
	inCeph, inHeavy, inLocal := bytes.Repeat([]byte("ceph."), 1<<18), bytes.Repeat([]byte("heavy"), 1<<18), bytes.Repeat([]byte("local"), 1<<18)
	var ids [2]image.ID
	for i, data := range [][]byte{inCeph, inHeavy} {
		ids[i] = newDiskIn(t, d.Client, "local", data)
		wantTask(t, d.Client, ids[i], d.Client.Import(t.Context(), ids[i], image.Import{Method: image.ImportCopy, Stores: []string{"ceph", "heavy"}}))
	}
	must(t, d.Stop())
	swapImages(t, c, "small/"+string(ids[0]), "small/"+string(ids[1]))
	overwriteFile(t, filepath.Join(dir, "images"), ids[0], inLocal)

	d = testdaemon.Start(t, cfg)
	want := func(query string, want []byte) {
		t.Helper()
		if got := get(t, d.Endpoint+"/v2/images/"+string(ids[0])+"/file"+query); !bytes.Equal(got, want) {
			t.Errorf("%q is answered from another copy", query)
		}
	}
	want("", inLocal)
	want("?prefer=ceph", inCeph)
	want("?prefer=heavy,ceph", inHeavy)
	must(t, d.Client.DeleteCopy(t.Context(), "local", ids[0]))
	want("", inHeavy)
	want("?prefer=local,ceph", inCeph)
	for _, id := range ids {
		must(t, d.Client.Delete(t.Context(), id))
	}
}

// swapImages gives each of two images the name of the other one, and the note by which the daemon knows it.
func swapImages(t *testing.T, c *testservers.Ceph, a, b string) {
	t.Helper()
	rbd := func(args ...string) string {
		out, err := c.RBD(t.Context(), "images", args...)
		must(t, err)
		return strings.TrimSpace(out)
	}
	noteA, noteB := rbd("image-meta", "get", a, "vitrine_upload"), rbd("image-meta", "get", b, "vitrine_upload")
	rbd("rename", a, a+".other")
	rbd("rename", b, a)
	rbd("rename", a+".other", b)
	rbd("image-meta", "set", a, "vitrine_upload", noteA)
	rbd("image-meta", "set", b, "vitrine_upload", noteB)
}

// overwriteFile changes the bytes of an image's file.
func overwriteFile(t *testing.T, dir string, id image.ID, data []byte) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.Contains(path, string(id)) {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		must(t, err)
		defer f.Close()
		_, err = f.Write(data)
		return err
	}))
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s = %s %s", url, resp.Status, body)
	}
	return body
}

func poolNames(t *testing.T, c *testservers.Ceph) (names []string) {
	t.Helper()
	inPool(t, c, &names, "ls", "images")
	return names
}

// wantInPool looks for what Nova clones: the protected snapshot, of the right size, with the holes that the data has.
func wantInPool(t *testing.T, c *testservers.Ceph, id image.ID, size int64) {
	t.Helper()
	name := "images/" + string(id)
	if names := poolNames(t, c); !slices.Contains(names, string(id)) {
		t.Errorf("the pool holds %v and not %s", names, id)
	}
	var info struct{ Size int64 }
	inPool(t, c, &info, "info", name)
	var snaps []struct {
		Name, Protected string
		Size            int64
	}
	inPool(t, c, &snaps, "snap", "ls", name)
	if info.Size != size || len(snaps) != 1 || snaps[0].Name != "snap" || snaps[0].Protected != "true" || snaps[0].Size != size {
		t.Errorf("rbd tells %+v and %+v, want snap, protected, of %d bytes", info, snaps, size)
	}
	var extents []struct{ Offset, Length int64 }
	inPool(t, c, &extents, "diff", name+"@snap")
	written := int64(0)
	for _, e := range extents {
		written += e.Length
	}
	if written != 8<<20+777 {
		t.Errorf("the image takes %d bytes in the pool: %v", written, extents)
	}
}

// wantHolesInFile looks for the file of an image, and at what it takes.
func wantHolesInFile(t *testing.T, dir string, id image.ID, most int64) {
	t.Helper()
	found := 0
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.Contains(path, string(id)) {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		found++
		if taken := info.Sys().(*syscall.Stat_t).Blocks * 512; taken > most {
			t.Errorf("%s takes %d bytes, want at most %d", path, taken, most)
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("%d files of image %s below %s, %v", found, id, dir, err)
	}
}

// readThroughMount reads at random places, and everything.
func readThroughMount(t *testing.T, dir string, data []byte) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "disk.raw"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 50 {
		off := rand.Int64N(int64(len(data)) - 1)
		p := make([]byte, 1+rand.Int64N(min(100_000, int64(len(data))-off)))
		if n, err := f.ReadAt(p, off); err != nil || !bytes.Equal(p, data[off:off+int64(n)]) {
			t.Fatalf("ReadAt(%d bytes, %d) = %d, %v, or other bytes", len(p), off, n, err)
		}
	}
	check := exec.CommandContext(t.Context(), "timeout", "-s", "KILL", "60", "sha512sum", "-c", "sha512sum")
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("sha512sum: %v\n%s", err, out)
	}
}

// wantKeptByClones clones an image as Nova does: neither it nor its copy in the pool can be deleted before the clone is.
func wantKeptByClones(t *testing.T, d *testdaemon.Daemon, c *testservers.Ceph, id image.ID) {
	t.Helper()
	disk := "vms/" + string(id) + "_disk"
	if _, err := c.RBD(t.Context(), "vms", "clone", "images/"+string(id)+"@snap", disk); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"Delete": d.Client.Delete(t.Context(), id), "DeleteCopy": d.Client.DeleteCopy(t.Context(), "ceph", id)} {
		if !errors.Is(err, image.ErrInUse) || !strings.Contains(err.Error(), "cloned") {
			t.Errorf("%s of a cloned image = %v, want %v", what, err, image.ErrInUse)
		}
	}
	if img, err := d.Client.Get(t.Context(), id); err != nil || img.Status != image.Active {
		t.Errorf("the cloned image is %+v, %v", img, err)
	}
	if _, err := c.RBD(t.Context(), "vms", "rm", "--no-progress", disk); err != nil {
		t.Fatal(err)
	}
}

// TestImageOfGlanceInThePool stands in the way of an upload, stays, becomes the image's data by its location, and goes with it. Another
// daemon, with records of its own, does it no harm.
func TestImageOfGlanceInThePool(t *testing.T) {
	testservers.Require(t, "fuse")
	c := testservers.SharedCeph(t)
	dirs := []string{t.TempDir(), t.TempDir()}
	d := testdaemon.Start(t, testdaemon.Config{Dir: dirs[0], Mount: true, TOML: withCeph(c, dirs[0])})
	other := testdaemon.Start(t, testdaemon.Config{Dir: dirs[1], TOML: withCeph(c, dirs[1])})
	data := slices.Concat(storetest.Random(8<<20), make([]byte, 32<<20), storetest.Random(777))
	id := newQueued(t, d.Client, "raw")
	if err := c.GlanceImage(t.Context(), string(id), data); err != nil {
		t.Fatal(err)
	}
	refused := func(d *testdaemon.Daemon) {
		t.Helper()
		err := d.Client.Upload(t.Context(), id, client.Upload{Body: strings.NewReader("other"), Size: 5, Store: "ceph"})
		if !errors.Is(err, image.ErrConflict) || !strings.Contains(err.Error(), "keeps it") {
			t.Errorf("Upload = %v, want a conflict that says what is there", err)
		}
		wantInPool(t, c, id, int64(len(data)))
	}
	refused(d)
	url := "rbd://" + c.FSID + "/images/" + string(id) + "/snap"
	wantTask(t, d.Client, id, d.Client.AddLocation(t.Context(), id, image.NewLocation{URL: url}))
	wantLocations(t, d.Client, id, url)
	wantDownload(t, d.Client, id, data)
	readThroughMount(t, filepath.Join(d.Mount, "by-id", string(id)), data)
	if img, err := d.Client.Get(t.Context(), id); err != nil || img.HashValue == "" || *img.Size != int64(len(data)) || *img.VirtualSize != int64(len(data)) {
		t.Errorf("the image is %+v, %v", img, err)
	}
	if err := d.Client.AddLocation(t.Context(), newQueued(t, d.Client, "raw"), image.NewLocation{URL: url}); !errors.Is(err, image.ErrConflict) {
		t.Errorf("AddLocation to another image = %v, want %v", err, image.ErrConflict)
	}
	if _, err := other.Client.Create(t.Context(), id, []image.Edit{{Op: image.EditAdd, Name: "disk_format", Value: "raw"},
		{Op: image.EditAdd, Name: "container_format", Value: "bare"}}); err != nil {
		t.Fatal(err)
	}
	refused(other)
	wantDownload(t, d.Client, id, data)
	if err := d.Client.Delete(t.Context(), id); err != nil {
		t.Error(err)
	}
	if names := poolNames(t, c); slices.Contains(names, string(id)) {
		t.Errorf("the pool holds %v after the image was deleted", names)
	}
}

// TestBootFromCeph boots guests from an image that lies in the cluster alone.
func TestBootFromCeph(t *testing.T) {
	c := testservers.SharedCeph(t)
	boot(t, func(dir string) string { return withCeph(c, dir) }, "ceph", "raw", []guestimage.Machine{
		{Attach: guestimage.Overlay},
		{Attach: guestimage.Overlay, Drive: "cache=none,aio=native"},
	})
}

// TestBootQCOW2FromCeph boots a guest from the raw view of an image that lies in the cluster alone.
func TestBootQCOW2FromCeph(t *testing.T) {
	c := testservers.SharedCeph(t)
	boot(t, func(dir string) string { return withCeph(c, dir) }, "ceph", "qcow2", []guestimage.Machine{{Attach: guestimage.Overlay}})
}

// TestRawViewOnCeph reads disks in other formats through the cluster and the cache of the mount.
func TestRawViewOnCeph(t *testing.T) {
	c := testservers.SharedCeph(t)
	dir := t.TempDir()
	rawViews(t, testdaemon.Config{Dir: dir, Mount: true, TOML: withCeph(c, dir)}, "ceph", []formattest.Recipe{{QEMU: "qcow2", Written: true},
		{QEMU: "qcow2", Options: "compression_type=zstd", Packed: true, Written: true}, {QEMU: "vpc", Options: "subformat=fixed,force_size=on", Written: true}})
}

// TestWrongStoresAreTold says which stores do not work and why, in the command that checks them and in the log of a daemon,
// which serves the others.
func TestWrongStoresAreTold(t *testing.T) {
	c := testservers.SharedCeph(t)
	dir := t.TempDir()
	otherKey := filepath.Join(dir, "keyring")
	key, err := os.ReadFile(c.Keyring("vms"))
	if err == nil {
		err = os.WriteFile(otherKey, bytes.ReplaceAll(key, []byte("client.vms"), []byte("client.images")), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	stores := []struct{ id, pool, user, conf, keyring, want string }{
		{"right", "images", "images", c.Conf, c.Keyring("images"), ""},
		{"nocaps", "images", "stranger", c.Conf, c.Keyring("stranger"), "does not allow"},
		{"otherkey", "images", "images", c.Conf, otherKey, "does not allow"},
		{"nokeyring", "images", "images", c.Conf, filepath.Join(dir, "nothing"), "no keyring"},
		{"nopool", "nothing", "images", c.Conf, c.Keyring("images"), "no such pool"},
		{"noconf", "images", "images", filepath.Join(dir, "nothing"), c.Keyring("images"), "configuration file"},
	}
	text := fmt.Sprintf("[stores.local]\npath = %q\ndefault = true\n", filepath.Join(dir, "images"))
	for _, s := range stores {
		text += fmt.Sprintf("[stores.%s]\ntype = \"rbd\"\npool = %q\nuser = %q\nconf = %q\nkeyring = %q\ntimeout = \"5s\"\n",
			s.id, s.pool, s.user, s.conf, s.keyring)
	}
	config := filepath.Join(dir, "check.toml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := daemon.Command()
	cmd.SetArgs([]string{"check", "--config", config, "--data", filepath.Join(dir, "data")})
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	checked := cmd.ExecuteContext(t.Context())
	if checked == nil {
		t.Fatal("check finds nothing wrong")
	}
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, TOML: text})
	tells := func(said, id, want string) bool {
		return slices.ContainsFunc(strings.Split(said, "\n"), func(line string) bool {
			return strings.Contains(line, "store "+id+":") && strings.Contains(line, want)
		})
	}
	for _, s := range stores {
		if told := tells(checked.Error(), s.id, s.want); told != (s.want != "") {
			t.Errorf("check tells of store %s is %v, with %q: %v", s.id, told, s.want, checked)
		}
		if s.want != "" {
			eventually(t, "the log tells of store "+s.id+" that "+s.want, func() bool { return tells(d.Log(), s.id, s.want) })
		}
	}
	data := storetest.Random(1000)
	for _, store := range []string{"local", "right"} {
		wantDownload(t, d.Client, newDiskIn(t, d.Client, store, data), data)
	}
	if tells(d.Log(), "right", "") {
		t.Errorf("the log tells of the store that works:\n%s", d.Log())
	}
}
