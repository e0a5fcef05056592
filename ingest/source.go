package ingest

import (
	"context"
	"io"
	"os"

	"github.com/vitrine-image/vitrine/imagestore"
)

// A source is the store's end of a transfer.
type source struct {
	transfer *transfer
	current  *buffer // that Next returned last
	ended    bool    // Next said io.EOF
}

// A fileSource is a source whose bytes lie in a file too.
type fileSource struct{ *source }

func (s fileSource) File() *os.File { return s.transfer.req.File }
func (s fileSource) Spare() bool    { return s.transfer.req.Spare }

// asSource returns what the store consumes.
func (t *transfer) asSource() imagestore.Source {
	if t.req.File != nil {
		return fileSource{&t.source}
	}
	return &t.source
}

func (s *source) Size() int64 { return s.transfer.req.Size }

// Next implements imagestore.Source. It says io.EOF only when all is checked, hashed and verified, so that a store never
// publishes what is refused.
func (s *source) Next(ctx context.Context) ([]byte, error) {
	s.release()
	select {
	case b, more := <-s.transfer.stored():
		if more {
			s.current = b
			return b.data, nil
		}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s.transfer.working.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := s.transfer.verify(); err != nil {
		s.transfer.cancel(err)
		return nil, err
	}
	s.ended = true
	return nil, io.EOF
}

func (s *source) release() {
	if s.current != nil {
		s.current.release()
		s.current = nil
	}
}
