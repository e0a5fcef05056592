package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// A hostileURL is a line of testdata/hostile.txt.
type hostileURL struct{ verdict, url string }

// readHostile returns the URLs, and the records of a resolver for them.
func readHostile(t testing.TB) (urls []hostileURL, names map[string][]string) {
	t.Helper()
	names = map[string][]string{}
	for line := range strings.Lines(readFile(t, "testdata/hostile.txt")) {
		line = strings.TrimSuffix(line, "\n")
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "", "#":
		case "host":
			fields := strings.Fields(rest)
			names[fields[0]+"."] = fields[1:]
		case "form", "address", "later":
			if strings.HasPrefix(rest, `"`) {
				text, err := strconv.Unquote(rest)
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				rest = text
			}
			urls = append(urls, hostileURL{word, rest})
		default:
			t.Fatalf("hostile.txt: %q", line)
		}
	}
	return urls, names
}

// harmless judges an address apart from the code under test: of the public addresses in these tests each begins so.
func harmless(to netip.AddrPort) bool {
	if to.Port() != 80 && to.Port() != 443 {
		return false
	}
	a := to.Addr().String()
	return strings.HasPrefix(a, "93.184.216.") || strings.HasPrefix(a, "2606:4700:") || a == "10.0.0.1"
}

// A site is the world that the hostile URLs are let loose on: every connection ends at one of two real servers,
// whatever its address. The canary has the forbidden addresses, and must never be asked; the other one redirects to what
// its query says, or has data.
type site struct {
	dials
	canary         string
	public         string
	alarms, visits atomic.Int64
}

func newSite(t testing.TB) *site {
	s := &site{}
	s.canary = serveAddress(t, func(w http.ResponseWriter, r *http.Request) {
		s.alarms.Add(1)
		io.WriteString(w, "secret")
	})
	s.public = serveAddress(t, func(w http.ResponseWriter, r *http.Request) {
		s.visits.Add(1)
		if to := r.URL.Query().Get("to"); to != "" {
			w.Header()["Location"] = []string{to}
			w.WriteHeader(http.StatusFound)
			return
		}
		io.WriteString(w, "public")
	})
	return s
}

func serveAddress(t testing.TB, handler http.HandlerFunc) string {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func (s *site) connect(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	if harmless(to) {
		return d.DialContext(ctx, "tcp", s.public)
	}
	return d.DialContext(ctx, "tcp", s.canary)
}

// client returns a client whose connections go to the site, with fresh names.
func (s *site) client(t testing.TB, names map[string][]string) (*Client, *records) {
	fresh := map[string][]string{}
	for name, answers := range names {
		fresh[name] = slices.Clone(answers)
	}
	p, r := newPolicy(t, PolicyConfig{}, fresh)
	s.watch(p, s.connect)
	return newClient(t, Config{Policy: p}), r
}

// fetched opens a URL and returns what came.
func fetched(t testing.TB, c *Client, rawURL string) (string, error) {
	resp, err := c.Open(t.Context(), Request{URL: rawURL})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return string(data), err
}

// require fails the test if a forbidden address was connected to.
func (s *site) require(t testing.TB, what string) {
	t.Helper()
	for _, to := range s.all() {
		if !harmless(to) {
			t.Errorf("%s: connected to %v", what, to)
		}
	}
	if n := s.alarms.Load(); n > 0 {
		t.Fatalf("%s: the canary was asked %d times", what, n)
	}
}

func TestHostileURLs(t *testing.T) {
	urls, names := readHostile(t)
	if len(urls) < 150 {
		t.Fatalf("there are %d hostile URLs, want 150", len(urls))
	}
	s := newSite(t)
	for _, u := range urls {
		c, r := s.client(t, names)
		if _, err := c.policy.accept(u.url); (err != nil) != (u.verdict == "form") {
			t.Errorf("accept(%q) = %v, want a refusal of its form: %v", u.url, err, u.verdict == "form")
		}
		err := c.Check(t.Context(), u.url)
		switch u.verdict {
		case "form":
			if !errors.Is(err, image.ErrInvalid) || r.asked > 0 {
				t.Errorf("Check(%q) = %v after %d lookups, want a refusal before the first", u.url, err, r.asked)
			}
		case "address":
			if !errors.Is(err, image.ErrInvalid) {
				t.Errorf("Check(%q) = %v, want a refusal", u.url, err)
			}
		case "later":
			if err != nil {
				t.Errorf("Check(%q) = %v, want nil", u.url, err)
			}
		}
		// fetched without the Check too, as a task taken up again would be
		if u.verdict != "later" {
			c, _ = s.client(t, names)
		}
		if data, err := fetched(t, c, u.url); err == nil {
			t.Errorf("Open(%q) gave %q", u.url, data)
		}
		s.require(t, u.url)
	}
	if s.visits.Load() > 0 {
		t.Errorf("%d hostile URLs reached the public server", s.visits.Load())
	}
}

func TestHostileRedirects(t *testing.T) {
	urls, names := readHostile(t)
	s := newSite(t)
	for _, u := range urls {
		if u.verdict == "later" && len(names[hostOf(u.url)]) > 1 {
			continue // good at its first lookup: see TestHostileURLs
		}
		c, _ := s.client(t, names)
		before := s.visits.Load()
		data, err := fetched(t, c, "http://good.example/?to="+url.QueryEscape(u.url))
		if s.visits.Load() == before {
			t.Fatalf("the redirecting server was not asked: %v", err)
		}
		s.require(t, u.url)
		// What is no URL is a path on the same server to a Location header, and may give its data.
		if err == nil && (data != "public" || strings.Contains(u.url, "://") && u.url[0] != ':') {
			t.Errorf("a redirect to %q gave %q", u.url, data)
		}
	}
}

func hostOf(rawURL string) string {
	_, host, _ := strings.Cut(rawURL, "://")
	host, _, _ = strings.Cut(host, "/")
	return host + "."
}

// TestTheSiteWorks proves that the tests above could fail: good URLs are fetched, and the canary can be reached.
func TestTheSiteWorks(t *testing.T) {
	_, names := readHostile(t)
	s := newSite(t)
	c, _ := s.client(t, names)
	for rawURL, want := range map[string]string{
		"http://good.example/":                               "93.184.216.34:80",
		"http://good.example:443/x?to=http://93.184.216.35/": "93.184.216.35:80",
		"http://good.example?to=/other":                      "93.184.216.34:80",
		"http://good.example?to=//allowed.example/":          "93.184.216.34:80",
		"http://10.0.0.1/":                                   "10.0.0.1:80",
		"http://[2606:4700::1111]/":                          "[2606:4700::1111]:80",
	} {
		if err := c.Check(t.Context(), rawURL); err != nil {
			t.Errorf("Check(%s) = %v", rawURL, err)
		}
		data, err := fetched(t, c, rawURL)
		if data != "public" || err != nil {
			t.Errorf("Open(%s) gave %q, %v", rawURL, data, err)
		}
		if !slices.Contains(s.all(), netip.MustParseAddrPort(want)) {
			t.Errorf("Open(%s) connected to %v, want %s too", rawURL, s.all(), want)
		}
	}
	open, _ := newPolicy(t, PolicyConfig{AllowNetworks: []string{"0.0.0.0/0"}}, nil)
	s.watch(open, s.connect)
	if data, err := fetched(t, newClient(t, Config{Policy: open}), "http://127.0.0.1/"); data != "secret" || s.alarms.Load() != 1 {
		t.Errorf("an open policy got %q, %v from the canary", data, err)
	}
}
