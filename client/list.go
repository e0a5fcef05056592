package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// Page returns one page of the images that match the query, and whether more may follow: then the next page starts at
// the last image as its Marker. q.Caller is not used, since the server knows who asks; a Limit below 1 leaves the size
// of the page to the server. Errors: image.ErrInvalid.
func (c *Client) Page(ctx context.Context, q image.Query) (images []*image.Image, more bool, err error) {
	values, err := queryValues(q)
	if err != nil {
		return nil, false, err
	}
	doc, err := c.call(ctx, request{method: http.MethodGet, path: []string{"v2", "images"}, query: values, repeat: true})
	if err != nil {
		return nil, false, err
	}
	page, err := wire.ParseImages(doc)
	if err != nil {
		return nil, false, fmt.Errorf("the answer of %s: %w", c.endpoint, err)
	}
	return page.Images, page.Next != "", nil
}

// List goes through all images that match the query, page by page; q.Limit is the size of a page. Images that come or
// go meanwhile may or may not be among them. The sequence ends with the first error.
func (c *Client) List(ctx context.Context, q image.Query) iter.Seq2[*image.Image, error] {
	return func(yield func(*image.Image, error) bool) {
		for {
			images, more, err := c.Page(ctx, q)
			if errors.Is(err, errTooLong) && q.Limit != 1 { // images may have megabytes of properties
				q.Limit = max(q.Limit/4, 1)
				continue
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for _, img := range images {
				if !yield(img, nil) {
					return
				}
			}
			if !more || len(images) == 0 {
				return
			}
			q.Marker = images[len(images)-1].ID
		}
	}
}
