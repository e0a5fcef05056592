package importer

import (
	"bufio"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// zip's signatures and the sizes of what follows them. Source: PKWARE's APPNOTE.TXT, 4.3.
const (
	zipFile       = 0x04034b50
	zipDescriptor = 0x08074b50
	zipDirectory  = 0x02014b50
	zip64End      = 0x06064b50
	zip64Locator  = 0x07064b50
	zipEnd        = 0x06054b50
)

// A zipReader reads the only file of an archive from its beginning, and then the directory behind it, which must agree: nothing is
// allocated from what either says.
type zipReader struct {
	r        *bufio.Reader
	file     io.Reader
	sum      uint32
	want     uint32 // known before unless there is a descriptor
	describe bool
	ended    bool
	buf      [42]byte
}

func openZip(r *bufio.Reader) (io.Reader, error) {
	var h [30]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	flags, method := binary.LittleEndian.Uint16(h[6:]), binary.LittleEndian.Uint16(h[8:])
	packed := int64(binary.LittleEndian.Uint32(h[18:]))
	if flags&1 != 0 {
		return nil, errors.New("the zip archive is encrypted")
	}
	extra := make([]byte, binary.LittleEndian.Uint16(h[28:]))
	if _, err := r.Discard(int(binary.LittleEndian.Uint16(h[26:]))); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(r, extra); err != nil {
		return nil, err
	}
	if packed == 0xffffffff {
		packed = zip64Packed(extra)
	}
	z := &zipReader{r: r, want: binary.LittleEndian.Uint32(h[14:]), describe: flags&8 != 0}
	switch {
	case method == 8:
		z.file = flate.NewReader(r)
	case method == 0 && !z.describe && packed >= 0:
		z.file = io.LimitReader(r, packed)
	default:
		return nil, fmt.Errorf("the zip archive packs its file in a way (method %d) that is not supported", method)
	}
	return z, nil
}

// zip64Packed returns the packed size of a file for which the header has no room, -1 if the extra fields do not tell it either.
func zip64Packed(extra []byte) int64 {
	for len(extra) >= 4 {
		id, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if extra = extra[4:]; n > len(extra) {
			break
		}
		if id == 1 && n >= 16 {
			return int64(binary.LittleEndian.Uint64(extra[8:])) // below 0 is as good as unknown
		}
		extra = extra[n:]
	}
	return -1
}

func (z *zipReader) Read(p []byte) (int, error) {
	if z.ended {
		return 0, io.EOF
	}
	n, err := z.file.Read(p)
	z.sum = crc32.Update(z.sum, crc32.IEEETable, p[:n])
	if err == io.EOF {
		if err = z.end(); err == nil {
			z.ended, err = true, io.EOF
		}
	}
	return n, err
}

// end checks the sum, and that no second file follows.
func (z *zipReader) end() error {
	if z.describe {
		if err := z.readDescriptor(); err != nil {
			return err
		}
	}
	if z.sum != z.want {
		return errors.New("the sum of the file in the zip archive does not match")
	}
	next, err := z.r.Peek(4)
	switch {
	case notEOF(err) != nil:
		return err
	case err == nil && binary.LittleEndian.Uint32(next) == zipFile:
		return errSeveralFiles
	}
	return z.readDirectory()
}

var (
	errSeveralFiles = errors.New("the zip archive holds more than one file")
	errZipDamaged   = errors.New("the zip archive is damaged behind its file")
)

// readDirectory reads the rest of the archive, which must tell of one file.
func (z *zipReader) readDirectory() error {
	for files := 0; ; {
		h, err := z.take(4)
		if err != nil {
			return err
		}
		switch binary.LittleEndian.Uint32(h) {
		case zipDirectory:
			if files++; files > 1 {
				return errSeveralFiles
			}
			if h, err = z.take(42); err == nil {
				name, extra, comment := binary.LittleEndian.Uint16(h[24:]), binary.LittleEndian.Uint16(h[26:]), binary.LittleEndian.Uint16(h[28:])
				err = z.skip(int64(name) + int64(extra) + int64(comment))
			}
		case zip64End:
			if h, err = z.take(8); err == nil {
				err = z.skip(int64(min(binary.LittleEndian.Uint64(h), 1<<20)))
			}
		case zip64Locator:
			err = z.skip(16)
		case zipEnd:
			if h, err = z.take(18); err != nil {
				return err
			}
			if err := z.skip(int64(binary.LittleEndian.Uint16(h[16:]))); err != nil {
				return err
			}
			if _, err := z.r.Peek(1); err != io.EOF || files != 1 {
				return cmp.Or(notEOF(err), errZipDamaged)
			}
			return nil
		default:
			return errZipDamaged
		}
		if err != nil {
			return err
		}
	}
}

// notEOF returns errors of reading, and nil for the end of what is read.
func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// take returns the next n bytes, which are good until the next call.
func (z *zipReader) take(n int) ([]byte, error) {
	_, err := io.ReadFull(z.r, z.buf[:n])
	return z.buf[:n], cutShort(err)
}

func (z *zipReader) skip(n int64) error {
	_, err := io.CopyN(io.Discard, z.r, n)
	return cutShort(err)
}

// readDescriptor reads what follows a file whose sum was not known before it: with or without a signature, with sizes of four
// bytes or of eight.
func (z *zipReader) readDescriptor() error {
	for _, size := range []int{16, 24, 12, 20} {
		d, err := z.r.Peek(size + 4)
		if notEOF(err) != nil {
			return err
		}
		if err != nil || binary.LittleEndian.Uint32(d[size:]) != zipDirectory && binary.LittleEndian.Uint32(d[size:]) != zipFile {
			continue
		}
		if size%8 == 0 && binary.LittleEndian.Uint32(d) == zipDescriptor {
			d = d[4:]
		}
		z.want = binary.LittleEndian.Uint32(d)
		_, err = z.r.Discard(size)
		return err
	}
	return errZipDamaged
}
