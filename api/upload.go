package api

import (
	"net/http"
	"strconv"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

const dataType = "application/octet-stream"

// uploadData serves PUT /v2/images/{image}/file: raw bytes in, nothing out.
func (s *server) uploadData(w http.ResponseWriter, r *http.Request) error {
	if _, err := mediaType(r, dataType); err != nil {
		return err
	}
	expected, err := expectedSize(r)
	if err != nil {
		return err
	}
	return s.onImage(w, r, func(session Session, id image.ID) error {
		return session.Upload(r.Context(), id, imageservice.Upload{Body: dataIn(r), ContentLength: r.ContentLength,
			ExpectedSize: expected, Store: r.Header.Get("X-Image-Meta-Store")})
	})
}

// stageData serves PUT /v2/images/{image}/stage: raw bytes in, nothing out.
func (s *server) stageData(w http.ResponseWriter, r *http.Request) error {
	if _, err := mediaType(r, dataType); err != nil {
		return err
	}
	expected, err := expectedSize(r)
	if err != nil {
		return err
	}
	return s.onImage(w, r, func(session Session, id image.ID) error {
		return session.Stage(r.Context(), id, imageservice.Upload{Body: dataIn(r), ContentLength: r.ContentLength, ExpectedSize: expected})
	})
}

// expectedSize returns the size that the client announced beside Content-Length, which chunked uploads lack, or -1.
func expectedSize(r *http.Request) (int64, error) {
	header := r.Header.Get("X-Openstack-Image-Size")
	if header == "" {
		return -1, nil
	}
	size, err := strconv.ParseInt(header, 10, 64)
	if err != nil || size < 0 {
		return 0, image.Errorf(image.ErrInvalid, "Invalid value for header x-openstack-image-size: %q is no number of bytes", header)
	}
	return size, nil
}
