package storetest

import (
	"context"
	"errors"
	"io"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// published lets the tests of reading put data where a store finds it that takes none.
type published struct {
	imagestore.Store
	publish func([]byte) image.Location
}

// Put publishes what src gives.
func (p published) Put(ctx context.Context, _ imagestore.Object, src imagestore.Source) (image.Location, error) {
	var data []byte
	for {
		chunk, err := src.Next(ctx)
		if err == io.EOF {
			return p.publish(data), nil
		}
		if err != nil {
			return image.Location{}, err
		}
		data = append(data, chunk...)
	}
}

// Delete and Locate are for tests of writing.
func (p published) Delete(context.Context, image.Location) error { return errors.ErrUnsupported }

// Locate implements imagestore.Writer.
func (p published) Locate(imagestore.Object) image.Location { return image.Location{} }
