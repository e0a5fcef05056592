package imageservice

import (
	"context"
	"testing"

	"github.com/vitrine-image/vitrine/imagestore"
)

type lendingReader struct{ imagestore.Reader }

func (lendingReader) Close() error { return nil }

func (lendingReader) Lend(context.Context, int, int64) ([]byte, func()) { return []byte("lent"), nil }

func (lendingReader) Extents(context.Context, int64, int64) ([]imagestore.Extent, error) {
	return []imagestore.Extent{{Offset: 1, Length: 2}}, nil
}

// A hold keeps what a reader can do beyond reading, and ends once.
func TestHold(t *testing.T) {
	released := 0
	r := hold(lendingReader{}, func() { released++ })
	lending, ok := r.(imagestore.LendingReader)
	if !ok {
		t.Fatal("it lends nothing any more")
	}
	if p, _ := lending.Lend(t.Context(), 4, 0); string(p) != "lent" {
		t.Errorf("Lend = %q", p)
	}
	extents, ok := r.(imagestore.ExtentReader)
	if !ok {
		t.Fatal("it has no extents any more")
	}
	if list, err := extents.Extents(t.Context(), 0, 9); err != nil || len(list) != 1 {
		t.Errorf("Extents = %v, %v", list, err)
	}
	if _, ok := r.(imagestore.FileReader); ok {
		t.Error("it has a file now")
	}
	r.Close()
	r.Close()
	if released != 1 {
		t.Errorf("released %d times", released)
	}
}
