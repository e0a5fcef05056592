package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// An ExtentSession is the part of a Session that tells where the data of an image is.
type ExtentSession interface {
	Extents(ctx context.Context, id image.ID, q image.ExtentQuery) (image.ExtentPage, error)
}

// listExtents serves GET /vitrine/v1/images/{image}/extents: a page of ranges that hold data, and of those that do not.
func (s *server) listExtents(w http.ResponseWriter, r *http.Request) error {
	id, format, params, err := wantedData(r)
	if err != nil {
		return err
	}
	q := image.ExtentQuery{Format: format}
	if offset, given := params.last("marker"); given {
		var ok bool
		if q.Offset, ok = parseOffset(offset); !ok {
			return image.Errorf(image.ErrInvalid, "The marker %q is no offset of a page of extents.", offset)
		}
	}
	return s.answer(w, r, func() (any, error) {
		page, err := s.session(r).Extents(r.Context(), id, q)
		if err != nil {
			return nil, err
		}
		next := ""
		if page.Next < page.Size {
			next = params.link(r.URL.Path, strconv.FormatInt(page.Next, 10))
		}
		return wire.NewExtents(page, next), nil
	})
}

// wantedData returns the image whose data is wanted, the format, "" for that of the image, and the whole query.
func wantedData(r *http.Request) (id image.ID, format string, params parameters, err error) {
	if id, err = imageID(r); err != nil {
		return id, "", nil, err
	}
	if params, err = parseQuery(r.URL.RawQuery); err != nil {
		return id, "", nil, err
	}
	format, given := params.last("format")
	if given && format == "" {
		err = image.Errorf(image.ErrInvalid, "The format is empty: raw and qcow2 can be had, and that of the image.")
	}
	return id, format, params, err
}
