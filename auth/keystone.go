package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"golang.org/x/sync/singleflight"

	"github.com/vitrine-image/vitrine/image"
)

// KeystoneConfig says where Keystone is and how its answers are kept. Zero values stand for the defaults.
type KeystoneConfig struct {
	// Login holds the service's own credentials, with which it validates the tokens of others; IdentityEndpoint is
	// Keystone's URL, with or without /v3. ServiceUser.Login and CloudLogin make it.
	Login     gophercloud.AuthOptions
	TLS       *tls.Config   // for https; nil trusts the system's authorities
	PublicURL string        // of Keystone, where clients are sent who have no token; "" is that of Login
	Timeout   time.Duration // of a validation, 10 s by default

	// CacheTime is how long a validated token is taken as valid without asking again, 5 minutes by default: so long a
	// revoked one goes on. Negative: every request asks.
	CacheTime time.Duration
	Grace     time.Duration // how much longer while Keystone cannot be asked; never beyond the token's own end
	MaxTokens int           // how many validated tokens are kept, 20,000 by default

	ServiceRoles []string // with one of them a service may bring expired tokens of users; "service" by default
	Anonymous    bool     // requests without a token may read what is public
	Logger       *slog.Logger
}

// What Keystone would take too long to be asked about again, and how much of it is kept.
const (
	badTime   = 10 * time.Second // how long a token that Keystone refused is refused without asking
	badTokens = 20_000           // so many refused ones are kept
	retryTime = 5 * time.Second  // within the grace time, how often Keystone is asked whether it is back

	// maxToken is the longest token in bytes that Keystone is asked about: servers take no header much longer.
	maxToken = 8000
)

// serviceType is what access rules of application credentials call this API.
const serviceType = "image"

var (
	errNoCredentials = image.Errorf(image.ErrUnauthorized, "The request you have made requires authentication.")
	errBadToken      = image.Errorf(image.ErrUnauthorized, "The token is not valid, or no longer.")
	errTokenTwice    = image.Errorf(image.ErrUnauthorized, "A token was sent twice.")
	errNotByRules    = image.Errorf(image.ErrUnauthorized, "The access rules of the application credential do not allow this request.")
)

// Keystone takes the tokens that an OpenStack Keystone has issued, and validates them there. It is what
// keystonemiddleware is to a service in Python.
type Keystone struct {
	cfg    KeystoneConfig
	server *keystoneServer
	good   *recent[tokenKey, identity]
	bad    *recent[tokenKey, time.Time] // until when a token is refused without asking
	asking singleflight.Group           // by tokenKey
}

// A tokenKey stands for a token, without being one.
type tokenKey struct {
	sum     [sha256.Size]byte
	expired bool // it may have expired
}

// NewKeystone checks the configuration. It asks Keystone nothing yet, which may start later.
func NewKeystone(cfg KeystoneConfig) (*Keystone, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	cfg.CacheTime = cmp.Or(cfg.CacheTime, 5*time.Minute)
	cfg.MaxTokens = cmp.Or(cfg.MaxTokens, 20_000)
	cfg.PublicURL = cmp.Or(cfg.PublicURL, cfg.Login.IdentityEndpoint)
	if cfg.ServiceRoles == nil {
		cfg.ServiceRoles = []string{"service"}
	}
	if cfg.Grace < 0 || cfg.MaxTokens < 0 {
		return nil, errors.New("auth: the grace time and the number of tokens may not be negative")
	}
	if strings.ContainsFunc(cfg.PublicURL, func(r rune) bool { return r < ' ' || r == '"' || r == 0x7f }) {
		return nil, fmt.Errorf("auth: %q cannot stand in a header", cfg.PublicURL)
	}
	server, err := newKeystoneServer(cfg, cfg.transport())
	if err != nil {
		return nil, err
	}
	return &Keystone{cfg: cfg, server: server, good: newRecent[tokenKey, identity](cfg.MaxTokens),
		bad: newRecent[tokenKey, time.Time](badTokens)}, nil
}

// complete fills in what every way to ask Keystone needs.
func (cfg KeystoneConfig) complete() (KeystoneConfig, error) {
	cfg.Timeout = cmp.Or(cfg.Timeout, 10*time.Second)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Timeout < 0 {
		return cfg, errors.New("auth: the timeout may not be negative")
	}
	return cfg, nil
}

func (cfg KeystoneConfig) transport() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = cfg.TLS
	transport.MaxIdleConnsPerHost = connections
	return transport
}

// AnonymousReads reports whether requests without a token may read what is public.
func (k *Keystone) AnonymousReads() bool { return k.cfg.Anonymous }

// Challenge names the Keystone that issues tokens.
func (k *Keystone) Challenge() string { return `Keystone uri="` + k.cfg.PublicURL + `"` }

// Authenticate finds whose token X-Auth-Token is. X-Service-Token must be valid as well if it is there: it belongs to the
// service that asks in the user's name, whose own token may then have expired on the way.
func (k *Keystone) Authenticate(r *http.Request) (image.Caller, error) {
	token, err := tokenIn(r.Header["X-Auth-Token"])
	if err != nil {
		return image.Caller{}, err
	}
	serviceToken, err := tokenIn(r.Header["X-Service-Token"])
	if err != nil {
		return image.Caller{}, err
	}
	if token == "" {
		if k.cfg.Anonymous && serviceToken == "" {
			return image.Caller{Anonymous: true}, nil
		}
		return image.Caller{}, errNoCredentials
	}
	service := new(identity)
	if serviceToken != "" {
		if service, err = k.identify(r.Context(), serviceToken, false); err != nil {
			return image.Caller{}, err
		}
	}
	user, err := k.identify(r.Context(), token, slices.ContainsFunc(k.cfg.ServiceRoles, service.caller.HasRole))
	if err != nil {
		return image.Caller{}, err
	}
	// What a service does in a user's name needs no rule of his: he did not send it.
	if serviceToken == "" && !user.allows(r.Method, r.URL.Path) {
		return image.Caller{}, errNotByRules
	}
	caller := user.caller
	caller.ServiceRoles, caller.Token = service.caller.Roles, image.Secret(token)
	return caller, nil
}

// tokenIn returns the token of a header, "" when there is none.
func tokenIn(values []string) (string, error) {
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return strings.TrimSpace(values[0]), nil
	}
	return "", errTokenTwice
}

// identify returns whom a token belongs to, from memory or from Keystone.
func (k *Keystone) identify(ctx context.Context, token string, mayHaveExpired bool) (*identity, error) {
	if len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errBadToken
	}
	now := time.Now()
	key := tokenKey{sum: sha256.Sum256([]byte(token))}
	if who := k.good.get(key); who != nil && now.Before(who.fresh) {
		return who, nil
	}
	if mayHaveExpired {
		key.expired = true
		if who := k.good.get(key); who != nil && now.Before(who.fresh) {
			return who, nil
		}
	}
	if until := k.bad.get(key); until != nil && now.Before(*until) {
		return nil, errBadToken
	}
	// Those who ask about the same token at the same time share the answer, so none of them may call it off.
	who, err, _ := k.asking.Do(fmt.Sprint(key), func() (any, error) {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), k.cfg.Timeout)
		defer stop()
		return k.ask(ctx, token, key)
	})
	if err != nil {
		return nil, err
	}
	return who.(*identity), nil
}

// ask lets Keystone validate a token, and keeps what it says.
func (k *Keystone) ask(ctx context.Context, token string, key tokenKey) (*identity, error) {
	who, err := k.server.validate(ctx, token, key.expired)
	now := time.Now()
	switch {
	case errors.Is(err, errBadToken), err == nil && !key.expired && !now.Before(who.expires):
		k.good.drop(key)
		k.bad.put(key, new(now.Add(badTime)))
		return nil, errBadToken
	case err != nil:
		if who := k.good.get(key); who != nil && now.Before(who.grace) {
			later := *who
			later.fresh = earlier(now.Add(retryTime), who.grace)
			k.good.put(key, &later)
			return &later, nil
		}
		return nil, err
	}
	who.fresh, who.grace = now.Add(k.cfg.CacheTime), now.Add(k.cfg.CacheTime+k.cfg.Grace)
	if !key.expired {
		who.fresh, who.grace = earlier(who.fresh, who.expires), earlier(who.grace, who.expires)
	}
	if k.cfg.CacheTime > 0 {
		k.good.put(key, who)
	}
	return who, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
