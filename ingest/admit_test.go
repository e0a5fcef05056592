package ingest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// counting is a store that counts what it is given.
type counting struct {
	imagestore.Writer
	bytes int64
}

func (c *counting) Put(ctx context.Context, obj imagestore.Object, src imagestore.Source) (image.Location, error) {
	return c.Writer.Put(ctx, obj, countingSource{src, c})
}

type countingSource struct {
	imagestore.Source
	store *counting
}

func (s countingSource) Next(ctx context.Context) ([]byte, error) {
	p, err := s.Source.Next(ctx)
	s.store.bytes += int64(len(p))
	return p, err
}

// TestAdmitIsAskedFirst lets transfers go on for some bytes: the store sees none beyond them.
func TestAdmitIsAskedFirst(t *testing.T) {
	in := newIngester(t, Config{})
	data := make([]byte, 10*bufferSize+5)
	for _, allowed := range []int{0, 2 * bufferSize, len(data) - 1, len(data)} {
		store := &counting{Writer: newStore(t)}
		req := upload(store, bytes.NewReader(data))
		full := &image.QuotaError{Resource: image.QuotaSize}
		var asked int64
		req.Admit = func(_ context.Context, n int64) error {
			if n <= asked {
				t.Errorf("asked about %d after %d", n, asked)
			}
			if asked = n; n > int64(allowed) {
				return full
			}
			return nil
		}
		_, err := in.Copy(t.Context(), req)
		if fits := allowed >= len(data); fits != (err == nil) || !fits && !errors.Is(err, full) {
			t.Errorf("%d bytes allowed: %v", allowed, err)
		}
		if store.bytes > int64(allowed) {
			t.Errorf("%d bytes allowed, and the store saw %d", allowed, store.bytes)
		}
	}
}
