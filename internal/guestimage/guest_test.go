package guestimage

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

func TestBoot(t *testing.T) {
	testservers.Require(t, "guest", "qemu")
	guest, err := Build(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	before := fileSum(t, guest.Path)
	for _, m := range []Machine{
		{Attach: Overlay},
		{Attach: Snapshot, Bus: "virtio-scsi-pci"},
		{Attach: ReadOnly, Drive: "cache=none,aio=threads"},
	} {
		t.Run(string(m.Attach), func(t *testing.T) {
			m.Image, m.Dir = guest.Path, t.TempDir()
			sum, err := Boot(t.Context(), m)
			if err != nil || sum != guest.Sum {
				t.Errorf("Boot = %q, %v, want %q", sum, err, guest.Sum)
			}
		})
	}
	if after := fileSum(t, guest.Path); after != before {
		t.Error("a guest changed the image")
	}
}

// A damaged payload must change what the guest prints, or a right sum would prove nothing.
func TestBootSeesDamage(t *testing.T) {
	testservers.Require(t, "guest", "qemu")
	guest, err := Build(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	disk, err := os.ReadFile(guest.Path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(disk, payload()[:4096])
	if at < 0 {
		t.Fatal("the payload does not lie in the image")
	}
	disk[at+100] ^= 1
	damaged := filepath.Join(t.TempDir(), "damaged.raw")
	if err := os.WriteFile(damaged, disk, 0o644); err != nil {
		t.Fatal(err)
	}
	sum, err := Boot(t.Context(), Machine{Image: damaged, Attach: ReadOnly})
	if err != nil || sum == guest.Sum {
		t.Errorf("Boot of a damaged image = %q, %v, want another sum than %q", sum, err, guest.Sum)
	}
}

func TestBootFailsOnGarbage(t *testing.T) {
	testservers.Require(t, "qemu")
	_, err := Boot(t.Context(), Machine{Image: "/nowhere/disk.raw", Attach: ReadOnly})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/disk.raw") {
		t.Errorf("Boot of a missing image = %v, want an error that names it", err)
	}
	if _, err := Boot(t.Context(), Machine{Image: "/nowhere", Attach: "sideways"}); err == nil {
		t.Error("Boot took an unknown attachment")
	}
}

func TestBuildIsCached(t *testing.T) {
	testservers.Require(t, "guest")
	first, err := Build(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(first.Path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Build(t.Context(), "")
	if err != nil || second != first {
		t.Fatalf("second Build = %+v, %v, want %+v", second, err, first)
	}
	after, err := os.Stat(first.Path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the image was built again (%v)", err)
	}
}

func TestLoadOrder(t *testing.T) {
	const dep = `kernel/a/bus.ko: kernel/a/core.ko kernel/a/ring.ko
kernel/a/disk.ko: kernel/a/ring.ko
kernel/a/core.ko: kernel/a/ring.ko
kernel/a/ring.ko:
kernel/a/other.ko:
`
	got := loadOrder(dep, []string{"disk", "bus", "builtin"})
	want := []string{"kernel/a/ring.ko", "kernel/a/disk.ko", "kernel/a/core.ko", "kernel/a/bus.ko"}
	if !slices.Equal(got, want) {
		t.Errorf("loadOrder = %q, want %q", got, want)
	}
}

func fileSum(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
