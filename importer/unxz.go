package importer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/vitrine-image/vitrine/image"
)

// An xzGuard passes an xz file on and refuses one that would need much memory: each block tells the size of its dictionary, which
// the decompressor allocates without asking. Source: The .xz File Format, 2 and 3; LZMA2's chunks are those of xz's
// lzma2_decoder.c.
type xzGuard struct {
	src   *bufio.Reader
	next  func() error // reads the next part of the structure into queue, and sets pass
	queue []byte       // to be passed on first
	pass  int64        // bytes to be passed on after it
	check int          // bytes of the check behind each block
	block int64        // bytes of the current block's data, or of the index, so far
	ended bool         // behind a whole file
}

var xzChecks = map[byte]int{0: 0, 1: 4, 4: 8, 10: 32}

func (g *xzGuard) Read(p []byte) (int, error) {
	if g.next == nil {
		g.next = g.header
	}
	for len(g.queue) == 0 && g.pass == 0 {
		if err := g.next(); g.ended {
			return 0, io.EOF
		} else if err != nil {
			return 0, cutShort(err)
		}
	}
	if len(g.queue) > 0 {
		n := copy(p, g.queue)
		g.queue = g.queue[n:]
		return n, nil
	}
	n, err := g.src.Read(p[:min(int64(len(p)), g.pass)])
	g.pass -= int64(n)
	return n, cutShort(err)
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
		g.next = g.index
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

// index passes on how long a list of blocks follows. The decompressor compares that with what there was.
func (g *xzGuard) index() error {
	if _, err := g.take(1); err != nil {
		return err
	}
	g.block = 1
	records, err := g.number()
	if err != nil {
		return err
	}
	g.next = func() error {
		if records == 0 {
			g.pass, g.next = (4-g.block%4)%4+4+12, g.behind // padding, a sum, the footer
			return nil
		}
		records--
		if _, err := g.number(); err != nil {
			return err
		}
		_, err := g.number()
		return err
	}
	return nil
}

// number reads a number of the index.
func (g *xzGuard) number() (uint64, error) {
	var n uint64
	for i := range 9 {
		b, err := g.take(1)
		if err != nil {
			return 0, err
		}
		g.block++
		n |= uint64(b[0]&0x7f) << (7 * i)
		if b[0] < 0x80 {
			return n, nil
		}
	}
	return 0, errors.New("xz: damaged index")
}

// behind comes after a whole file: the end, padding, or another file, whose data goes on with that of the first.
func (g *xzGuard) behind() error {
	next, err := g.src.Peek(4)
	switch {
	case len(next) == 0 && err == io.EOF:
		g.ended = true
		return io.EOF
	case err != nil:
		return err
	case bytes.Equal(next, make([]byte, 4)):
		_, err = g.take(4)
		return err
	}
	return g.header()
}
