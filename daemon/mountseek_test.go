package daemon

import (
	"context"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/fusefs"
	"github.com/vitrine-image/vitrine/imagestore"
)

// A hugeImage has a few pieces of data, and counts the extents that it was asked for.
type hugeImage struct {
	imagestore.Reader
	size, piece, every int64 // of every so many bytes the first ones are data
	told               int
}

func (h *hugeImage) Size() int64 { return h.size }

func (h *hugeImage) Extents(_ context.Context, off, n int64) (list []imagestore.Extent, _ error) {
	for at := off / h.every * h.every; at < off+n; at += h.every {
		if from, to := max(at, off), min(at+h.piece, off+n); from < to {
			list = append(list, imagestore.Extent{Offset: from, Length: to - from})
		}
	}
	h.told += len(list)
	return list, nil
}

// TestSeekInAHugeImage costs about as much as what is found, however much data lies behind it.
func TestSeekInAHugeImage(t *testing.T) {
	const size = 10 << 40
	for _, tt := range []struct {
		every, off, start, end int64
		most                   int
	}{
		{1 << 20, 4 << 10, 1 << 20, 1<<20 + 4<<10, 64},          // 10 million pieces
		{1 << 20, 5 << 40, 5 << 40, 5<<40 + 4<<10, 64},          // in the middle of them
		{9 << 40, 4 << 10, 9 << 40, 9<<40 + 4<<10, 1},           // one that is far away
		{9 << 40, 9<<40 + 4<<10, 10 << 40, 10 << 40, 0},         // none
		{1 << 20, 10<<40 - 1<<20 + 4096, 10 << 40, 10 << 40, 0}, // none, at the end
	} {
		image := &hugeImage{size: size, piece: 4 << 10, every: tt.every}
		start, end, err := fuseReader(image).(fusefs.ExtentReader).DataAt(t.Context(), tt.off)
		if got, want := []int64{start, end}, []int64{tt.start, tt.end}; err != nil || !slices.Equal(got, want) {
			t.Errorf("DataAt(%d) = %v, %v, want %v", tt.off, got, err, want)
		}
		if image.told > tt.most {
			t.Errorf("DataAt(%d) asked for %d extents, want no more than %d", tt.off, image.told, tt.most)
		}
	}
}
