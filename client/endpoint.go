package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/internal/loopback"
)

// version matches what catalogs of services often have at the end of an address.
var version = regexp.MustCompile(`/v2(\.[0-9]+)?$`)

// parseEndpoint returns the base of all URLs, and the path of the socket if the endpoint is one.
func parseEndpoint(endpoint string) (base *url.URL, socket string, err error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, "", fmt.Errorf("endpoint %q is not a URL: give http://host:port, https://host or unix:///path", endpoint)
	}
	switch {
	case u.User != nil:
		return nil, "", fmt.Errorf("endpoint %s: a user name and password do not belong into the address", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return nil, "", fmt.Errorf("endpoint %s: an address has no ? and no #", endpoint)
	case u.Scheme == "unix" && u.Host == "" && path.IsAbs(u.Path):
		return &url.URL{Scheme: "http", Host: "localhost"}, u.Path, nil
	case (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "":
		raw := strings.TrimRight(version.ReplaceAllString(strings.TrimRight(u.EscapedPath(), "/"), ""), "/")
		base = &url.URL{Scheme: u.Scheme, Host: u.Host, RawPath: raw}
		base.Path, err = url.PathUnescape(raw)
		return base, "", err
	}
	return nil, "", fmt.Errorf("endpoint %q: give http://host:port, https://host or unix:///path", endpoint)
}

// newTransport returns a transport of its own, so that Close closes nobody else's connections. Requests go to the unix
// socket unless it is "".
func newTransport(socket string, config *tls.Config) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second, Control: loopback.Unpaced}
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   16,
		DisableCompression:    true, // image data are sent as they are, and their length counts
		ReadBufferSize:        64 << 10,
		WriteBufferSize:       64 << 10,
	}
	if socket != "" {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	return t
}
