package daemon_test

import (
	"path/filepath"
	"testing"

	"github.com/vitrine-image/vitrine/internal/guestimage"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestBoot uploads a bootable disk over the API and boots it from the mount in every way in which a guest uses an image
// that it must not change. The guest hashes a file on its disk: the sum proves that it read the right bytes.
func TestBoot(t *testing.T) {
	boot(t, noConfiguration, "", "raw", []guestimage.Machine{
		{Attach: guestimage.Overlay},
		{Attach: guestimage.Overlay, Drive: "cache=none,aio=native"},
		{Attach: guestimage.Snapshot},
		{Attach: guestimage.ReadOnly},
	})
}

func noConfiguration(string) string { return "" }

// TestBootFromOtherFormats boots from the raw view of a disk in every format that has one.
func TestBootFromOtherFormats(t *testing.T) {
	for _, options := range []string{"qcow2", "qcow2 -c -o compression_type=zstd", "vmdk -o subformat=streamOptimized", "vpc -o force_size=on",
		"vhdx", "vdi"} {
		t.Run(options, func(t *testing.T) {
			boot(t, noConfiguration, "", options, []guestimage.Machine{{Attach: guestimage.Overlay}})
		})
	}
}

// boot starts a daemon with the configuration, uploads a disk to a store as QEMU makes it with the options, and boots it as each
// of the machines.
func boot(t *testing.T, configuration func(dir string) string, store, options string, machines []guestimage.Machine) {
	testservers.Require(t, "fuse", "qemu", "guest")
	guest, err := guestimage.Build(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true, TOML: configuration(dir)})
	path, format := guest.Path, "raw"
	if options != format {
		path, format = fromRaw(t, guest.Path, options)
	}
	id := newFileIn(t, d.Client, store, format, path)
	for _, m := range machines {
		t.Run(string(m.Attach)+" "+m.Drive, func(t *testing.T) {
			m.Image = filepath.Join(d.Mount, "by-id", string(id), "disk.raw")
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
