package storetest

import (
	"context"
	"io"
	"math/rand/v2"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// A Source gives bytes from memory, as an imagestore.Source.
type Source struct {
	Announced int64  // what Size says
	Err       error  // returned after the last byte; nil means io.EOF
	Before    func() // called before each chunk, if set
	data      []byte
	chunk     int
	buffer    []byte
}

// NewSource returns a Source that announces its size and gives chunks of the given number of bytes.
func NewSource(data []byte, chunk int) *Source {
	return &Source{Announced: int64(len(data)), data: data, chunk: chunk}
}

// Size implements imagestore.Source.
func (s *Source) Size() int64 { return s.Announced }

// Next implements imagestore.Source. The bytes that it returned before are overwritten.
func (s *Source) Next(ctx context.Context) ([]byte, error) {
	if s.Before != nil {
		s.Before()
	}
	for i := range s.buffer {
		s.buffer[i] = 0xdb
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(s.data) == 0 {
		if s.Err != nil {
			return nil, s.Err
		}
		return nil, io.EOF
	}
	n := min(s.chunk, len(s.data))
	s.buffer = append(s.buffer[:0], s.data[:n]...)
	s.data = s.data[n:]
	return s.buffer, nil
}

// NewObject returns an object of an image that was never seen.
func NewObject() imagestore.Object {
	id := image.NewID()
	return imagestore.Object{ImageID: id, Name: string(id), Upload: string(image.NewID())}
}

// Random returns n bytes without runs of zeros, the same ones in each process.
func Random(n int) []byte {
	r := rand.NewChaCha8([32]byte{'v', 'i', 't', 'r', 'i', 'n', 'e'})
	b := make([]byte, n)
	_, _ = r.Read(b) // never fails
	return b
}
