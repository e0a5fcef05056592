package importer

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

// maxDictionary bounds the memory of a decompressor, in bytes: twice of what xz and zstd need at their highest usual level.
const maxDictionary = 128 << 20

// packedHead is how many bytes tell whether data is packed.
const packedHead = 6

// packing returns how data is packed that begins with head, "" if it is not.
func packing(head []byte) string {
	for _, p := range []struct{ name, magic string }{
		{"gzip", "\x1f\x8b"}, {"bzip2", "BZh"}, {"xz", "\xfd7zXZ\x00"}, {"zstd", "\x28\xb5\x2f\xfd"},
		{"lz4", lz4Magic}, {"zip", "PK\x03\x04"},
	} {
		if bytes.HasPrefix(head, []byte(p.magic)) {
			return p.name
		}
	}
	if len(head) >= 4 && binary.LittleEndian.Uint32(head)>>4 == skipped {
		return "zstd" // as pzstd writes it; lz4 writes nothing before its own
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
		out, err = xz.NewReader(&xzGuard{src: r})
	case "zstd":
		var d *zstd.Decoder
		d, err = zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxDictionary), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1))
		if err == nil {
			return d.IOReadCloser(), nil
		}
	case "lz4":
		out = newLZ4(r)
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

// cutShort tells the end of the data within the file from the end of the file.
func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// What frames begin with, those that are to be skipped but for the last four bits. Source: LZ4 Frame Format Description, 1.6.
const (
	lz4Magic = "\x04\x22\x4d\x18"
	skipped  = 0x184d2a5 // zstd's, too
)

// An lz4Reader reads frames one after the other, each of which needs some megabytes at the most.
type lz4Reader struct {
	src   *bufio.Reader
	frame *lz4.Reader
}

func newLZ4(src *bufio.Reader) *lz4Reader { return &lz4Reader{src, lz4.NewReader(endless{src})} }

func (l *lz4Reader) Read(p []byte) (int, error) {
	n, err := l.frame.Read(p)
	if err != io.EOF {
		return n, err
	}
	for {
		next, err := l.src.Peek(8)
		switch {
		case len(next) == 0 && err == io.EOF, notEOF(err) != nil:
			return n, err
		case bytes.HasPrefix(next, []byte(lz4Magic)):
			l.frame.Reset(endless{l.src})
			return n, nil
		case len(next) < 8 || binary.LittleEndian.Uint32(next)>>4 != skipped:
			return n, lz4.ErrInvalidFrame
		}
		if _, err := io.CopyN(io.Discard, l.src, 8+int64(binary.LittleEndian.Uint32(next[4:]))); err != nil {
			return n, cutShort(err)
		}
	}
}

// endless is a source that must not end: the decompressor takes an end between two blocks for that of the frame.
type endless struct{ io.Reader }

func (e endless) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	return n, cutShort(err)
}
