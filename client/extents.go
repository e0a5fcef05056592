package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// Extents returns a page of the extents of an image's data, as Vitrine knows them. Errors: those of a Download; image.ErrInvalid also
// for an offset behind the data, and for the format qcow2 to which data would be converted.
func (c *Client) Extents(ctx context.Context, id image.ID, q image.ExtentQuery) (page image.ExtentPage, err error) {
	values := url.Values{}
	if q.Format != "" {
		values.Set("format", q.Format)
	}
	if q.Offset != 0 {
		values.Set("marker", strconv.FormatInt(q.Offset, 10))
	}
	doc, err := c.call(ctx, request{method: http.MethodGet, path: []string{"vitrine", "v1", "images", string(id), "extents"}, query: values, repeat: true})
	if answer := (*Error)(nil); errors.As(err, &answer) && answer.Status == http.StatusMultipleChoices {
		return page, image.Errorf(image.ErrInvalid, "The server at %s is no Vitrine that tells where the data of an image is", c.endpoint)
	}
	if err != nil {
		return page, err
	}
	if page, err = wire.ParseExtents(doc, q.Offset); err != nil {
		return page, fmt.Errorf("the answer of %s: %w", c.endpoint, err)
	}
	return page, nil
}
