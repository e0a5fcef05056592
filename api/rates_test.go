package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

func TestRequestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		callers := tokens{"a1": {ProjectID: "a", UserID: "u1"}, "a2": {ProjectID: "a", UserID: "u2"}, "b": {ProjectID: "b"},
			"none": {UserID: "u3"}, "anonymous": {Anonymous: true}}
		h := newHandler(t, newFake(), func(c *Config) { c.Auth, c.Rates = callers, Rates{Requests: 2, Burst: 3} })
		ask := func(token, peer string) (code int, retry string) {
			r := httptest.NewRequest("GET", "/v2/images", nil)
			r.Header.Set("X-Auth-Token", token)
			r.RemoteAddr = peer
			res := httptest.NewRecorder()
			h.ServeHTTP(res, r)
			return res.Code, res.Header().Get("Retry-After")
		}
		want := func(what, token, peer string, code int) {
			t.Helper()
			got, retry := ask(token, peer)
			if got != code || (retry != "") != (code == 429) {
				t.Errorf("%s: %d, Retry-After %q, want %d", what, got, retry, code)
			}
		}
		for range 3 {
			want("a burst", "a1", "10.0.0.1:1", 200)
		}
		want("beyond the burst", "a1", "10.0.0.1:1", 429)
		want("another user of the project", "a2", "10.0.0.2:1", 429)
		want("another project", "b", "10.0.0.1:1", 200)
		if res := do(h, request{"GET", "/healthcheck", nil, ""}); res.Code != 200 {
			t.Errorf("the healthcheck: %d", res.Code)
		}
		if _, retry := ask("a1", "10.0.0.1:1"); retry != "1" {
			t.Errorf("Retry-After %q, want 1", retry)
		}
		time.Sleep(time.Second)
		want("a second later", "a1", "10.0.0.1:1", 200)
		want("and once more", "a1", "10.0.0.1:1", 200)
		want("but no more", "a1", "10.0.0.1:1", 429)
		for range 3 {
			want("no project", "none", "10.0.0.1:1", 200)
			want("anonymous", "anonymous", "10.0.0.1:1", 200)
			want("anonymous by IPv6", "anonymous", "[2001:db8::1]:1", 200)
		}
		want("no project", "none", "10.0.0.2:1", 429)
		want("anonymous from another port", "anonymous", "10.0.0.1:2", 429)
		want("anonymous from another address", "anonymous", "10.0.0.2:1", 200)
		want("anonymous from the same network", "anonymous", "[2001:db8::2]:1", 429)
		want("anonymous from another network", "anonymous", "[2001:db8:0:1::1]:1", 200)
	})
}

func TestRatesForgetWhoIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(Rates{Requests: 1, Download: 1 << 20})
		busy, err := r.enter("busy")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 50 * manyAccounts {
			a, err := r.enter(fmt.Sprint(i))
			if err != nil {
				t.Fatal(err)
			}
			r.leave(a)
			if i%100 == 0 {
				time.Sleep(time.Second)
			}
		}
		if n := len(r.accounts); n > 2*manyAccounts || r.accounts["busy"] != busy {
			t.Errorf("%d accounts are remembered, want few of those that are idle, and the one in use", n)
		}
	})
}

// TestBandwidth measures transfers in a clock of its own: they take as long as all of them together may.
func TestBandwidth(t *testing.T) {
	const size = 4 << 20
	f := newFake()
	big := f.add(image.Image{Owner: "a"}, strings.Repeat("x", size))
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	callers := tokens{"a": {ProjectID: "a"}, "b": {ProjectID: "b"}}
	for _, tt := range []struct {
		name     string
		requests []string // token and method
		sendfile bool
		atLeast  time.Duration
		atMost   time.Duration
	}{
		{"one download", []string{"a GET"}, false, 3500 * time.Millisecond, 4 * time.Second},
		{"one by the kernel", []string{"a GET"}, true, 3500 * time.Millisecond, 4 * time.Second},
		{"two downloads", []string{"a GET", "a GET"}, false, 7500 * time.Millisecond, 8 * time.Second},
		{"one upload", []string{"a PUT"}, false, 1500 * time.Millisecond, 2 * time.Second},
		{"both ways", []string{"a PUT", "a GET"}, false, 3500 * time.Millisecond, 4 * time.Second},
		{"two projects", []string{"a PUT", "b PUT"}, false, 1500 * time.Millisecond, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHandler(t, f, func(c *Config) {
				c.Auth, c.Rates, c.Sendfile = callers, Rates{Download: 1 << 20, Upload: 2 << 20}, tt.sendfile
			})
			f.opened = nil
			if tt.sendfile {
				f.opened = func() (*fileReader, error) { return openFile(path) }
			}
			started, done := time.Now(), make(chan *httptest.ResponseRecorder)
			for _, what := range tt.requests {
				token, method, _ := strings.Cut(what, " ")
				id, body := big, io.Reader(http.NoBody)
				if method == "PUT" {
					id = image.NewID()
					f.add(image.Image{ID: id, Status: image.Queued, Owner: token}, "")
					body = strings.NewReader(strings.Repeat("y", size))
				}
				go func() {
					r := httptest.NewRequest(method, "/v2/images/"+string(id)+"/file", body)
					r.Header = header("X-Auth-Token", token, "Content-Type", "application/octet-stream")
					res := httptest.NewRecorder()
					h.ServeHTTP(res, r)
					done <- res
				}()
			}
			for _, what := range tt.requests {
				if res := <-done; res.Code != 200 && res.Code != 204 {
					t.Errorf("%s: %s: %d %s", tt.name, what, res.Code, res.Body)
				}
			}
			if took := time.Since(started); took < tt.atLeast || took > tt.atMost {
				t.Errorf("%s: took %s, want %s to %s", tt.name, took, tt.atLeast, tt.atMost)
			}
		})
	}
}

// TestPacedBodyIsUnwanted ends a long wait when the data is not wanted any more.
func TestPacedBodyIsUnwanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := httptest.NewRequest("PUT", "/", strings.NewReader(strings.Repeat("x", 1<<20)))
		w, r := wrap(httptest.NewRecorder(), r, time.Minute)
		limiter := bandwidth(MinBandwidth)
		limiter.ReserveN(time.Now(), limiter.Burst())
		others, stop := context.WithCancel(t.Context())
		defer stop()
		for range 100 { // of the same project
			go limiter.WaitN(others, limiter.Burst())
		}
		synctest.Wait()
		body := newPacedBody(r.Context(), w.body, limiter)
		started := time.Now()
		time.AfterFunc(time.Second, func() { body.SetReadDeadline(time.Unix(1, 0)) })
		if n, err := body.Read(make([]byte, 1<<20)); n == 0 || err != nil {
			t.Errorf("Read = %d, %v", n, err)
		}
		if took := time.Since(started); took != time.Second {
			t.Errorf("Read ended after %s, want one second", took)
		}
	})
}

// TestDocumentsAreNotPaced sends and gets long ones, which would keep the room that all share.
func TestDocumentsAreNotPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, newFake(), func(c *Config) { c.Rates = Rates{Download: MinBandwidth, Upload: MinBandwidth} })
		started, long := time.Now(), strings.Repeat("x", 60<<10)
		for range 10 {
			body := `{"a":"` + long + `"}`
			if res := do(h, request{"POST", "/v2/images", header("Content-Type", "application/json"), body}); res.Code != 201 {
				t.Fatal(res.Code, res.Body)
			}
		}
		if res := do(h, request{"GET", "/v2/images", nil, ""}); res.Body.Len() < 10*len(long) {
			t.Errorf("the list has %d bytes", res.Body.Len())
		}
		if took := time.Since(started); took != 0 {
			t.Errorf("documents took %s", took)
		}
	})
}

func TestRatesAreChecked(t *testing.T) {
	for _, bad := range []Rates{{Requests: -1}, {Burst: 3}, {Download: 1000}, {Upload: -1}} {
		if _, err := New(Config{Images: newFake().as, Auth: tokens{}, Rates: bad}); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}
