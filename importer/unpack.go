package importer

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/vitrine-image/vitrine/image"
)

// maxDictionary bounds the memory of a decompressor, in bytes: twice of what xz and zstd need at their highest usual level.
const maxDictionary = 128 << 20

// packedHead is how many bytes tell whether data is packed.
const packedHead = 6

// packing returns how data is packed that begins with head, "" if it is not.
func packing(head []byte) string {
	for _, p := range []struct{ name, magic string }{
		{"gzip", "\x1f\x8b"}, {"bzip2", "BZh"}, {"xz", "\xfd7zXZ\x00"}, {"zstd", "\x28\xb5\x2f\xfd"}, {"zip", "PK\x03\x04"},
	} {
		if bytes.HasPrefix(head, []byte(p.magic)) {
			return p.name
		}
	}
	return ""
}

// unpack returns what the data is that is packed in src, by its first bytes, or nil if it is not packed.
func unpack(src io.Reader) (io.ReadCloser, error) {
	r := bufio.NewReaderSize(src, 1<<20)
	head, err := r.Peek(packedHead)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var out io.Reader
	switch packing(head) {
	case "gzip":
		out, err = gzip.NewReader(r)
	case "bzip2":
		out, err = bzip2.NewReader(r), nil
	case "xz":
		out, err = xz.ReaderConfig{SingleStream: true}.NewReader(&xzGuard{src: r})
	case "zstd":
		var d *zstd.Decoder
		d, err = zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxDictionary), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1))
		if err == nil {
			return d.IOReadCloser(), nil
		}
	case "zip":
		out, err = openZip(r)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, unpackError(err)
	}
	return io.NopCloser(out), nil
}

// zip's signatures and the sizes of what follows them. Source: PKWARE's APPNOTE.TXT, 4.3.
const (
	zipFile       = 0x04034b50
	zipDescriptor = 0x08074b50
	zipDirectory  = 0x02014b50
)

// A zipReader reads the only file of an archive from its beginning, without a look at the directory at its end: nothing is
// allocated from what that says.
type zipReader struct {
	r        *bufio.Reader
	file     io.Reader
	sum      uint32
	want     uint32 // known before unless there is a descriptor
	describe bool
	ended    bool
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
	skip := int(binary.LittleEndian.Uint16(h[26:])) + int(binary.LittleEndian.Uint16(h[28:]))
	if _, err := r.Discard(skip); err != nil {
		return nil, err
	}
	z := &zipReader{r: r, want: binary.LittleEndian.Uint32(h[14:]), describe: flags&8 != 0}
	switch {
	case method == 8:
		z.file = flate.NewReader(r)
	case method == 0 && !z.describe && packed != 0xffffffff:
		z.file = io.LimitReader(r, packed)
	default:
		return nil, fmt.Errorf("the zip archive packs its file in a way (method %d) that is not supported", method)
	}
	return z, nil
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
	if err != nil {
		return errors.New("the zip archive is cut short")
	}
	switch binary.LittleEndian.Uint32(next) {
	case zipDirectory:
		return nil
	case zipFile:
		return errors.New("the zip archive holds more than one file")
	}
	return errors.New("the zip archive is damaged")
}

// readDescriptor reads what follows a file whose sum was not known before it: with or without a signature, with sizes of four
// bytes or of eight.
func (z *zipReader) readDescriptor() error {
	for _, size := range []int{16, 24, 12, 20} {
		d, err := z.r.Peek(size + 4)
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
	return errors.New("the zip archive is damaged behind its file")
}

// An xzGuard passes an xz file on and refuses one that would need much memory: each block tells the size of its dictionary, which
// the decompressor allocates without asking. Source: The .xz File Format, 2 and 3; LZMA2's chunks are those of xz's
// lzma2_decoder.c.
type xzGuard struct {
	src   *bufio.Reader
	next  func() error // reads the next part of the structure into queue, and sets pass
	queue []byte       // to be passed on first
	pass  int64        // bytes to be passed on after it, below 0 for all that come
	check int          // bytes of the check behind each block
	block int64        // bytes of the current block's data so far
}

var xzChecks = map[byte]int{0: 0, 1: 4, 4: 8, 10: 32}

func (g *xzGuard) Read(p []byte) (int, error) {
	if g.next == nil {
		g.next = g.header
	}
	for len(g.queue) == 0 && g.pass == 0 {
		if err := g.next(); err != nil {
			return 0, cutShort(err)
		}
	}
	if len(g.queue) > 0 {
		n := copy(p, g.queue)
		g.queue = g.queue[n:]
		return n, nil
	}
	if g.pass > 0 {
		p = p[:min(int64(len(p)), g.pass)]
	}
	n, err := g.src.Read(p)
	if g.pass > 0 {
		g.pass -= int64(n)
		err = cutShort(err)
	}
	return n, err
}

// cutShort tells the end of the data within the file from the end of the file.
func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// take reads n more bytes of the structure.
func (g *xzGuard) take(n int) ([]byte, error) {
	start := len(g.queue)
	g.queue = append(g.queue, make([]byte, n)...)
	_, err := io.ReadFull(g.src, g.queue[start:])
	return g.queue[start:], err
}

func (g *xzGuard) header() error {
	h, err := g.take(12)
	if err != nil {
		return err
	}
	size, known := xzChecks[h[7]]
	if !known {
		return errors.New("xz: unknown check")
	}
	g.check, g.next = size, g.blockOrIndex
	return nil
}

func (g *xzGuard) blockOrIndex() error {
	first, err := g.src.Peek(1)
	if err != nil {
		return err
	}
	if first[0] == 0 {
		g.pass = -1 // the index, after which no block can come
		return nil
	}
	h, err := g.take((int(first[0]) + 1) * 4)
	if err != nil {
		return err
	}
	dictionary, err := xzDictionary(h)
	if err != nil {
		return err
	}
	if dictionary > maxDictionary {
		return image.Errorf(image.ErrTooLarge, "The data was compressed with a dictionary of more than %d MiB, which is refused.", maxDictionary>>20)
	}
	g.block, g.next = 0, g.chunk
	return nil
}

// xzDictionary returns the size of the dictionary that a block header tells, in bytes.
func xzDictionary(h []byte) (uint64, error) {
	flags, rest := h[1], h[2:]
	if flags&3 != 0 {
		return 0, errors.New("xz: filters beside LZMA2 are not supported")
	}
	for _, bit := range []byte{0x40, 0x80} { // the sizes of the data
		if flags&bit != 0 {
			_, n := binary.Uvarint(rest)
			if n <= 0 {
				return 0, errors.New("xz: damaged block header")
			}
			rest = rest[n:]
		}
	}
	if len(rest) < 3 || rest[0] != 0x21 || rest[1] != 1 || rest[2] > 40 {
		return 0, errors.New("xz: damaged block header, or a filter that is not LZMA2")
	}
	if rest[2] == 40 {
		return 1<<32 - 1, nil
	}
	return uint64(2|rest[2]&1) << (rest[2]/2 + 11), nil
}

func (g *xzGuard) chunk() error {
	c, err := g.take(1)
	if err != nil {
		return err
	}
	control, header := c[0], 0
	switch {
	case control == 0:
		g.block++
		g.pass, g.next = (4-g.block%4)%4+int64(g.check), g.blockOrIndex
		return nil
	case control >= 0xc0:
		header = 5
	case control >= 0x80:
		header = 4
	case control <= 2:
		header = 2
	default:
		return errors.New("xz: damaged chunk")
	}
	h, err := g.take(header)
	if err != nil {
		return err
	}
	size := h[len(h)-2:]
	if control >= 0x80 {
		size = h[2:4]
	}
	g.pass = int64(binary.BigEndian.Uint16(size)) + 1
	g.block += int64(1+header) + g.pass
	return nil
}
