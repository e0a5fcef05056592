package hashes

import (
	"crypto/md5"
	"crypto/sha512"
	"encoding"
	"encoding/binary"
	"hash"
	"io"
	"slices"
)

// WithMD5 returns an MD5 and the hash of that name, which is known, and the writers that together fill them: each takes all
// of the data. There is one if the processor can make both at once, in the time that MD5 takes alone.
func WithMD5(name string) (sums []hash.Hash, writers []io.Writer) {
	m, h := md5.New(), New(name)
	sums = []hash.Hash{m, h}
	if name == "sha512" && blocks != nil {
		return sums, []io.Writer{&pair{md5: m, sha512: h}}
	}
	return sums, []io.Writer{m, h}
}

// blocks adds blocks of blockSize to the states of MD5 and SHA-512. It is nil where the processor lacks instructions for it.
var blocks func(md5 *[4]uint32, sha512 *[8]uint64, p []byte)

const blockSize = sha512.BlockSize // two of MD5's

// A pair writes to an MD5 and a SHA-512: whole blocks by itself, and what is left before and after by theirs.
type pair struct {
	md5, sha512 hash.Hash
	part        int // bytes of a block that is not whole yet

	md5State    [md5.Size / 4]uint32
	sha512State [sha512.Size / 8]uint64
	encoded     []byte
}

func (p *pair) Write(b []byte) (int, error) {
	rest := b
	if p.part > 0 {
		n := min(len(b), blockSize-p.part)
		p.writeToEach(b[:n])
		rest = b[n:]
	}
	whole := len(rest) / blockSize * blockSize
	if whole > 0 {
		p.writeBlocks(rest[:whole])
	}
	p.writeToEach(rest[whole:])
	return len(b), nil
}

func (p *pair) writeToEach(b []byte) {
	p.md5.Write(b)
	p.sha512.Write(b)
	p.part = (p.part + len(b)) % blockSize
}

// writeBlocks takes the states out of the hashes and puts them back. An encoded hash is four bytes that name it, its state, a block
// that is not whole yet, and the number of bytes that were written, all big-endian.
func (p *pair) writeBlocks(b []byte) {
	p.encode(p.md5)
	binary.Decode(p.encoded[4:], binary.BigEndian, &p.md5State)
	p.encode(p.sha512)
	binary.Decode(p.encoded[4:], binary.BigEndian, &p.sha512State)
	for chunk := range slices.Chunk(b, 64<<10) { // in between Go can interrupt the goroutine
		blocks(&p.md5State, &p.sha512State, chunk)
	}
	p.encode(p.md5)
	binary.Encode(p.encoded[4:], binary.BigEndian, &p.md5State)
	p.decode(p.md5, len(b))
	p.encode(p.sha512)
	binary.Encode(p.encoded[4:], binary.BigEndian, &p.sha512State)
	p.decode(p.sha512, len(b))
}

func (p *pair) encode(h hash.Hash) {
	p.encoded, _ = h.(encoding.BinaryAppender).AppendBinary(p.encoded[:0]) // a hash has no reason to fail
}

// decode counts n more bytes.
func (p *pair) decode(h hash.Hash, n int) {
	length := p.encoded[len(p.encoded)-8:]
	binary.BigEndian.PutUint64(length, binary.BigEndian.Uint64(length)+uint64(n))
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(p.encoded); err != nil {
		panic(err) // it encoded itself
	}
}
