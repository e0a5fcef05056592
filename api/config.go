package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/auth"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/metadef"
)

// Config says what the API serves and how.
type Config struct {
	Images        func(image.Caller) Session // the verbs, as the caller may use them
	Auth          auth.Authenticator
	Stores        []imageservice.StoreInfo // several make it a multi-store API
	ImportMethods []string                 // that are enabled
	Formats       image.Formats            // that images may be declared to be
	Logger        *slog.Logger             // nil discards; requestid.Handler gives its records the request's id

	// PublicURL is the base of absolute links; "" takes that of the request.
	PublicURL string
	// AllowedHosts are host names, beside localhost and every IP address, under which the API answers while there is no
	// authentication.
	AllowedHosts []string

	// CORS lets pages of other web sites use the API, which needs authentication.
	CORS CORS
	// Proxies are believed about clients and the addresses that these use.
	Proxies Proxies
	// Rates bound what each project may use.
	Rates Rates

	// CacheMaxAge is how long caches in between may keep the data of public images.
	CacheMaxAge time.Duration
	// Sendfile sends data that lies in a local file by sendfile(2) instead of copying it, where there is no TLS.
	Sendfile bool
	// StallTimeout is how long a client may neither send nor take anything worth the name; 0 is one minute.
	StallTimeout time.Duration

	// Observe, unless nil, is told of every request when it has been answered.
	Observe func(Observation)

	// Recordable refuses requests while what they do cannot be written down; nil for never. Errors: image.ErrUnavailable.
	Recordable func() error

	// Ready returns why the healthcheck should fail, nil if it should not. Ready itself may be nil.
	Ready func(context.Context) error
	// ShowLocations and ShowDirectURL put the locations of images, or the URL of the first one, into their documents, for those who may
	// see them.
	ShowLocations, ShowDirectURL bool
	// DisableFile makes the healthcheck fail while a file of that name exists.
	DisableFile string

	Limits Limits
}

// Limits bound what one request may ask for; 0 takes the default.
type Limits struct {
	JSONBody  int64 // bytes of a JSON document, 1 MiB
	PageSize  int   // images in a list that asks for no number, 25
	MaxPage   int   // images in a list at most, 1000
	RequestID int   // characters, 64
}

// A Session is what one caller can do; *imageservice.Session is one.
type Session interface {
	Create(ctx context.Context, id image.ID, edits []image.Edit) (*image.Image, error)
	Get(ctx context.Context, id image.ID) (*image.Image, error)
	List(ctx context.Context, q image.Query) ([]*image.Image, error)
	Edit(ctx context.Context, id image.ID, edits []image.Edit) (*image.Image, error)
	Delete(ctx context.Context, id image.ID) error
	AddTag(ctx context.Context, id image.ID, tag string) error
	RemoveTag(ctx context.Context, id image.ID, tag string) error
	Deactivate(ctx context.Context, id image.ID) error
	Reactivate(ctx context.Context, id image.ID) error
	Upload(ctx context.Context, id image.ID, up imageservice.Upload) error
	Open(ctx context.Context, id image.ID, opts imageservice.OpenOptions) (*imageservice.Data, error)
	ImportSession
	CloneSession
	PinSession
	UserSession
	ExtentSession
	SumSession
	metadef.Catalog
	MemberSession
	TaskSession
	InfoSession
	CacheSession
}

var _ Session = (*imageservice.Session)(nil)

// A server answers requests.
type server struct {
	cfg         Config
	log         *slog.Logger
	router      *router
	gate        *gate  // nil where no web page can make a browser authenticate
	cors        *cors  // nil for none
	rates       *rates // nil for no bounds
	authKind    string
	challenge   string
	publicReads bool
	documents   wire.Options
	schemas     map[string][]byte // by path
	storeIDs    string
	bodies      *budget       // of long documents that come in
	answers     *budget       // of long documents that go out
	loading     chan struct{} // holds one for each list that is being made
	loadingFew  chan struct{} // holds one for the list of few records that is made while loading is full
}

const (
	documentMemory = 64 << 20 // bytes, in either direction
	maxLoading     = 4        // lists at once: with that of few records fewer than the database can read
	fewRecords     = 25       // the page of a client that asks for no number
)

// New checks the Config and returns the handler of every path of the API. Serve it with NewServer.
func New(cfg Config) (http.Handler, error) {
	if cfg.Images == nil || cfg.Auth == nil {
		return nil, errors.New("api: Images and Auth must be set")
	}
	cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")
	if u, err := url.Parse(cfg.PublicURL); err != nil || cfg.PublicURL != "" && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		return nil, errors.New("api: the public endpoint must be an http or https URL, without a user, ? and #")
	}
	cfg.StallTimeout = cmp.Or(cfg.StallTimeout, time.Minute)
	cfg.Limits.JSONBody = cmp.Or(cfg.Limits.JSONBody, 1<<20)
	cfg.Limits.PageSize = cmp.Or(cfg.Limits.PageSize, fewRecords)
	cfg.Limits.MaxPage = cmp.Or(cfg.Limits.MaxPage, 1000)
	cfg.Limits.RequestID = cmp.Or(cfg.Limits.RequestID, 64)

	s := &server{cfg: cfg, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), publicReads: auth.AnonymousReads(cfg.Auth),
		bodies: newBudget(documentMemory), answers: newBudget(documentMemory),
		loading: make(chan struct{}, maxLoading), loadingFew: make(chan struct{}, 1)}
	s.documents = wire.Options{MultiStore: len(cfg.Stores) > 1, DirectURL: cfg.ShowDirectURL, Locations: cfg.ShowLocations}
	if s.documents.MultiStore {
		ids := make([]string, len(cfg.Stores))
		for i, store := range cfg.Stores {
			ids[i] = store.ID
		}
		s.storeIDs = strings.Join(ids, ",")
	}
	if c, ok := cfg.Auth.(auth.Challenger); ok {
		s.challenge = c.Challenge()
	}
	if err := cfg.CORS.Check(); err != nil {
		return nil, fmt.Errorf("api: CORS: %w", err)
	}
	if err := cfg.Rates.Check(); err != nil {
		return nil, fmt.Errorf("api: rates: %w", err)
	}
	s.cors, s.rates, s.authKind = newCORS(cfg.CORS), newRates(cfg.Rates), auth.Kind(cfg.Auth)
	switch s.authKind {
	case auth.KindNone:
		if s.cors != nil {
			return nil, errors.New("api: web pages of other sites need authentication")
		}
		s.gate = newGate(cfg.AllowedHosts, cfg.PublicURL)
	case auth.KindBasic, auth.KindTrusted:
		s.gate = &gate{authenticated: true, cors: s.cors, proxies: cfg.Proxies}
	}
	s.schemas = schemas(s.documents.MultiStore, cfg.Formats)
	s.router = newRouter(s, slices.Concat(routes, metadefRoutes, cacheRoutes))
	return s, nil
}
