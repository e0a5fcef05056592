package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// CORS says which web pages may use the API from within a browser, beside those of its own origin.
type CORS struct {
	Origins     []string      // such as https://dashboard.example.org; "*" alone is every origin, none turns it off
	Credentials bool          // pages may let the browser send what it knows: cookies, passwords, client certificates
	MaxAge      time.Duration // how long a browser remembers what it may do
}

// Check reports what is wrong with the configuration.
func (c CORS) Check() error {
	for _, origin := range c.Origins {
		if origin == "*" {
			if len(c.Origins) > 1 || c.Credentials {
				return fmt.Errorf("the origin * stands alone, and without credentials")
			}
			continue
		}
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || origin != u.Scheme+"://"+u.Host {
			return fmt.Errorf("%q is no origin such as https://dashboard.example.org", origin)
		}
	}
	return nil
}

// What pages of other origins may send, and see of an answer.
var (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsHeaders = strings.Join([]string{"Accept", "Authorization", "Cache-Control", "Content-Type", "If-None-Match", "If-Range", "Range",
		"X-Auth-Token", "X-Image-Meta-Store", "X-Openstack-Image-Size", "X-Openstack-Request-Id"}, ", ")
	corsExposed = strings.Join([]string{"Accept-Ranges", "Content-Length", "Content-MD5", "Content-Range", "ETag", "Location", "Retry-After", wire.FormatHeader,
		"WWW-Authenticate", "X-Openstack-Request-Id", "OpenStack-image-import-methods", "OpenStack-image-store-ids"}, ", ")
)

// cors answers browsers.
type cors struct {
	origins     []string // in lower case
	any         bool
	credentials bool
	maxAge      string // seconds
}

// newCORS returns nil when no origin is allowed.
func newCORS(cfg CORS) *cors {
	if len(cfg.Origins) == 0 {
		return nil
	}
	c := &cors{any: cfg.Origins[0] == "*", credentials: cfg.Credentials, maxAge: strconv.Itoa(int(cfg.MaxAge / time.Second))}
	for _, origin := range cfg.Origins {
		c.origins = append(c.origins, strings.ToLower(origin))
	}
	return c
}

// allows reports whether pages of the origin, as a browser names it, may use the API.
func (c *cors) allows(origin string) bool {
	return c != nil && origin != "" && (c.any || slices.Contains(c.origins, strings.ToLower(origin)))
}

// handle says to the browser what the page may do. It reports true for a question that comes before the request itself,
// and is answered already or by the error; such a question has no token.
func (c *cors) handle(w *response, r *http.Request) (answered bool, err error) {
	h, origin := w.Header(), r.Header.Get("Origin")
	if !c.any {
		h.Add("Vary", "Origin") // else a cache would give the answer for one origin to another
	}
	preflight := r.Method == http.MethodOptions && origin != "" && r.Header.Get("Access-Control-Request-Method") != ""
	if !c.allows(origin) {
		if preflight {
			err = image.Errorf(image.ErrForbidden, "Pages of %s may not use this API; the configuration may allow it with "+
				"api.cors_allowed_origins.", origin)
		}
		return preflight, err
	}
	if c.any {
		origin = "*"
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if c.credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if !preflight {
		h.Set("Access-Control-Expose-Headers", corsExposed)
		return false, nil
	}
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", corsHeaders)
	h.Set("Access-Control-Max-Age", c.maxAge)
	w.WriteHeader(http.StatusNoContent)
	return true, nil
}
