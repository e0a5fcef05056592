package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

// downloadData serves GET /v2/images/{image}/file: all of the bytes or one range of them.
func (s *server) downloadData(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r)
	if err != nil {
		return err
	}
	prefer, err := s.preferredStores(r)
	if err != nil {
		return err
	}
	data, err := s.session(r).Open(r.Context(), id, imageservice.OpenOptions{Prefer: prefer})
	if err != nil {
		return err
	}
	defer data.Reader.Close()

	h, etag := w.Header(), entityTag(data.Image)
	h.Set("Cache-Control", s.cacheControl(data.Image))
	if etag != "" {
		h.Set("ETag", etag)
		if noneMatch(r.Header.Values("If-None-Match"), etag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	size := data.Reader.Size()
	part, err := requestedRange(r, size, etag)
	if err != nil {
		if statusOf(err) == http.StatusRequestedRangeNotSatisfiable {
			h.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		}
		return err
	}
	h.Set("Content-Type", dataType)
	h.Set("Content-Length", strconv.FormatInt(part.length, 10))
	h.Set("Accept-Ranges", "bytes")
	h.Set("X-Content-Type-Options", "nosniff")
	if data.Image.Checksum != "" {
		h.Set("Content-MD5", data.Image.Checksum) // of the whole image and in hex, as clients expect
	}
	code := http.StatusOK
	if part.partial {
		code = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.offset, part.offset+part.length-1, size))
	}
	response := w.(*response)
	response.begin = code // when something was read: a store may only now find out that it is offline
	paceData(response, r)
	before := response.bytes
	err = s.send(response, r, data.Reader, part.offset, part.length)
	data.Sent(r.Context(), response.bytes-before, part.length, err)
	if err != nil {
		h.Del("Content-Range")
		h.Del("Accept-Ranges")
		return err
	}
	response.beginBody() // also of no bytes
	return nil
}

// preferredStores returns the stores that the client would like the data to come from.
func (s *server) preferredStores(r *http.Request) ([]string, error) {
	params, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	list, given := params.last("prefer")
	if !given {
		return nil, nil
	}
	if !s.documents.MultiStore {
		return nil, image.Errorf(image.ErrInvalid, "There is one store only: prefer is not supported.")
	}
	var stores []string
	for store := range strings.SplitSeq(list, ",") {
		stores = append(stores, strings.TrimSpace(store))
	}
	return stores, nil
}

// entityTag names the bytes by their hash, which never changes; "" if the image has none.
func entityTag(img *image.Image) string {
	switch {
	case img.HashValue != "":
		return `"` + img.HashValue + `"`
	case img.Checksum != "":
		return `"` + img.Checksum + `"`
	}
	return ""
}

// cacheControl lets shared caches keep only what everybody may read without a token.
func (s *server) cacheControl(img *image.Image) string {
	if s.publicReads && img.AnonymousCanRead() {
		return fmt.Sprintf("public, max-age=%d, immutable", int(s.cfg.CacheMaxAge/time.Second))
	}
	return privateCache
}

// noneMatch reports whether one of the entity tags in If-None-Match is the image's.
func noneMatch(header []string, etag string) bool {
	for _, line := range header {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}
