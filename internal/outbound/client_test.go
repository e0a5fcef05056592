package outbound

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// secretPath is where the tests keep what a log must not show.
const secretPath = "/signed?token=5ecret"

func TestOpenGivesTheBytesAsTheyAre(t *testing.T) {
	gzipped := "\x1f\x8b not unpacked"
	address := serve(t, "", func(w http.ResponseWriter, r *http.Request) {
		for name, want := range map[string]string{"Accept-Encoding": "identity", "Referer": "", "Cookie": "", "User-Agent": "vitrine"} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("the request has %s: %q, want %q", name, got, want)
			}
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Etag", `"1"`)
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, gzipped)
	})
	c := newClient(t, Config{Policy: loopback(t)})
	for path, size := range map[string]int64{"/plain": int64(len(gzipped)), "/chunked": -1} {
		resp, err := c.Open(t.Context(), Request{URL: address + path})
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(resp.Body)
		if string(data) != gzipped || err != nil || resp.Size != size || resp.Header.Get("Etag") != `"1"` {
			t.Errorf("%s: %q, %v, size %d, %v", path, data, err, resp.Size, resp.Header)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAnswersThatAreNoData(t *testing.T) {
	address := serve(t, "", func(w http.ResponseWriter, r *http.Request) {
		var status int
		fmt.Sscan(r.URL.Path[1:], &status)
		w.WriteHeader(status)
	})
	c := newClient(t, Config{Policy: loopback(t)})
	for _, status := range []int{201, 204, 206, 300, 304, 401, 403, 404, 500, 503} {
		_, err := c.Open(t.Context(), Request{URL: fmt.Sprintf("%s/%d", address, status)})
		failure, found := errors.AsType[*Error](err)
		if !found || failure.Kind != ErrFetch || failure.Status != status || !strings.Contains(failure.Text, fmt.Sprint(status)) {
			t.Errorf("%d: %#v", status, err)
		}
	}
}

// TestFailuresReadAlike: no text tells a closed port from a forbidden address or a name that is not there.
func TestFailuresReadAlike(t *testing.T) {
	var logged strings.Builder
	p, _ := newPolicy(t, PolicyConfig{AllowedPorts: []int{}, AllowNetworks: []string{"127.0.0.1"}}, map[string][]string{
		"link.test.": {"169.254.169.254"}, "mixed.test.": {"127.0.0.1,127.0.0.2"},
	})
	c := newClient(t, Config{Policy: p, Logger: logTo(&logged)})
	closed := httptest.NewServer(nil)
	closed.Close()
	noHTTP := serve(t, "", func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(conn, "220 mail.example ESMTP\r\n")
		conn.Close()
	})
	texts := map[string]bool{}
	for _, rawURL := range []string{
		closed.URL + secretPath, "http://unknown.test/", "http://link.test/", "http://mixed.test/", "http://169.254.169.254/",
		noHTTP + secretPath, strings.Replace(noHTTP, "http:", "https:", 1),
	} {
		_, err := c.Open(t.Context(), Request{URL: rawURL})
		if kindOf(t, err) != ErrFetch {
			t.Errorf("%s: %v is of another kind", rawURL, err)
		}
		texts[err.Error()] = true
	}
	if len(texts) != 1 {
		t.Errorf("the texts tell what there is: %v", texts)
	}
	for _, want := range []string{"connection refused", "no such host", "169.254.169.254 (link-local)", "127.0.0.2 (loopback)", "malformed HTTP", "host=mixed.test"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("the log does not say %q: %s", want, &logged)
		}
	}
	if strings.Contains(logged.String(), "5ecret") {
		t.Errorf("the log shows the query: %s", &logged)
	}
}

func TestCheckLogsARefusal(t *testing.T) {
	var logged strings.Builder
	p, _ := newPolicy(t, PolicyConfig{}, map[string][]string{"inner.test.": {"127.0.0.1"}})
	c := newClient(t, Config{Policy: p, Logger: logTo(&logged)})
	if err := c.Check(t.Context(), "http://inner.test"+secretPath); kindOf(t, err) != image.ErrInvalid {
		t.Errorf("Check = %v", err)
	}
	if text := logged.String(); !strings.Contains(text, "127.0.0.1 (loopback)") || strings.Contains(text, "5ecret") {
		t.Errorf("logged %q", text)
	}
	if err := c.Check(t.Context(), "http://unknown.test/"); err != nil {
		t.Errorf("Check of a name without an address = %v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	address := serve(t, "one.test", jumps)
	c := newClient(t, Config{Policy: loopback(t)})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if data, err := fetched(t, c, address+"/302/3"); data != "data" || err != nil {
				t.Errorf("got %q, %v", data, err)
			}
		})
	}
	all.Wait()
}

func TestNewRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := loopback(t)
	for _, cfg := range []Config{
		{},
		{Policy: p, StallTimeout: -1},
		{Policy: p, CAFile: empty},
		{Policy: p, CAFile: empty + ".missing"},
		{Policy: p, Proxy: "proxy.example:3128"},
		{Policy: p, Proxy: "socks5://proxy.example"},
		{Policy: p, Proxy: "http://user:5ecret@/"},
		{Policy: p, Proxy: "http://user:5ecret@proxy.example/path"},
		{Policy: p, Proxy: "http://user:5ecret@proxy.example:\x00"},
	} {
		_, err := New(cfg)
		if err == nil || strings.Contains(err.Error(), "5ecret") {
			t.Errorf("New(%+v) = %v, want an error without the password", cfg, err)
		}
	}
}

func TestRoundTripFiltersEveryRequest(t *testing.T) {
	address := serve(t, "", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		fmt.Fprintf(w, "%s %s %s", r.Method, body, r.Host)
	})
	c := newClient(t, Config{Policy: loopback(t)})
	hook := http.Client{Transport: c}
	resp, err := hook.Post(named(t, address, "ONE.test."), "text/plain", strings.NewReader("event"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if want := "POST event one.test:"; !strings.HasPrefix(string(data), want) || err != nil {
		t.Errorf("got %q, %v, want %q and the port", data, err, want)
	}
	body := &closing{Reader: strings.NewReader("event")}
	if _, err := hook.Post("http://[::1]/", "text/plain", body); !errors.Is(err, image.ErrInvalid) {
		t.Errorf("a forbidden address: %v", err)
	}
	if _, err := hook.Post("http://2130706433/", "text/plain", body); !errors.Is(err, image.ErrInvalid) || body.closed != 2 {
		t.Errorf("a forbidden spelling: %v, the body was closed %d times, want 2 (once by each)", err, body.closed)
	}
	if _, err := hook.Get(address + "/?to=" + url.QueryEscape("http://[::1]/")); !errors.Is(err, image.ErrInvalid) {
		t.Errorf("a redirect to a forbidden address: %v", err)
	}
}

type closing struct {
	io.Reader
	closed int
}

func (c *closing) Close() error {
	c.closed++
	return nil
}
