// Package cloud logs in to an OpenStack cloud and finds its Image API: with credentials from clouds.yaml or from the
// variables OS_*, as the openstack client takes them. A Cloud is a client.TokenSource. Start reading at FromFile,
// FromEnvironment and Open.
package cloud

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
)

// Config says which cloud, and who logs in.
type Config struct {
	Login     gophercloud.AuthOptions // IdentityEndpoint is Keystone's URL, with or without /v3
	Region    string                  // "" is the first one of the catalog
	Interface string                  // public, internal or admin; "" is public
	TLS       *tls.Config             // nil trusts the system's authorities
	Timeout   time.Duration           // of a login, 1 minute by default
}

// A Cloud keeps a token, and gets another one before it expires. It is safe for concurrent use.
type Cloud struct {
	cfg       Config
	keystone  *gophercloud.ServiceClient
	transport *http.Transport

	lock    chan struct{} // holds one while the rest is in use, which may take a login
	token   string
	renew   time.Time
	catalog *tokens.ServiceCatalog
}

var _ client.TokenSource = (*Cloud)(nil)

// maxAnswer bounds an answer of Keystone in bytes; catalogs are long.
const maxAnswer = 8 << 20

// Open checks the configuration. It asks nobody anything.
func Open(cfg Config) (*Cloud, error) {
	cfg.Timeout = cmp.Or(cfg.Timeout, time.Minute)
	cfg.Interface = strings.TrimSuffix(cmp.Or(cfg.Interface, "public"), "URL") // internalURL is the older form
	switch cfg.Interface {
	case "public", "internal", "admin":
	default:
		return nil, fmt.Errorf("cloud: the interface %q is none of public, internal, admin", cfg.Interface)
	}
	u, err := url.Parse(cfg.Login.IdentityEndpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return nil, errors.New("cloud: auth_url (OS_AUTH_URL) is not Keystone's URL, such as https://keystone.example.org:5000/v3")
	}
	if path.Base(u.Path) != "v3" {
		u = u.JoinPath("v3")
	}
	c := &Cloud{cfg: cfg, lock: make(chan struct{}, 1), transport: http.DefaultTransport.(*http.Transport).Clone()}
	c.transport.TLSClientConfig = cfg.TLS
	provider := &gophercloud.ProviderClient{HTTPClient: http.Client{
		Transport: bounded{c.transport},
		// Another host must not see the password.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	c.keystone = &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: strings.TrimSuffix(u.String(), "/") + "/"}
	return c, nil
}

// Close closes idle connections to Keystone.
func (c *Cloud) Close() { c.transport.CloseIdleConnections() }

// bounded cuts off answers that are too long.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// Token logs in if need be. Errors: image.ErrUnauthorized when Keystone refuses the credentials, client.ErrUnreachable.
func (c *Cloud) Token(ctx context.Context, rejected string) (string, error) {
	select {
	case c.lock <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { <-c.lock }()
	if c.token == "" || c.token == rejected || !time.Now().Before(c.renew) {
		if err := c.login(ctx); err != nil {
			return "", err
		}
	}
	return c.token, nil
}

// Endpoint finds a service, such as image, in the catalog. Errors: those of Token, and that there is none.
func (c *Cloud) Endpoint(ctx context.Context, service string) (string, error) {
	if _, err := c.Token(ctx, ""); err != nil {
		return "", err
	}
	c.lock <- struct{}{}
	catalog := c.catalog
	<-c.lock
	for _, entry := range catalog.Entries {
		if entry.Type != service {
			continue
		}
		for _, e := range entry.Endpoints {
			if e.Interface == c.cfg.Interface && (c.cfg.Region == "" || e.Region == c.cfg.Region || e.RegionID == c.cfg.Region) {
				return e.URL, nil
			}
		}
	}
	where := "the cloud's catalog"
	if c.cfg.Region != "" {
		where += " for region " + c.cfg.Region
	}
	return "", fmt.Errorf("there is no %s endpoint of a service %s in %s", c.cfg.Interface, service, where)
}

// login gets a token; the caller holds the lock.
func (c *Cloud) login(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, c.cfg.Timeout)
	defer stop()
	asked := time.Now()
	id, said, catalog, err := c.ask(ctx)
	if err != nil {
		return c.describe(err)
	}
	if catalog == nil {
		catalog = &tokens.ServiceCatalog{} // of a token without a project
	}
	// How long it lives does not depend on whether both clocks agree.
	life := said.ExpiresAt.Sub(said.IssuedAt)
	if c.cfg.Login.TokenID != "" {
		life = time.Until(said.ExpiresAt) // it may be old
	}
	c.token, c.catalog, c.renew = id, catalog, asked.Add(life-life/10)
	return nil
}

// lifetime is when a token begins and ends.
type lifetime struct {
	IssuedAt  time.Time `json:"issued_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (c *Cloud) ask(ctx context.Context) (id string, said lifetime, catalog *tokens.ServiceCatalog, err error) {
	options := c.cfg.Login // gophercloud changes them
	var answer interface {
		ExtractInto(any) error
		ExtractServiceCatalog() (*tokens.ServiceCatalog, error)
	}
	if options.TokenID != "" && options.Scope == nil && options.TenantID == "" && options.TenantName == "" {
		id = options.TokenID // as it is
		c.keystone.SetToken(id)
		answer = tokens.Get(ctx, c.keystone, id)
	} else {
		created := tokens.Create(ctx, c.keystone, &options)
		if created.Err == nil {
			id, err = created.ExtractTokenID()
		}
		answer = created
	}
	if err == nil {
		err = answer.ExtractInto(&said)
	}
	if err == nil {
		catalog, err = answer.ExtractServiceCatalog()
	}
	if err == nil && id == "" {
		err = errors.New("the answer holds no token")
	}
	return id, said, catalog, err
}

// describe turns an error of gophercloud into one of ours, without what it quotes of question and answer.
func (c *Cloud) describe(err error) error {
	var answer gophercloud.ErrUnexpectedResponseCode
	if errors.As(err, &answer) {
		kind := image.ErrUnavailable
		switch {
		case answer.Actual == http.StatusUnauthorized, answer.Actual == http.StatusForbidden:
			return image.Errorf(image.ErrUnauthorized, "Keystone at %s refuses the credentials", c.keystone.Endpoint)
		case answer.Actual == http.StatusNotFound && c.cfg.Login.TokenID != "":
			return image.Errorf(image.ErrUnauthorized, "Keystone at %s does not know the token", c.keystone.Endpoint)
		case answer.Actual < http.StatusInternalServerError:
			kind = client.ErrUnreachable
		}
		return fmt.Errorf("%w: Keystone at %s answers %d %s", kind, c.keystone.Endpoint, answer.Actual, http.StatusText(answer.Actual))
	}
	var network *url.Error
	var dial net.Error
	if errors.As(err, &network) {
		return fmt.Errorf("%w: Keystone at %s: %w", client.ErrUnreachable, c.keystone.Endpoint, network.Err)
	}
	if errors.As(err, &dial) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: Keystone at %s: %w", client.ErrUnreachable, c.keystone.Endpoint, err)
	}
	return fmt.Errorf("log in at %s: %w", c.keystone.Endpoint, err)
}
