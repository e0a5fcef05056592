package guestimage

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// The disk in MiB: the partition table, a FAT partition with boot loader and kernel, an ext4 partition with the file.
const (
	bootStart, bootSize = 1, 40
	dataStart, dataSize = bootStart + bootSize, 48
	diskSize            = dataStart + dataSize + 1
)

// bootConfig hands the serial console to the kernel; a panic ends QEMU (started with -no-reboot) instead of hanging.
const bootConfig = `DEFAULT guest
LABEL guest
  KERNEL vmlinuz
  INITRD initramfs
  APPEND console=ttyS0 quiet panic=-1 tsc=unstable mitigations=off
`

func makeDisk(ctx context.Context, disk string, vmlinuz, initramfs, payload []byte) error {
	files := filepath.Join(filepath.Dir(disk), "files")
	data := filepath.Join(filepath.Dir(disk), "data")
	for path, content := range map[string][]byte{
		filepath.Join(files, "vmlinuz"):      vmlinuz,
		filepath.Join(files, "initramfs"):    initramfs,
		filepath.Join(files, "syslinux.cfg"): []byte(bootConfig),
		filepath.Join(data, "payload"):       payload,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	if err := partition(disk); err != nil {
		return err
	}
	boot := fmt.Sprintf("%s@@%dM", disk, bootStart)
	for _, command := range [][]string{
		{"mformat", "-i", boot, "-T", fmt.Sprint(bootSize << 11), "-h", "16", "-s", "63", "-H", fmt.Sprint(bootStart << 11), "::"},
		{"syslinux", "--offset", fmt.Sprint(bootStart << 20), "--install", disk},
		{"mcopy", "-i", boot, filepath.Join(files, "vmlinuz"), filepath.Join(files, "initramfs"), filepath.Join(files, "syslinux.cfg"), "::"},
		{"mke2fs", "-q", "-t", "ext4", "-L", "guest", "-d", data, "-E", fmt.Sprintf("offset=%d", dataStart<<20), disk, fmt.Sprintf("%dM", dataSize)},
	} {
		if _, err := run(ctx, "", command[0], command[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// partition makes the sparse file with its first sector: boot code, and the table of partitions.
func partition(disk string) error {
	const code = "/usr/lib/syslinux/mbr/mbr.bin"
	mbr, err := os.ReadFile(code)
	if err != nil {
		return fmt.Errorf("%w (make deps-test installs syslinux-common)", err)
	}
	if len(mbr) > 440 {
		return fmt.Errorf("%s has %d bytes, of which 440 fit the first sector", code, len(mbr))
	}
	sector := slices.Concat(mbr, make([]byte, 446-len(mbr)),
		tableEntry(0x80, 0x0e, bootStart, bootSize), // active; FAT16 by LBA
		tableEntry(0, 0x83, dataStart, dataSize),    // Linux
		make([]byte, 32), []byte{0x55, 0xaa})
	if err := os.WriteFile(disk, sector, 0o644); err != nil {
		return err
	}
	return os.Truncate(disk, diskSize<<20)
}

// tableEntry describes a partition by its position in MiB; the cylinders, heads and sectors of old say "too far".
func tableEntry(flags, kind byte, start, size uint32) []byte {
	e := []byte{flags, 0xfe, 0xff, 0xff, kind, 0xfe, 0xff, 0xff}
	e = binary.LittleEndian.AppendUint32(e, start<<11)
	return binary.LittleEndian.AppendUint32(e, size<<11)
}
