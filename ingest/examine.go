package ingest

import (
	"context"
	"io"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// HeaderSize is how many bytes Header wants to see of data, or all if there are fewer.
const HeaderSize = 2 << 20

// Header judges data by its beginning, as Copy would: what it refuses, no more bytes could mend. size is that of all. The virtual size
// is nil when the beginning does not tell it. Error: image.ErrUnsupportedContent.
func (in *Ingester) Header(req Request, begin []byte, size int64) (virtual *int64, err error) {
	return newTransfer(in, req, nil, nil).header(begin, size)
}

func (t *transfer) header(begin []byte, size int64) (virtual *int64, err error) {
	defer contain(&err)
	t.inspector.Write(begin)
	if int64(len(begin)) == size {
		t.inspector.End()
	}
	if err := t.checkFormat(); err != nil {
		return nil, err
	}
	if n, ok := t.declared.VirtualSize(t.inspector.Info(), size); ok && (n > 0 || t.declared.DiskFormat == diskformat.Raw) {
		virtual = &n
	}
	return virtual, nil
}

// Examine reads data that is stored already and tells of it what Copy tells of data on its way in, but for its location.
func (in *Ingester) Examine(ctx context.Context, req Request) (Result, error) {
	req.Store = nowhere{}
	return in.Copy(ctx, req)
}

// nowhere takes data and keeps none.
type nowhere struct{ imagestore.Writer }

func (nowhere) Put(ctx context.Context, _ imagestore.Object, src imagestore.Source) (image.Location, error) {
	for {
		if _, err := src.Next(ctx); err == io.EOF {
			return image.Location{}, nil
		} else if err != nil {
			return image.Location{}, err
		}
	}
}
