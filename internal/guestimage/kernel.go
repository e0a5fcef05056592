package guestimage

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// kernelMeta is the Debian package that depends on the newest kernel for guests.
const kernelMeta = "linux-image-cloud-amd64"

// drivers are the modules with which the guest finds its disk, whatever bus QEMU puts it on; those that the kernel has
// built in are not among its modules.
var drivers = []string{"virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "ata_piix", "ahci", "nvme", "ext4"}

//go:embed init.sh
var initScript []byte

type kernel struct {
	image   []byte   // vmlinuz
	modules [][]byte // in the order in which they load
}

var concreteKernel = regexp.MustCompile(`(?m)^\s*Depends:\s*(linux-image-[0-9][^\s]*)$`)

// kernelPackage returns the path of the kernel's .deb in dir; it downloads one if there is none.
func kernelPackage(ctx context.Context, dir string) (string, error) {
	const pattern = "linux-image-*.deb"
	debs, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(debs) > 0 {
		return slices.Max(append(debs, "")), err
	}
	depends, err := run(ctx, dir, "apt-cache", "depends", kernelMeta)
	if err != nil {
		return "", err
	}
	m := concreteKernel.FindSubmatch(depends)
	if m == nil {
		return "", fmt.Errorf("apt knows no %s (is it Debian for amd64, and was apt-get update run?)", kernelMeta)
	}
	download, err := os.MkdirTemp(dir, "download-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(download)
	if _, err := run(ctx, download, "apt-get", "download", "-q", string(m[1])); err != nil {
		return "", err
	}
	debs, err = filepath.Glob(filepath.Join(download, pattern))
	if err != nil || len(debs) != 1 {
		return "", fmt.Errorf("apt-get download %s gave %d packages (%w)", m[1], len(debs), err)
	}
	deb := filepath.Join(dir, filepath.Base(debs[0]))
	return deb, os.Rename(debs[0], deb)
}

// unpackKernel takes the kernel and the drivers with what they depend on out of the package.
func unpackKernel(ctx context.Context, work, deb string) (*kernel, error) {
	root := filepath.Join(work, "kernel")
	if _, err := run(ctx, work, "dpkg-deb", "-x", deb, root); err != nil {
		return nil, err
	}
	dirs, err := filepath.Glob(filepath.Join(root, "lib/modules/*"))
	if err != nil || len(dirs) != 1 {
		return nil, fmt.Errorf("%s holds %d kernels", deb, len(dirs))
	}
	version := filepath.Base(dirs[0])
	if _, err := run(ctx, work, "depmod", "-b", root, "-a", version); err != nil {
		return nil, err
	}
	depends, err := os.ReadFile(filepath.Join(dirs[0], "modules.dep"))
	if err != nil {
		return nil, err
	}
	k := &kernel{}
	if k.image, err = os.ReadFile(filepath.Join(root, "boot/vmlinuz-"+version)); err != nil {
		return nil, err
	}
	for _, path := range loadOrder(string(depends), drivers) {
		module, err := os.ReadFile(filepath.Join(dirs[0], path))
		if err != nil {
			return nil, err
		}
		k.modules = append(k.modules, module)
	}
	return k, nil
}

// loadOrder reads modules.dep and returns the paths of the named modules, each after those that it depends on.
func loadOrder(modulesDep string, names []string) []string {
	paths, depends := map[string]string{}, map[string][]string{}
	for line := range strings.Lines(modulesDep) {
		path, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		paths[strings.TrimSuffix(filepath.Base(path), ".ko")] = path
		depends[path] = strings.Fields(rest)
	}
	var order []string
	var add func(path string)
	add = func(path string) {
		if slices.Contains(order, path) {
			return
		}
		for _, d := range depends[path] {
			add(d)
		}
		order = append(order, path)
	}
	for _, name := range names {
		if path, ok := paths[name]; ok {
			add(path)
		}
	}
	return order
}

// initramfs packs busybox, the modules and the script that the kernel starts.
func (k *kernel) initramfs() ([]byte, error) {
	path, err := testservers.Program("busybox")
	if err != nil {
		return nil, err
	}
	busybox, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	w := &cpioWriter{w: z}
	for _, dir := range []string{"bin", "dev", "proc", "sys", "mnt", "modules"} {
		w.dir(dir)
	}
	w.file("bin/busybox", busybox)
	w.file("init", initScript)
	for i, m := range k.modules {
		w.file(fmt.Sprintf("modules/%02d.ko", i), m)
	}
	err = cmp.Or(w.close(), z.Close())
	return packed.Bytes(), err
}
