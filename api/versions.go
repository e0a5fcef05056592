package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/api/wire"
)

// Minor versions of the API. They are labels: a client that asks for one gets the same as for any other.
const (
	newestMinor  = 18 // known in URLs
	currentMinor = 17 // of an API without a cache that can be managed
)

// mediaTypePrefix begins the media type by which a client may choose a version instead of by the path.
const mediaTypePrefix = "application/vnd.openstack.images-"

// versionedPath returns the path of a request with its version made /v2, or one of our own; ok is false for every other path.
func versionedPath(r *http.Request) (path string, ok bool) {
	path = r.URL.Path
	if escapedSlash(r.URL) {
		path = r.URL.RawPath
	}
	first, rest, more := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if (first == "v2" || first == "vitrine") && more {
		return path, true
	}
	if knownVersion(first) && more {
		return "/v2/" + rest, true
	}
	accept := r.Header.Get("Accept")
	if first != "versions" && strings.HasPrefix(accept, mediaTypePrefix) && knownVersion(accept[len(mediaTypePrefix):]) {
		return "/v2" + path, true
	}
	return "", false
}

// knownVersion reports whether s is v2 or one of its minor versions.
func knownVersion(s string) bool {
	minor, ok := strings.CutPrefix(s, "v2.")
	if !ok {
		return s == "v2"
	}
	n, err := strconv.Atoi(minor)
	return err == nil && n >= 0 && n <= newestMinor && strconv.Itoa(n) == minor
}

// serveUnversioned answers what needs neither a version nor a token.
func (s *server) serveUnversioned(w *response, r *http.Request) {
	switch path := r.URL.Path; {
	case path == "/healthcheck":
		w.route = "/healthcheck"
		s.serveHealth(w, r)
	case path == "/versions" || path == "/versions/":
		w.route = "/versions"
		s.writeVersions(w, r, http.StatusOK)
	case knownVersion(strings.TrimPrefix(path, "/")):
		w.Header().Set("Location", s.baseURL(r)+"/v2/")
		w.WriteHeader(http.StatusFound)
	default:
		s.writeVersions(w, r, http.StatusMultipleChoices)
	}
}

func (s *server) writeVersions(w *response, r *http.Request, code int) {
	body, err := json.Marshal(versions(s.baseURL(r), s.documents.MultiStore))
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	writeJSON(w, code, body)
}

// versions lists the minor versions, newest first. Those that only several stores make sense of are left out without
// them, as clients take them for a promise.
func versions(base string, multiStore bool) wire.Versions {
	minors := []int{currentMinor, 15}
	if multiStore {
		minors = append(minors, 13, 12, 11, 10, 9, 8)
	} else {
		minors = append(minors, 9)
	}
	minors = append(minors, 7, 6, 5, 4, 3, 2, 1, 0)
	var list wire.Versions
	for i, minor := range minors {
		status := "SUPPORTED"
		if i == 0 {
			status = "CURRENT"
		}
		list.Versions = append(list.Versions, wire.Version{ID: fmt.Sprintf("v2.%d", minor), Status: status,
			Links: []wire.Link{{Rel: "self", Href: base + "/v2/"}}})
	}
	return list
}

// baseURL returns the scheme, host and prefix of the path by which the client reaches the API. Links in documents have none
// of it: clients append them to the address that they use.
func (s *server) baseURL(r *http.Request) string {
	if s.cfg.PublicURL != "" {
		return s.cfg.PublicURL
	}
	scheme, host := s.cfg.Proxies.base(r)
	return scheme + "://" + host + s.cfg.Proxies.prefix(r)
}

// readyTime is how long the healthcheck waits for what it asks. A load balancer does not wait for ever either.
const readyTime = 5 * time.Second

// serveHealth tells a load balancer whether to send requests here.
func (s *server) serveHealth(w *response, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.refuse(w, r, &statusError{code: http.StatusMethodNotAllowed, allow: "GET, HEAD", text: "Only GET and HEAD are allowed."})
		return
	}
	code, text := http.StatusOK, "OK"
	if s.disabled() {
		code, text = http.StatusServiceUnavailable, "DISABLED BY FILE"
	} else if s.cfg.Ready != nil {
		ctx, stop := context.WithTimeout(r.Context(), readyTime)
		defer stop()
		if err := s.cfg.Ready(ctx); err != nil {
			if r.Context().Err() == nil { // somebody waits for the answer
				s.log.WarnContext(r.Context(), "healthcheck fails", "error", err)
			}
			code, text = http.StatusServiceUnavailable, "NOT READY"
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(code)
	w.Write([]byte(text)) // a failure shows up in the connection
}

func (s *server) disabled() bool {
	if s.cfg.DisableFile == "" {
		return false
	}
	_, err := os.Stat(s.cfg.DisableFile)
	return err == nil
}
