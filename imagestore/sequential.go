package imagestore

import (
	"context"
	"io"
)

// Sequential returns a stream of all bytes of r, for as long as ctx. The Reader stays open at its end.
func Sequential(ctx context.Context, r Reader) io.Reader { return &sequential{ctx: ctx, r: r} }

type sequential struct {
	ctx context.Context
	r   Reader
	off int64
}

func (s *sequential) Read(p []byte) (int, error) {
	left := s.r.Size() - s.off
	if left <= 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), left)]
	n, err := s.r.ReadAt(s.ctx, p, s.off)
	s.off += int64(n)
	if n == len(p) {
		err = nil
	} else if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
