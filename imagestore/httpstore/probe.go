package httpstore

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/vitrine-image/vitrine/image"
)

// A remote is what a server says of its data.
type remote struct {
	size    int64
	version version
	ranges  bool // it can be read from anywhere
}

// A version tells the data at a URL from what lies there at other times. Servers that give neither of its parts are believed by the
// size alone.
type version struct {
	etag     string
	modified string
}

// maxETag is how long a tag may be that is remembered.
const maxETag = 256

func versionOf(h http.Header) version {
	v := version{etag: h.Get("ETag"), modified: h.Get("Last-Modified")}
	if len(v.etag) > maxETag {
		v.etag = ""
	}
	return v
}

const (
	etagPrefix     = "etag "
	modifiedPrefix = "modified "
)

// String writes what tells most: parseVersion reads it.
func (v version) String() string {
	switch {
	case v.etag != "":
		return etagPrefix + v.etag
	case v.modified != "":
		return modifiedPrefix + v.modified
	}
	return ""
}

func parseVersion(text string) (v version) {
	v.etag, _ = strings.CutPrefix(text, etagPrefix)
	if v.etag == text {
		v.etag = ""
		v.modified = strings.TrimPrefix(text, modifiedPrefix)
	}
	return v
}

// same reports whether both may be of the same data: by their tags, or if one has none, by their times.
func (v version) same(other version) bool {
	switch {
	case v.etag != "" && other.etag != "":
		return v.etag == other.etag
	case v.modified != "" && other.modified != "":
		return v.modified == other.modified
	}
	return true
}

// probe asks the server what it has: by HEAD, and by a GET of one byte where that tells too little. Signed URLs, for one, are often good
// for GET alone.
func (s *Store) probe(ctx context.Context, url string) (found remote, err error) {
	err = s.try(ctx, func(ctx context.Context) error {
		found, err = s.head(ctx, url)
		return err
	})
	return found, err
}

func (s *Store) head(ctx context.Context, url string) (remote, error) {
	resp, err := s.send(ctx, http.MethodHead, url, "")
	if err != nil {
		return remote{}, err
	}
	resp.Body.Close()
	found := remote{size: resp.ContentLength, version: versionOf(resp.Header), ranges: true}
	switch resp.Header.Get("Accept-Ranges") {
	case "bytes":
	case "none":
		found.ranges = false
	default:
		if found.size != 0 {
			found.size = -1 // one byte will tell
		}
	}
	if resp.StatusCode == http.StatusOK && found.size >= 0 && plainEncoding(resp) {
		return found, nil
	}
	return s.firstByte(ctx, url)
}

// firstByte asks for one byte, since the answer tells the size of the whole.
func (s *Store) firstByte(ctx context.Context, url string) (remote, error) {
	resp, err := s.send(ctx, http.MethodGet, url, "bytes=0-0")
	if err != nil {
		return remote{}, err
	}
	defer resp.Body.Close()
	found := remote{size: -1, version: versionOf(resp.Header)}
	switch {
	case !plainEncoding(resp):
		return found, s.unreadable(fmt.Errorf("the server sends it as %s", resp.Header.Get("Content-Encoding")))
	case resp.StatusCode == http.StatusPartialContent:
		found.ranges = true
		_, found.size = contentRange(resp)
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && resp.Header.Get("Content-Range") == "bytes */0":
		found.ranges, found.size = true, 0
	case resp.StatusCode == http.StatusOK:
		found.size = resp.ContentLength
	default:
		return found, s.refusal(resp)
	}
	if found.size < 0 {
		return found, s.unreadable(fmt.Errorf("the server does not tell its size"))
	}
	return found, nil
}

// plainEncoding reports whether the bytes of the answer are those of the data.
func plainEncoding(resp *http.Response) bool {
	encoding := resp.Header.Get("Content-Encoding")
	return encoding == "" || strings.EqualFold(encoding, "identity")
}

// contentRange returns where a part begins and how much there is in all, -1 for what the answer does not say.
func contentRange(resp *http.Response) (start, size int64) {
	start, size = -1, -1
	text, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes ")
	if !ok {
		return start, size
	}
	part, all, _ := strings.Cut(text, "/")
	from, _, _ := strings.Cut(part, "-")
	if n, err := strconv.ParseUint(from, 10, 63); err == nil {
		start = int64(n)
	}
	if n, err := strconv.ParseUint(all, 10, 63); err == nil {
		size = int64(n)
	}
	return start, size
}

// unreadable says that this data cannot be had, whatever becomes of other data of the store.
func (s *Store) unreadable(cause error) error {
	return fmt.Errorf("store %s: %w: %w", s.id, image.ErrDataMissing, cause)
}

// offline says that the server may answer another time.
func (s *Store) offline(cause error) error {
	return fmt.Errorf("store %s: %w: %w", s.id, image.ErrStoreOffline, cause)
}
