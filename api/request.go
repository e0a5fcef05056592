package api

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vitrine-image/vitrine/image"
)

func callOf(r *http.Request) *call { return r.Context().Value(callKey{}).(*call) }

// patience returns how long the request may still wait for its turn. All of its waiting takes half the StallTimeout at most,
// counted from the first time on: clients and proxies lose theirs.
func (s *server) patience(r *http.Request) time.Duration {
	c := callOf(r)
	if c.patient.IsZero() {
		c.patient = time.Now().Add(s.cfg.StallTimeout / 2)
	}
	return max(time.Until(c.patient), 1) // 0 would mean for ever
}

// session returns the verbs as the request's caller may use them.
func (s *server) session(r *http.Request) Session { return s.cfg.Images(callOf(r).caller) }

// imageID returns the id in the path. What is no id cannot be the id of anything.
func imageID(r *http.Request) (image.ID, error) {
	text, err := param(r, "image")
	if err != nil {
		return "", err
	}
	id, ok := image.ParseID(text)
	if !ok {
		return "", image.Errorf(image.ErrNotFound, "No image found with ID %s", text)
	}
	return id, nil
}

// param returns an element of the path, unescaped.
func param(r *http.Request, name string) (string, error) {
	value := callOf(r).params.ByName(name)
	if escapedSlash(r.URL) {
		var err error
		if value, err = url.PathUnescape(value); err != nil {
			return "", image.Errorf(image.ErrInvalid, "The path cannot be decoded.")
		}
	}
	return value, checkText(value)
}

// escapedSlash reports whether an element of the path has a slash inside, so that only the undecoded path tells where
// elements end.
func escapedSlash(u *url.URL) bool {
	return u.RawPath != "" && (strings.Contains(u.RawPath, "%2F") || strings.Contains(u.RawPath, "%2f"))
}

// checkText refuses what is no text. Texts that no image can have are well: they are found nowhere.
func checkText(text string) error {
	if !utf8.ValidString(text) {
		return image.Errorf(image.ErrInvalid, "The request is not valid UTF-8.")
	}
	return nil
}

// mediaType returns the type of the body if it is one of those wanted.
func mediaType(r *http.Request, wanted ...string) (string, error) {
	header := r.Header.Get("Content-Type")
	got, _, err := mime.ParseMediaType(header)
	if err != nil || !slices.Contains(wanted, got) {
		return "", image.Errorf(image.ErrUnsupportedType, "Unsupported media type %q: the Content-Type must be %s.", header,
			strings.Join(wanted, " or "))
	}
	return got, nil
}
