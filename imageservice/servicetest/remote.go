package servicetest

import (
	"context"
	"io"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
)

// Remote is a client in the words of the suite.
type Remote struct{ *client.Client }

// List returns a page.
func (r Remote) List(ctx context.Context, q image.Query) ([]*image.Image, error) {
	page, _, err := r.Page(ctx, q)
	return page, err
}

// Upload implements Images.
func (r Remote) Upload(ctx context.Context, id image.ID, body io.Reader, size int64) error {
	return r.Client.Upload(ctx, id, client.Upload{Body: body, Size: size})
}

// Stage implements Images.
func (r Remote) Stage(ctx context.Context, id image.ID, body io.Reader, size int64) error {
	return r.Client.Stage(ctx, id, client.Upload{Body: body, Size: size})
}

// Download implements Images.
func (r Remote) Download(ctx context.Context, id image.ID) ([]byte, error) {
	return r.DownloadAs(ctx, id, "")
}

// DownloadAs implements Images.
func (r Remote) DownloadAs(ctx context.Context, id image.ID, format string) ([]byte, error) {
	d, err := r.Client.Download(ctx, id, client.DownloadOptions{Format: format})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return io.ReadAll(d)
}
