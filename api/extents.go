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
	id, err := imageID(r)
	if err != nil {
		return err
	}
	params, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	q := image.ExtentQuery{}
	if q.Format, err = wantedFormat(params); err != nil {
		return err
	}
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

// wantedFormat returns the format in which the client wants the data, "" for that of the image.
func wantedFormat(params parameters) (string, error) {
	format, given := params.last("format")
	if given && format == "" {
		return "", image.Errorf(image.ErrInvalid, "The format is empty: raw and qcow2 can be had, and that of the image.")
	}
	return format, nil
}
