package outbound

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// records is a Resolver that knows some names, written as the addresses that each lookup in turn answers; the last
// answer stays. It counts the lookups.
type records struct {
	mu      sync.Mutex
	answers map[string][]string // "host." to lists with commas
	asked   int
}

func (r *records) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	answers := r.answers[host]
	if len(answers) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(answers) > 1 {
		r.answers[host] = answers[1:]
	}
	var addrs []netip.Addr
	for text := range strings.SplitSeq(answers[0], ",") {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs, ctx.Err()
}

// newPolicy makes a policy whose names are those of answers.
func newPolicy(t testing.TB, cfg PolicyConfig, answers map[string][]string) (*Policy, *records) {
	t.Helper()
	r := &records{answers: answers}
	cfg.Resolver = r
	p, err := NewPolicy(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p, r
}

// loopback is a policy for tests with real servers: they are on any port of 127.0.0.1.
func loopback(t testing.TB) *Policy {
	p, _ := newPolicy(t, PolicyConfig{AllowedPorts: []int{}, AllowNetworks: []string{"127.0.0.1"}}, map[string][]string{
		"one.test.": {"127.0.0.1"}, "two.test.": {"127.0.0.1"},
	})
	return p
}

func newClient(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// dials records every address that a policy connects to.
type dials struct {
	mu sync.Mutex
	to []netip.AddrPort
}

// watch makes the policy tell d of every connection, which connect then makes; nil refuses it as a closed port does.
func (d *dials) watch(p *Policy, connect func(ctx context.Context, to netip.AddrPort) (net.Conn, error)) {
	p.connect = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		d.mu.Lock()
		d.to = append(d.to, to)
		d.mu.Unlock()
		if connect == nil {
			return nil, errors.New("connection refused")
		}
		return connect(ctx, to)
	}
}

func (d *dials) all() []netip.AddrPort {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.to
}

// serve runs a real server and returns its URL with the host replaced by the name, when that is not "".
func serve(t testing.TB, name string, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return named(t, s.URL, name)
}

func named(t testing.TB, address, name string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if name != "" {
		u.Host = net.JoinHostPort(name, u.Port())
	}
	return u.String()
}

// kindOf returns the kind of an *Error.
func kindOf(t testing.TB, err error) error {
	t.Helper()
	failure, found := errors.AsType[*Error](err)
	if !found {
		t.Fatalf("the error is %v (%T), want an *Error", err, err)
	}
	return failure.Kind
}

func logTo(w *strings.Builder) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
