package client

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// DefaultEndpoint is where a daemon listens that nobody configured.
const DefaultEndpoint = "http://127.0.0.1:9292"

// Config says how to reach a server. The zero value reaches a daemon on this machine.
type Config struct {
	// Endpoint is the address of the API: http://host:port, https://host/image or unix:///run/vitrine/api.sock. A version
	// at its end (/v2, /v2.9) is accepted and ignored. "" is DefaultEndpoint.
	Endpoint string
	// Token goes into the header X-Auth-Token. Instead of it, Tokens may give tokens that expire, or User and Password log in
	// at a server of names and passwords. Without any, nothing is sent.
	Token          string
	Tokens         TokenSource
	User, Password string
	// TLS says which servers are trusted over https, and shows them client certificates; nil trusts the system's authorities.
	TLS *tls.Config
	// HTTPClient carries the requests; nil makes one with sensible timeouts. Its redirect policy and its Timeout are not
	// used, and it cannot be given for a unix socket nor beside TLS.
	HTTPClient *http.Client
	// UserAgent names the program; "" is "vitrine-client".
	UserAgent string
	// Timeout limits requests that carry no image data; 0 is one minute.
	Timeout time.Duration
	// StallTimeout is how long a transfer of image data may stand still before it counts as broken; 0 is one minute.
	StallTimeout time.Duration
	// Retries is how often a request is sent again that failed on its way and is safe to repeat; 0 is 4, below 0 is never.
	// A download goes on twice as often without receiving anything in between.
	Retries int
}

// A Client sends requests to one server. It is safe for concurrent use.
type Client struct {
	endpoint    string   // as configured
	base        *url.URL // without version; its path has no slash at the end
	http        *http.Client
	credentials credentials
	agent       string
	timeout     time.Duration
	stall       time.Duration
	retries     int
	limit       int64 // bytes of a document
}

// New checks the Config and returns a client. It sends nothing.
func New(cfg Config) (*Client, error) {
	cfg.Endpoint = cmp.Or(cfg.Endpoint, DefaultEndpoint)
	base, socket, err := parseEndpoint(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	if socket != "" && cfg.HTTPClient != nil {
		return nil, fmt.Errorf("endpoint %s: an HTTP client cannot be given for a unix socket", cfg.Endpoint)
	}
	if cfg.TLS != nil && cfg.HTTPClient != nil {
		return nil, errors.New("an HTTP client brings its own TLS")
	}
	who := credentials{token: cfg.Token, tokens: cfg.Tokens, user: cfg.User, password: cfg.Password}
	if err := who.check(); err != nil {
		return nil, err
	}
	c := &Client{endpoint: cfg.Endpoint, base: base, credentials: who, agent: cmp.Or(cfg.UserAgent, "vitrine-client"),
		timeout: cmp.Or(cfg.Timeout, time.Minute), stall: cmp.Or(cfg.StallTimeout, time.Minute),
		retries: max(cmp.Or(cfg.Retries, 4), 0), limit: maxDocument}
	c.http = &http.Client{Transport: newTransport(socket, cfg.TLS)}
	if cfg.HTTPClient != nil {
		c.http = &http.Client{Transport: cfg.HTTPClient.Transport, Jar: cfg.HTTPClient.Jar}
	}
	// The API does not redirect, and a redirect would carry the token to another server.
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// Close closes idle connections. Requests under way go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Endpoint returns the address of the server, for messages.
func (c *Client) Endpoint() string { return c.endpoint }
