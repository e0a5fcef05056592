package outbound

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/vitrine-image/vitrine/internal/watchfile"
)

// maxHeader is the size of the largest header that an answer may have.
const maxHeader = 64 << 10

// A Config says how to fetch.
type Config struct {
	Policy *Policy // required

	MaxRedirects  int           // 0: 5; less: none is followed
	HeaderTimeout time.Duration // from the request to the answer's header; 0: a minute
	StallTimeout  time.Duration // for the next bytes of a body; 0: a minute
	TotalTimeout  time.Duration // for all of Open and the reading of its body; 0: 24 hours

	// CAFile holds certificates in PEM that are trusted beside those of the system; "" for none. A changed file takes
	// effect without a restart.
	CAFile string

	// Proxy is an http:// or https:// URL, perhaps with user:password@, of the proxy that makes the connections; ""
	// connects directly. The environment (HTTP_PROXY ...) is not asked. The proxy looks names up by itself, so it must
	// refuse inner addresses: here only those can be judged that the name has for this machine.
	Proxy string

	Logger *slog.Logger // nil discards; why a URL was refused or not fetched is found here alone
}

// A Client fetches what a Policy allows. It is safe for concurrent use.
type Client struct {
	policy    *Policy
	redirects int
	header    time.Duration
	stall     time.Duration
	total     time.Duration
	proxy     *url.URL                         // nil: none
	roots     *watchfile.Value[*x509.CertPool] // nil: the system's
	log       *slog.Logger

	mu     sync.Mutex
	sender *http.Transport
	pool   *x509.CertPool // of sender
}

// New checks the settings and reads the CA file. Close the client when it is no longer used.
func New(cfg Config) (*Client, error) {
	if cfg.Policy == nil {
		return nil, errors.New("outbound: there is no policy")
	}
	if min(cfg.HeaderTimeout, cfg.StallTimeout, cfg.TotalTimeout) < 0 {
		return nil, errors.New("outbound: a timeout is negative")
	}
	c := &Client{
		policy:    cfg.Policy,
		redirects: max(cmp.Or(cfg.MaxRedirects, 5), 0),
		header:    cmp.Or(cfg.HeaderTimeout, time.Minute),
		stall:     cmp.Or(cfg.StallTimeout, time.Minute),
		total:     cmp.Or(cfg.TotalTimeout, 24*time.Hour),
		log:       cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
	}
	if cfg.CAFile != "" {
		roots, err := watchfile.Open(cfg.Logger, parseRoots, cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("outbound: CA file: %w", err)
		}
		c.roots = roots
	}
	if cfg.Proxy != "" {
		proxy, err := parseProxy(cfg.Proxy)
		if err != nil {
			return nil, fmt.Errorf("outbound: %w", err)
		}
		c.proxy = proxy
	}
	return c, nil
}

// Close closes connections that wait for another request. Those in use go on.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sender != nil {
		c.sender.CloseIdleConnections()
	}
}

// Check judges a URL as Policy.Check does, and logs a refusal.
func (c *Client) Check(ctx context.Context, rawURL string) error {
	err := c.policy.Check(ctx, rawURL)
	if refusal, found := errors.AsType[*Error](err); found {
		c.log.InfoContext(ctx, "outgoing request refused", "error", refusal)
	}
	return err
}

// RoundTrip sends a request of the service's own making to a URL that the policy accepts, and returns the answer whatever
// its status. It makes a Client the Transport of an http.Client: every redirect passes here. But which headers a redirect
// takes along is then that client's choice, so one that sends secrets should follow none (http.ErrUseLastResponse). Of
// the limits of Open, those for connecting and for the header hold; time and size are the caller's business. Errors: *Error of the kind
// image.ErrInvalid when the URL or its address is refused, those of net/http.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	t, err := c.policy.accept(req.URL.String())
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	sent := req.WithContext(req.Context())
	if sent.Host == sent.URL.Host {
		sent.Host = ""
	}
	sent.URL = t.url
	return c.send(t, sent)
}

// send makes the request to a target that was accepted.
func (c *Client) send(t *target, req *http.Request) (*http.Response, error) {
	if c.proxy != nil {
		if err := c.policy.checkAddresses(req.Context(), t); err != nil {
			if req.Body != nil {
				req.Body.Close()
			}
			return nil, err
		}
	}
	return c.transport().RoundTrip(req)
}

// transport returns the transport for the roots as they are now.
func (c *Client) transport() *http.Transport {
	var pool *x509.CertPool
	if c.roots != nil {
		pool = c.roots.Get()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sender == nil || c.pool != pool {
		if c.sender != nil {
			c.sender.CloseIdleConnections()
		}
		c.sender, c.pool = c.newTransport(pool), pool
	}
	return c.sender
}

func (c *Client) newTransport(roots *x509.CertPool) *http.Transport {
	t := &http.Transport{
		DialContext:            c.policy.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    c.policy.timeout,
		ResponseHeaderTimeout:  c.header,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        time.Minute,
		MaxIdleConns:           16,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,     // the bytes are wanted as they are stored
		ReadBufferSize:         64 << 10, // fewer reads of large images
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true) // one transfer fills a connection; HTTP/2 would only slow it down
	if c.proxy != nil {
		t.Proxy = http.ProxyURL(c.proxy)
		t.DialContext = c.dialProxy
	}
	return t
}

// dialProxy connects to the proxy, which the operator chose, wherever it is.
func (c *Client) dialProxy(ctx context.Context, network, address string) (net.Conn, error) {
	want := c.proxy.Host
	if c.proxy.Port() == "" {
		want = net.JoinHostPort(c.proxy.Hostname(), fmt.Sprint(ports[c.proxy.Scheme]))
	}
	if address != want {
		return nil, fmt.Errorf("outbound: a connection to %s that is not to the proxy", address)
	}
	d := net.Dialer{Timeout: c.policy.timeout}
	return d.DialContext(ctx, network, address)
}

// parseProxy reads the URL of a proxy; its errors do not show the password in it.
func parseProxy(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("the proxy's URL is malformed")
	}
	if _, known := ports[u.Scheme]; !known || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return nil, fmt.Errorf("the proxy %s is no URL such as http://proxy.example.org:3128", u.Redacted())
	}
	return u, nil
}

// parseRoots adds certificates to the system's.
func parseRoots(contents [][]byte) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(contents[0]) {
		return nil, errors.New("holds no certificate in PEM")
	}
	return pool, nil
}
