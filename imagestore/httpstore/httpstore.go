// Package httpstore reads data that lies on web servers. A location is its URL, which somebody adds to an image; the store takes
// no data of its own. Every request goes through the filter of package outbound. Start reading at Store.Open.
package httpstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/internal/outbound"
)

// Config is what a Store needs.
type Config struct {
	ID       string
	Client   *outbound.Client // closed with the store
	Retries  int              // how often a request is repeated that failed in a way that may pass
	Requests int              // at once, 0 for 16
	Timeout  time.Duration    // for one request of at most pieceSize bytes, and for the next bytes of a stream; 0 for a minute
	Logger   *slog.Logger     // nil discards
}

// A Store reads data by its URL.
type Store struct {
	id      string
	web     *outbound.Client
	client  *http.Client
	retries int
	slots   chan struct{} // holds one for each request under way
	timeout time.Duration
	pause   time.Duration // before the first repetition
	log     *slog.Logger
}

var _ imagestore.Adopter = (*Store)(nil)

// Open checks the configuration. It asks no server.
func Open(cfg Config) (*Store, error) {
	switch {
	case cfg.Client == nil:
		return nil, errors.New("httpstore: no client")
	case cfg.Retries < 0 || cfg.Requests < 0 || cfg.Timeout < 0:
		return nil, errors.New("httpstore: a number is negative")
	}
	return &Store{id: cfg.ID, web: cfg.Client, client: &http.Client{Transport: cfg.Client, CheckRedirect: checkRedirect}, retries: cfg.Retries,
		slots: make(chan struct{}, cmp.Or(cfg.Requests, 16)), timeout: cmp.Or(cfg.Timeout, time.Minute), pause: time.Second / 4,
		log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))}, nil
}

// Close closes connections that nobody uses.
func (s *Store) Close() error {
	s.web.Close()
	return nil
}

// Schemes implements imagestore.Adopter.
func (s *Store) Schemes() []string { return []string{"http", "https"} }

// CheckURL implements imagestore.Adopter.
func (s *Store) CheckURL(ctx context.Context, url string) error {
	err := s.web.Check(ctx, url)
	if errors.Is(err, image.ErrInvalid) {
		return image.Errorf(image.ErrInvalid, "%s", err) // its own type is not known above
	}
	return err
}

// Adopt implements imagestore.Adopter.
func (s *Store) Adopt(ctx context.Context, url string) (image.Location, error) {
	if err := s.CheckURL(ctx, url); err != nil {
		return image.Location{}, err
	}
	found, err := s.probe(ctx, url)
	if err != nil {
		return image.Location{}, err
	}
	loc := image.Location{Store: s.id, URL: url}
	if v := found.version.String(); v != "" {
		loc.Metadata = map[string]string{image.MetadataVersion: v}
	}
	return loc, nil
}

// Open implements imagestore.Store. The data must be what it was when the location was adopted; see version.
func (s *Store) Open(ctx context.Context, loc image.Location) (imagestore.Reader, error) {
	if err := s.CheckURL(ctx, loc.URL); err != nil {
		if errors.Is(err, image.ErrInvalid) {
			return nil, fmt.Errorf("store %s: %w: %w", s.id, image.ErrDataMissing, err)
		}
		return nil, err
	}
	found, err := s.probe(ctx, loc.URL)
	if err != nil {
		return nil, err
	}
	if known := parseVersion(loc.Metadata[image.MetadataVersion]); !known.same(found.version) {
		return nil, s.changed()
	}
	if !found.ranges {
		return newStream(s, loc.URL, found), nil
	}
	return newReader(s, loc.URL, found), nil
}

// changed says that data is not what it was.
func (s *Store) changed() error {
	return image.Errorf(image.ErrCorrupt, "The data is corrupt: what the server of store %q has at the URL was changed since the location was added.", s.id)
}

const maxRedirects = 5

// checkRedirect follows a few redirects, none out of TLS, and does not tell one server of the URL at another: it may be signed.
func checkRedirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer")
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
	case via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https":
		return errors.New("a redirect from https to http")
	}
	return nil
}
