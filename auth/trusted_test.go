package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

func newTrusted(t testing.TB, cfg TrustedConfig) *Trusted {
	t.Helper()
	trusted, err := NewTrusted(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return trusted
}

// from makes a request of a peer with headers, given as name, value, name, value.
func from(peer string, headers ...string) *http.Request {
	r := &http.Request{RemoteAddr: peer, Header: http.Header{}}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

const here = "127.0.0.1:40000"

func TestTrustedSaysWhoAsks(t *testing.T) {
	got, err := newTrusted(t, TrustedConfig{}).Authenticate(from(here, "X-Identity-Status", "Confirmed", "X-User-Id", "u",
		"X-Project-Id", "p", "X-Tenant-Id", "p", "X-Roles", "member, reader,,", "X-User-Domain-Id", "ud", "X-Project-Domain-Id", "pd",
		"X-Domain-Id", "d", "X-Service-Roles", "service", "X-Service-Identity-Status", "Confirmed", "X-Auth-Token", "t"))
	want := image.Caller{UserID: "u", ProjectID: "p", Roles: []string{"member", "reader"}, UserDomainID: "ud", ProjectDomainID: "pd",
		DomainID: "d", ServiceRoles: []string{"service"}, Token: "t"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the caller is %+v, %v, want %+v", got, err, want)
	}
	got, err = newTrusted(t, TrustedConfig{}).Authenticate(from(here, "X-Identity-Status", "Confirmed", "X-User-Id", "u", "X-Tenant-Id", "p"))
	if err != nil || got.ProjectID != "p" || got.Roles != nil {
		t.Errorf("of an older proxy: %+v, %v", got, err)
	}
}

func TestTrustedRefuses(t *testing.T) {
	open := newTrusted(t, TrustedConfig{Anonymous: true})
	if caller, err := open.Authenticate(from("192.0.2.1:1")); err != nil || !caller.Anonymous || !AnonymousReads(open) {
		t.Errorf("without identity: %+v, %v", caller, err)
	}
	closed := newTrusted(t, TrustedConfig{})
	_, err := closed.Authenticate(from(here))
	wantError(t, "without identity", err, image.ErrUnauthorized)
	for name, headers := range map[string][]string{
		"no status":              {"X-User-Id", "u", "X-Project-Id", "p"},
		"an invalid status":      {"X-User-Id", "u", "X-Identity-Status", "Invalid"},
		"an invalid service":     {"X-User-Id", "u", "X-Identity-Status", "Confirmed", "X-Service-Identity-Status", "Invalid"},
		"roles alone":            {"X-Roles", "admin"},
		"service roles alone":    {"X-Service-Roles", "service"},
		"no user":                {"X-Identity-Status", "Confirmed", "X-Project-Id", "p"},
		"two users":              {"X-Identity-Status", "Confirmed", "X-User-Id", "u", "X-User-Id", "u"},
		"two lists of roles":     {"X-Identity-Status", "Confirmed", "X-User-Id", "u", "X-Roles", "member", "X-Roles", "admin"},
		"two projects":           {"X-Identity-Status", "Confirmed", "X-User-Id", "u", "X-Project-Id", "p", "X-Tenant-Id", "q"},
		"a long user":            {"X-Identity-Status", "Confirmed", "X-User-Id", strings.Repeat("u", 256)},
		"a long role":            {"X-Identity-Status", "Confirmed", "X-User-Id", "u", "X-Roles", strings.Repeat("r", 256)},
		"a long list":            {"X-Identity-Status", "Confirmed", "X-User-Id", "u", "X-Roles", strings.Repeat("r,", 5000)},
		"many roles":             {"X-Identity-Status", "Confirmed", "X-User-Id", "u", "X-Roles", strings.Repeat("r,", 101)},
		"a control character":    {"X-Identity-Status", "Confirmed", "X-User-Id", "u\tv"},
		"bytes that are no text": {"X-Identity-Status", "Confirmed", "X-Project-Id", "\xff", "X-User-Id", "u"},
	} {
		for _, a := range []*Trusted{open, closed} {
			_, err := a.Authenticate(from(here, headers...))
			wantError(t, name, err, image.ErrUnauthorized)
		}
	}
}

func TestTrustedBelievesOnlyProxies(t *testing.T) {
	chain := func(name string, dns ...string) *tls.ConnectionState {
		return &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{Subject: pkix.Name{CommonName: name}, DNSNames: dns}}}}
	}
	all, named := newTrusted(t, TrustedConfig{}), newTrusted(t, TrustedConfig{Proxies: []string{"proxy"}})
	for _, tt := range []struct {
		name  string
		a     *Trusted
		peer  string
		tls   *tls.ConnectionState
		local net.Addr
		want  error
	}{
		{"loopback", all, here, nil, nil, nil},
		{"loopback 6", all, "[::1]:1", nil, nil, nil},
		{"mapped loopback", all, "[::ffff:127.0.0.9]:1", nil, nil, nil},
		{"the network", all, "192.0.2.1:1", nil, nil, image.ErrUnauthorized},
		{"a private network", all, "10.0.0.1:1", nil, nil, image.ErrUnauthorized},
		{"a name", all, "localhost:1", nil, nil, image.ErrUnauthorized},
		{"nothing", all, "", nil, nil, image.ErrUnauthorized},
		{"what looks like a unix peer", all, "@", nil, &net.TCPAddr{}, image.ErrUnauthorized},
		{"a unix socket", all, "@", nil, &net.UnixAddr{Net: "unix", Name: "/run/x"}, nil},
		{"TLS without a certificate", all, "192.0.2.1:1", &tls.ConnectionState{}, nil, image.ErrUnauthorized},
		{"a certificate that nobody verified", all, "192.0.2.1:1", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}, nil, image.ErrUnauthorized},
		{"a certificate", all, "192.0.2.1:1", chain("anybody"), nil, nil},
		{"the proxy's certificate", named, "192.0.2.1:1", chain("proxy"), nil, nil},
		{"the proxy's other name", named, "192.0.2.1:1", chain("x", "proxy"), nil, nil},
		{"another's certificate", named, "192.0.2.1:1", chain("anybody", "b"), nil, image.ErrUnauthorized},
		{"another's certificate here", named, here, chain("anybody"), nil, image.ErrUnauthorized},
	} {
		r := from(tt.peer, "X-Identity-Status", "Confirmed", "X-User-Id", "u", "X-Forwarded-For", "127.0.0.1")
		r.TLS = tt.tls
		if tt.local != nil {
			r = r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, tt.local))
		}
		_, err := tt.a.Authenticate(r)
		wantError(t, tt.name, err, tt.want)
	}
	if _, err := NewTrusted(TrustedConfig{Proxies: []string{""}}); err == nil {
		t.Error("a proxy without a name was no error")
	}
}

// who answers with the caller's user, or 401.
func who(a Authenticator) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := a.Authenticate(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		json.NewEncoder(w).Encode(caller.UserID)
	})
}

func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Identity-Status", "Confirmed")
	r.Header.Set("X-User-Id", "u")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer client.CloseIdleConnections()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}

func TestTrustedOverAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: who(newTrusted(t, TrustedConfig{}))}}
	server.Start()
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	if got := get(t, client, "http://vitrine/"); got != `"u"` {
		t.Errorf("over a unix socket: %s", got)
	}
}

// TestTrustedOverTLS uses certificates: with Proxies named, being on this machine does not help a client with another one.
func TestTrustedOverTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := func(name string) (tls.Certificate, *x509.Certificate) {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, parsed
	}
	proxy, proxyLeaf := certificate("proxy")
	other, otherLeaf := certificate("other")
	server := httptest.NewUnstartedServer(who(newTrusted(t, TrustedConfig{Proxies: []string{"proxy"}})))
	authorities := x509.NewCertPool()
	authorities.AddCert(proxyLeaf)
	authorities.AddCert(otherLeaf)
	server.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: authorities}
	server.StartTLS()
	defer server.Close()
	for name, tt := range map[string]struct {
		certificate tls.Certificate
		want        string
	}{"proxy": {proxy, `"u"`}, "other": {other, "Headers that name a user are taken from the proxy only."}} {
		config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		config.Certificates = []tls.Certificate{tt.certificate}
		if got := get(t, &http.Client{Transport: &http.Transport{TLSClientConfig: config}}, server.URL); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestCheckTrustedListener(t *testing.T) {
	for _, tt := range []struct {
		address      string
		certificates bool
		ok           bool
	}{
		{"127.0.0.1:9292", false, true},
		{"[::1]:9292", false, true},
		{"localhost:9292", false, true},
		{"unix:/run/vitrine.sock", false, true},
		{"0.0.0.0:9292", false, false},
		{":9292", false, false},
		{"[::]:9292", false, false},
		{"10.0.0.1:9292", false, false},
		{"images.example.org:9292", false, false},
		{"127.0.0.1", false, false},
		{"0.0.0.0:9292", true, true},
	} {
		if err := CheckTrustedListener(tt.address, tt.certificates); (err == nil) != tt.ok {
			t.Errorf("%s, %t: %v", tt.address, tt.certificates, err)
		}
	}
}

func FuzzTrusted(f *testing.F) {
	f.Add("u", "p", "admin,member", "service")
	f.Add("", "\xff", ",,", "a\x00")
	trusted := &Trusted{}
	f.Fuzz(func(t *testing.T, user, project, roles, service string) {
		caller, err := trusted.Authenticate(from(here, "X-Identity-Status", "Confirmed", "X-User-Id", user, "X-Project-Id", project,
			"X-Roles", roles, "X-Service-Roles", service))
		if err != nil {
			return
		}
		all := slices.Concat(caller.Roles, caller.ServiceRoles, []string{caller.UserID})
		if len(caller.Roles) > maxTrustedRoles || caller.Anonymous || slices.ContainsFunc(all, func(s string) bool {
			return s == "" || len(s) > maxTrustedID || s != strings.TrimSpace(s) || strings.Contains(s, "\x00")
		}) {
			t.Errorf("the caller is %+v", caller)
		}
	})
}
