package outbound

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestTheEnvironmentsProxyIsNotUsed(t *testing.T) {
	proxy := serve(t, "", func(w http.ResponseWriter, r *http.Request) { t.Errorf("the proxy was asked for %s", r.URL) })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, proxy)
	}
	address := serve(t, "one.test", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "direct") })
	if data, err := fetched(t, newClient(t, Config{Policy: loopback(t)}), address); data != "direct" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestProxy(t *testing.T) {
	var asked []string
	proxy := serve(t, "", func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.RequestURI)
		if r.Method == http.MethodConnect {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if user, password, _ := basicAuth(r.Header.Get("Proxy-Authorization")); user != "u" || password != "p" {
			t.Errorf("the proxy got the credentials %q, %q", user, password)
		}
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		io.WriteString(w, "proxied")
	})
	p, _ := newPolicy(t, PolicyConfig{}, map[string][]string{"good.example.": {"93.184.216.34"}, "inner.example.": {"127.0.0.1"}})
	var d dials
	d.watch(p, nil)
	c := newClient(t, Config{Policy: p, Proxy: strings.Replace(proxy, "//", "//u:p@", 1)})
	for _, rawURL := range []string{"http://good.example/a", "http://unknown.example/b", "http://good.example/?to=http://unknown.example/c"} {
		if data, err := fetched(t, c, rawURL); data != "proxied" || err != nil {
			t.Errorf("%s: %q, %v", rawURL, data, err)
		}
	}
	n := len(asked)
	for _, rawURL := range []string{"http://inner.example/", "http://127.0.0.1/", "http://metadata.google.internal/", "http://good.example:22/"} {
		if _, err := fetched(t, c, rawURL); err == nil || len(asked) > n {
			t.Errorf("%s: %v, asked %q", rawURL, err, asked[n:])
		}
	}
	if _, err := fetched(t, c, "http://good.example/?to=http://inner.example/"); err == nil || len(asked) != n+1 {
		t.Errorf("a redirect to an inner name: %v, asked %q", err, asked[n:])
	}
	if _, err := fetched(t, c, "https://good.example/"); err == nil || asked[len(asked)-1] != "CONNECT good.example:443" {
		t.Errorf("https through a proxy that refuses: %v, asked %q", err, asked)
	}
	if len(d.all()) > 0 {
		t.Errorf("dialled %v beside the proxy", d.all())
	}
	other := strings.TrimPrefix(serve(t, "", nil), "http://")
	if _, err := c.dialProxy(t.Context(), "tcp", other); err == nil {
		t.Error("dials another address than the proxy's")
	}
}

func basicAuth(header string) (user, password string, ok bool) {
	return (&http.Request{Header: http.Header{"Authorization": {header}}}).BasicAuth()
}
