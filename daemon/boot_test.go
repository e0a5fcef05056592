package daemon_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/guestimage"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestBoot uploads a bootable disk over the API and boots it from the mount in every way in which a guest uses an image
// that it must not change. The guest hashes a file on its disk: the sum proves that it read the right bytes.
func TestBoot(t *testing.T) {
	boot(t, func(string) string { return "" }, "", []guestimage.Machine{
		{Attach: guestimage.Overlay},
		{Attach: guestimage.Overlay, Drive: "cache=none,aio=native"},
		{Attach: guestimage.Snapshot},
		{Attach: guestimage.ReadOnly},
	})
}

// boot starts a daemon with the configuration, uploads a disk to a store, and boots it as each of the machines.
func boot(t *testing.T, configuration func(dir string) string, store string, machines []guestimage.Machine) {
	testservers.Require(t, "fuse", "qemu", "guest")
	guest, err := guestimage.Build(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true, TOML: configuration(dir)})
	img, err := d.Client.Create(t.Context(), "", []image.Edit{
		{Op: image.EditAdd, Name: "name", Value: "guest"},
		{Op: image.EditAdd, Name: "disk_format", Value: "raw"}, {Op: image.EditAdd, Name: "container_format", Value: "bare"}})
	if err != nil {
		t.Fatal(err)
	}
	disk, err := os.Open(guest.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	info, err := disk.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Client.Upload(t.Context(), img.ID, client.Upload{Body: disk, Size: info.Size(), Store: store}); err != nil {
		t.Fatal(err)
	}
	for _, m := range machines {
		t.Run(string(m.Attach)+" "+m.Drive, func(t *testing.T) {
			m.Image = filepath.Join(d.Mount, "by-name", "guest", "latest", "disk.raw")
			m.Dir = t.TempDir()
			sum, err := guestimage.Boot(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if sum != guest.Sum {
				t.Errorf("the guest read %s, want %s", sum, guest.Sum)
			}
		})
	}
}
