package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/vitrine-image/vitrine/image"
)

// A span is the part of the data that goes into an answer.
type span struct {
	offset, length int64
	partial        bool
}

// requestedRange returns the one range that a request asks for, or everything. Some clients ask in Content-Range, which
// is a header of answers. If-Range takes the request back when the client has part of something else.
// Errors: image.ErrRange for a range that is malformed or outside of the data, image.ErrInvalid for several of them.
func requestedRange(r *http.Request, size int64, etag string) (span, error) {
	all := span{length: size}
	headers := r.Header.Values("Range")
	old := r.Header.Get("Content-Range")
	switch {
	case len(headers) == 0 && old == "":
		return all, nil
	case len(headers) > 1, len(headers) == 1 && strings.Contains(headers[0], ","):
		return all, image.Errorf(image.ErrInvalid,
			"Requests with multiple ranges are not supported. You may make multiple single-range requests instead.")
	}
	if condition := r.Header.Get("If-Range"); condition != "" && condition != etag {
		return all, nil
	}
	if len(headers) == 1 {
		return parseRange(headers[0], size)
	}
	return parseContentRange(old, size)
}

// parseRange reads bytes=a-b, bytes=a- and bytes=-n.
func parseRange(header string, size int64) (span, error) {
	unit, spec, ok := strings.Cut(header, "=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return span{}, badRange(header, size)
	}
	first, last = strings.TrimSpace(first), strings.TrimSpace(last)
	if first == "" {
		n, ok := parseOffset(last)
		if !ok || n == 0 || size == 0 {
			return span{}, badRange(header, size)
		}
		n = min(n, size)
		return span{offset: size - n, length: n, partial: true}, nil
	}
	start, ok := parseOffset(first)
	end := size - 1
	if ok && last != "" {
		end, ok = parseOffset(last)
	}
	return clamp(header, start, end, size, ok)
}

// parseContentRange reads bytes a-b/n and bytes a-b/*.
func parseContentRange(header string, size int64) (span, error) {
	spec, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(header)), "bytes ")
	bounds, total, slash := strings.Cut(spec, "/")
	first, last, dash := strings.Cut(bounds, "-")
	if !ok || !slash || !dash {
		return span{}, badRange(header, size)
	}
	start, ok1 := parseOffset(strings.TrimSpace(first))
	end, ok2 := parseOffset(strings.TrimSpace(last))
	_, ok3 := parseOffset(strings.TrimSpace(total))
	return clamp(header, start, end, size, ok1 && ok2 && (ok3 || total == "*"))
}

// clamp cuts first to last, which includes it, down to the data.
func clamp(header string, first, last, size int64, ok bool) (span, error) {
	if !ok || first > last || first >= size {
		return span{}, badRange(header, size)
	}
	return span{offset: first, length: min(last, size-1) - first + 1, partial: true}, nil
}

// parseOffset reads a number without a sign. One that is too long for any data is as good as the highest.
func parseOffset(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, _ := strconv.ParseInt(s, 10, 64) // out of range gives the highest
	return n, true
}

func badRange(header string, size int64) error {
	return image.Errorf(image.ErrRange, "The range %q is not one range of bytes within the %d bytes of the image.", header, size)
}
