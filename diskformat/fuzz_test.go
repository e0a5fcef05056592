package diskformat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
)

// checkAny opens bytes as a format. Whatever they are, they are refused or read, little is used for that, and nobody else is blamed.
// What is read is the same in pieces, and zeros where no extent is.
func checkAny(t *testing.T, file []byte, format string) {
	t.Helper()
	var d *Disk
	err := usesLittle(t, func() (err error) {
		if d, err = Open(t.Context(), bytesSource(file), format, NewCache(1<<20)); err == nil {
			err = touch(t, d)
		}
		return err
	})
	if d != nil {
		defer d.Close()
		if err == nil && d.Size() > 0 && d.Size() <= 8<<20 {
			checkSame(t, d)
		}
	}
	if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
		t.Errorf("as %s: %v", format, err)
	}
}

// checkSame compares a disk with itself.
func checkSame(t *testing.T, d *Disk) {
	t.Helper()
	whole := make([]byte, d.Size())
	if _, err := d.ReadAt(t.Context(), whole, 0); errors.Is(err, ErrCorrupt) {
		return
	} else if err != nil {
		t.Fatal(err)
	}
	checkDisk(t, d, whole)
}

// over returns an image with other bytes at a place, as far as there is place for them.
func over(image []byte, at int, p []byte) []byte {
	image = bytes.Clone(image)
	copy(image[at:], p)
	return image
}

// disksOf lists what Disks has of a format.
func disksOf(format string) (list []formattest.Disk) {
	for _, d := range formattest.Disks() {
		if d.Format == format {
			list = append(list, d)
		}
	}
	return list
}

// FuzzVMDKDisk brings bytes to the header, which is the footer if there is one, to the tables and to the first grains.
func FuzzVMDKDisk(f *testing.F) {
	disks := disksOf(VMDK)
	for i, d := range disks {
		f.Add(i, d.Data[:80], d.Data[formattest.VMDKDirectory:][:580], d.Data[formattest.VMDKTable+2048:][:1024])
	}
	f.Fuzz(func(t *testing.T, i int, header, tables, grains []byte) {
		file := disks[uint(i)%uint(len(disks))].Data
		file = over(file, 0, header[:min(len(header), 80)])
		file = over(file, formattest.VMDKDirectory, tables[:min(len(tables), 2560)])
		file = over(file, formattest.VMDKTable+2048, grains)
		if footer := file[len(file)-1024:]; hasPrefix(footer, vmdkMagic) {
			directory := bytes.Clone(footer[56:64])
			copy(footer, file[:80])
			copy(footer[56:], directory)
		}
		checkAny(t, file, VMDK)
	})
}

// FuzzVDIDisk brings bytes to the numbers in the header and to the table.
func FuzzVDIDisk(f *testing.F) {
	image := disksOf(VDI)[0].Data
	f.Add(image[340:400], image[formattest.VDITable:][:68])
	f.Fuzz(func(t *testing.T, header, table []byte) {
		checkAny(t, over(over(image, 340, header[:min(len(header), 84)]), formattest.VDITable, table), VDI)
	})
}

// FuzzVHDDisk puts the checksums right, which would hide everything from the fuzzer.
func FuzzVHDDisk(f *testing.F) {
	image := formattest.BlocksVHD(formattest.Content(1, 4<<10, 0))
	f.Add(image[:84], image[512:][:60], image[1536:][:2048], true)
	f.Add(formattest.VHDFooter(2, 1000)[:84], []byte{}, image[1536:][:1000], false)
	f.Fuzz(func(t *testing.T, footer, header, rest []byte, dynamic bool) {
		footer = formattest.Summed(append(bytes.Clone(footer), make([]byte, 512)...)[:512], 64)
		var file []byte
		if dynamic {
			header = formattest.Summed(append(bytes.Clone(header), make([]byte, 1024)...)[:1024], 36)
			file = append(bytes.Clone(footer), header...)
		}
		checkAny(t, append(append(file, rest...), footer...), VHD)
	})
}

// FuzzVHDXDisk brings bytes to the table of the blocks and to the parameters of a disk.
func FuzzVHDXDisk(f *testing.F) {
	image := formattest.BlocksVHDX(formattest.Content(2, 1<<20, 512))
	f.Add(image[formattest.VHDXItems:][:24], image[formattest.VHDXBlocks:][:64])
	f.Fuzz(func(t *testing.T, items, table []byte) {
		checkAny(t, over(over(image, formattest.VHDXItems, items[:min(len(items), 24)]), formattest.VHDXBlocks, table[:min(len(table), 4096)]), VHDX)
	})
}

// FuzzVHDXLog brings bytes to an entry of a log, whose checksum is put right.
func FuzzVHDXLog(f *testing.F) {
	const at = formattest.VHDXLog + 8192 // of the second entry, which has a sector of changes and one of data
	image := formattest.LoggedVHDX(formattest.Content(2, 1<<20, 512), 0, nil)
	f.Add(image[at:][:160])
	f.Fuzz(func(t *testing.T, entry []byte) {
		file := over(image, at, entry[:min(len(entry), 8192)])
		if n := binary.LittleEndian.Uint32(file[at+8:]); n > 8 && n <= 8192 {
			sumVHDX(file[at:][:n])
		}
		checkAny(t, file, VHDX)
	})
}
