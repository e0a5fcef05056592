package api

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

// downloadData serves GET /v2/images/{image}/file: all of the bytes or one range of them, of the data or of a conversion.
func (s *server) downloadData(w http.ResponseWriter, r *http.Request) error {
	id, format, params, err := wantedData(r)
	if err != nil {
		return err
	}
	opts := imageservice.OpenOptions{Format: format}
	if opts.Prefer, err = s.preferredStores(params); err != nil {
		return err
	}
	data, err := s.session(r).Open(r.Context(), id, opts)
	if err != nil {
		return err
	}
	defer data.Reader.Close()

	h, etag := w.Header(), entityTag(data)
	h.Set("Cache-Control", s.cacheControl(data.Image))
	if etag != "" {
		h.Set("ETag", etag)
		if noneMatch(r.Header.Values("If-None-Match"), etag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	if data.Stream != nil {
		if err := data.Stream.Prepare(r.Context()); err != nil {
			h.Del("ETag")
			return err
		}
	}
	part, err := requestedPart(r, data, etag)
	if err != nil {
		if statusOf(err) == http.StatusRequestedRangeNotSatisfiable {
			h.Set("Content-Range", fmt.Sprintf("bytes */%d", data.Reader.Size()))
		}
		return err
	}
	h.Set("Content-Type", dataType)
	h.Set("Content-Length", strconv.FormatInt(part.length, 10))
	h.Set("X-Content-Type-Options", "nosniff")
	if data.Stream == nil {
		h.Set("Accept-Ranges", "bytes")
	}
	if data.Format != "" {
		h.Set(wire.FormatHeader, data.Format)
	} else if data.Image.Checksum != "" {
		h.Set("Content-MD5", data.Image.Checksum) // of the whole image and in hex, as clients expect
	}
	code := http.StatusOK
	if part.partial {
		code = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.offset, part.offset+part.length-1, data.Reader.Size()))
	}
	response := w.(*response)
	response.begin = code // when something was read: a store may only now find out that it is offline
	paceData(response, r)
	before := response.bytes
	err = s.sendPart(response, r, data, part)
	data.Sent(r.Context(), response.bytes-before, part.length, err)
	if err != nil {
		h.Del("Content-Range")
		h.Del("Accept-Ranges")
		h.Del(wire.FormatHeader)
		return err
	}
	response.beginBody() // also of no bytes
	return nil
}

// requestedPart returns what is to be sent: always all of a stream. Errors: those of requestedRange.
func requestedPart(r *http.Request, data *imageservice.Data, etag string) (span, error) {
	if data.Stream != nil {
		return span{length: data.Stream.Size()}, nil
	}
	return requestedRange(r, data.Reader.Size(), etag)
}

// sendPart sends it in the way that suits the data. An error means that the answer is cut short.
func (s *server) sendPart(w *response, r *http.Request, data *imageservice.Data, part span) error {
	if data.Stream != nil {
		out := &lateWriter{Writer: clientWriter{w}}
		if err := data.Stream.Stream(r.Context(), out); err != nil {
			return err
		}
		return out.begin()
	}
	if sparse, ok := data.Reader.(sparseReader); ok {
		return s.sendDisk(w, r, sparse, part.offset, part.length)
	}
	return s.send(w, r, data.Reader, part.offset, part.length)
}

// preferredStores returns the stores that the client would like the data to come from.
func (s *server) preferredStores(params parameters) ([]string, error) {
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

// entityTag names the bytes by the hash of the image's data, which never changes, and by the format to which they are converted; "" if
// the image has no hash. A stream may be another one next time, but it is the same disk.
func entityTag(data *imageservice.Data) string {
	hash := cmp.Or(data.Image.HashValue, data.Image.Checksum)
	switch {
	case hash == "":
		return ""
	case data.Stream != nil:
		return `W/"` + hash + "-" + data.Format + `"`
	case data.Format != "":
		return `"` + hash + "-" + data.Format + `"`
	}
	return `"` + hash + `"`
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
	etag = strings.TrimPrefix(etag, "W/")
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
