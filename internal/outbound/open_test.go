package outbound

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// jumps redirects by the status in the path as often as its number says: /302/3, /302/2 ... /302/0 has the data.
func jumps(w http.ResponseWriter, r *http.Request) {
	var status, left int
	fmt.Sscanf(r.URL.Path, "/%d/%d", &status, &left)
	if left == 0 {
		io.WriteString(w, "data")
		return
	}
	w.Header().Set("Location", fmt.Sprintf("%d", left-1)) // relative
	w.WriteHeader(status)
	io.WriteString(w, "not the data")
}

func TestRedirectsAreFollowed(t *testing.T) {
	address := serve(t, "", jumps)
	c := newClient(t, Config{Policy: loopback(t)})
	for _, status := range []int{301, 302, 303, 307, 308} {
		if data, err := fetched(t, c, fmt.Sprintf("%s/%d/5", address, status)); data != "data" || err != nil {
			t.Errorf("five of %d: %q, %v", status, data, err)
		}
		if _, err := fetched(t, c, fmt.Sprintf("%s/%d/6", address, status)); kindOf(t, err) != ErrFetch || !strings.Contains(err.Error(), "5 times") {
			t.Errorf("six of %d: %v", status, err)
		}
	}
	one := newClient(t, Config{Policy: loopback(t), MaxRedirects: 1})
	if data, err := fetched(t, one, address+"/302/1"); data != "data" {
		t.Errorf("one redirect where one is allowed: %v", err)
	}
	none := newClient(t, Config{Policy: loopback(t), MaxRedirects: -1})
	if _, err := fetched(t, none, address+"/302/1"); err == nil {
		t.Error("a redirect where none is allowed is followed")
	}
}

func TestRedirectsThatLeadNowhere(t *testing.T) {
	var location []string
	address := serve(t, "", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			t.Errorf("followed %q to %s", location, r.URL)
		}
		w.Header()["Location"] = location
		w.WriteHeader(http.StatusFound)
	})
	c := newClient(t, Config{Policy: loopback(t)})
	for _, location = range [][]string{
		nil, {""}, {"/a", "/b"}, {"/a b"}, {"/\u00e9"}, {"\\\\one.test\\"}, {"/\\one.test"}, {"/%zz"}, {"http:/a"}, {"http:a"},
		{"///a"}, {"file:///etc/passwd"}, {"http://user@one.test/"}, {"http://[::1]/"}, {"http://2130706433/"}, {"//[::1]/"}, {":"},
	} {
		if data, err := fetched(t, c, address+"/"); err == nil || kindOf(t, err) != ErrFetch {
			t.Errorf("Location %q: %q, %v", location, data, err)
		}
	}
}

func TestRedirectFromHTTPSToHTTP(t *testing.T) {
	plain := serve(t, "", func(w http.ResponseWriter, r *http.Request) { t.Error("the plain server was asked") })
	server := httptest.NewTLSServer(http.RedirectHandler(plain, http.StatusFound))
	defer server.Close()
	c := newClient(t, Config{Policy: loopback(t)})
	c.transport().TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	if _, err := fetched(t, c, server.URL); kindOf(t, err) != ErrFetch || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf("a redirect from https to http: %v", err)
	}
}

func TestHeadersStayWithTheirServer(t *testing.T) {
	var seen []string
	record := func(name string, next func() string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			seen = append(seen, fmt.Sprintf("%s%s %q %q", name, r.URL.Path, r.Header.Get("X-Auth-Token"), r.Header.Get("Referer")))
			if to := next(); to != "" && r.URL.Path != "/end" {
				w.Header().Set("Location", to)
				w.WriteHeader(http.StatusTemporaryRedirect)
			}
		}
	}
	var one, two string
	first := serve(t, "one.test", record("one", func() string { return two }))
	one = first
	second := serve(t, "one.test", record("other port", func() string { return one + "/end" }))
	c := newClient(t, Config{Policy: loopback(t)})
	get := func(want ...string) {
		t.Helper()
		seen = nil
		header := http.Header{"X-Auth-Token": {"t"}}
		resp, err := c.Open(t.Context(), Request{URL: one + "/start", Header: header})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := strings.Join(seen, ", "); got != strings.Join(want, ", ") {
			t.Errorf("asked %s, want %s", got, want)
		}
		if len(header) != 1 {
			t.Errorf("the caller's header has become %v", header)
		}
	}
	two = one + "/end"
	get(`one/start "t" ""`, `one/end "t" ""`)
	two = named(t, one, "two.test") + "/end"
	get(`one/start "t" ""`, `one/end "" ""`)
	two = second + "/back"
	get(`one/start "t" ""`, `other port/back "" ""`, `one/end "" ""`)
}

func TestSizeLimit(t *testing.T) {
	address := serve(t, "", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, "0123456789")
	})
	c := newClient(t, Config{Policy: loopback(t)})
	for _, path := range []string{"/known", "/chunked"} {
		for limit, fits := range map[int64]bool{0: true, 1: false, 9: false, 10: true, 11: true} {
			resp, err := c.Open(t.Context(), Request{URL: address + path, MaxBytes: limit})
			var data []byte
			if err == nil {
				data, err = io.ReadAll(resp.Body)
				if _, again := resp.Body.Read(make([]byte, 1)); !fits && again != err {
					t.Errorf("another Read gives %v, want %v", again, err)
				}
				resp.Body.Close()
				if !fits && path == "/known" {
					t.Errorf("a body of %d bytes is begun with limit %d", resp.Size, limit)
				}
			}
			if fits && (string(data) != "0123456789" || err != nil) {
				t.Errorf("%s with limit %d: %q, %v", path, limit, data, err)
			}
			if !fits && (kindOf(t, err) != image.ErrTooLarge || int64(len(data)) > limit) {
				t.Errorf("%s with limit %d: %q, %v; want %v", path, limit, data, err, image.ErrTooLarge)
			}
		}
	}
}

func TestANegativeLimitIsNoLimitlessOne(t *testing.T) {
	address := serve(t, "", func(w http.ResponseWriter, r *http.Request) { t.Error("the server was asked") })
	if _, err := newClient(t, Config{Policy: loopback(t)}).Open(t.Context(), Request{URL: address, MaxBytes: -1}); err == nil {
		t.Error("a limit of -1 bytes is accepted")
	}
}

// TestBrokenTransfers: whatever a server does wrong, the data never ends as if it were whole.
func TestBrokenTransfers(t *testing.T) {
	for what, answer := range map[string]string{
		"too short":                    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234",
		"nothing of it":                "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
		"no last chunk":                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
		"a cut chunk":                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n01234",
		"a bad chunk":                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n01234\r\n0\r\n\r\n",
		"two sizes":                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n012345",
		"a bad size":                   "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n01234",
		"an end that looks like a cut": "HTTP/1.0 200 OK\r\n\r\n01234",
		"a header too large":           "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\nContent-Length: 5\r\n\r\n01234",
		"endless 100s":                 strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxHeader/10) + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n01234",
		"no header":                    "",
	} {
		t.Run(what, func(t *testing.T) {
			address := serve(t, "", func(w http.ResponseWriter, r *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				io.WriteString(conn, answer)
			})
			data, err := fetched(t, newClient(t, Config{Policy: loopback(t)}), address)
			if err == nil || !errors.Is(err, ErrFetch) {
				t.Errorf("got %q, %v", data, err)
			}
		})
	}
}
