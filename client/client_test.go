package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/vitrine-image/vitrine/image"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testID = image.ID("09d71d45-7b61-42ad-b59c-0234ba01befe")

const testDocument = `{"id":"09d71d45-7b61-42ad-b59c-0234ba01befe","name":"demo","status":"queued","visibility":"shared","tags":["a"],
	"created_at":"2026-11-20T18:10:26Z","updated_at":"2026-11-20T18:10:26Z"}`

// roundTrip answers requests without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func newClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// serve returns a client of a real server on this machine.
func serve(t *testing.T, h http.HandlerFunc, cfg Config) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	cfg.Endpoint = srv.URL
	return newClient(t, cfg)
}

func answer(status int, header http.Header, body string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: header, ContentLength: int64(len(body)),
		Body: io.NopCloser(strings.NewReader(body))}
}

func TestEndpoint(t *testing.T) {
	for _, tt := range []struct{ endpoint, want string }{
		{"", "http://127.0.0.1:9292/v2/images/" + string(testID)},
		{"http://host:9292", "http://host:9292/v2/images/" + string(testID)},
		{"http://host:9292/v2/", "http://host:9292/v2/images/" + string(testID)},
		{"https://host/image/v2.9", "https://host/image/v2/images/" + string(testID)},
		{"https://[::1]/a%2Fb/", "https://[::1]/a%2Fb/v2/images/" + string(testID)},
	} {
		var got string
		c := newClient(t, Config{Endpoint: tt.endpoint, HTTPClient: &http.Client{Transport: roundTrip(
			func(r *http.Request) (*http.Response, error) {
				got = r.URL.String()
				return answer(200, nil, testDocument), nil
			})}})
		if _, err := c.Get(t.Context(), testID); err != nil || got != tt.want {
			t.Errorf("endpoint %q: asked %s, want %s (%v)", tt.endpoint, got, tt.want, err)
		}
	}
	for _, endpoint := range []string{"host:9292", "ftp://host", "http://", "http://user:secret@host", "http://host?x=1", "unix://host/x", "unix:x", "\x00"} {
		if _, err := New(Config{Endpoint: endpoint}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("New with endpoint %q = %v, want an error without secrets", endpoint, err)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "OK") }))
	srv.Listener = l
	srv.Start()
	defer srv.Close()
	if err := newClient(t, Config{Endpoint: "unix://" + path}).Health(t.Context()); err != nil {
		t.Errorf("Health over a unix socket = %v", err)
	}
	if err := newClient(t, Config{Endpoint: "unix:///nowhere/api.sock"}).Health(t.Context()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("Health over a socket that is not there = %v, want ErrUnreachable", err)
	}
}

// TestRequests fixes what goes over the wire for each verb.
func TestRequests(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		name string
		call func(c *Client) error
		want string // method, path, content type, body
	}{
		{"create", func(c *Client) error {
			_, err := c.Create(ctx, testID, []image.Edit{{Op: image.EditAdd, Name: "name", Value: "é"},
				{Op: image.EditAdd, Name: "min_disk", Value: json.Number("5")}, {Op: image.EditAdd, Name: "tags", Value: []any{"a"}}})
			return err
		}, `POST /v2/images application/json {"id":"` + string(testID) + `","min_disk":5,"name":"é","tags":["a"]}`},
		{"create with nothing", func(c *Client) error { _, err := c.Create(ctx, "", nil); return err }, `POST /v2/images application/json {}`},
		{"edit", func(c *Client) error {
			_, err := c.Edit(ctx, testID, []image.Edit{{Op: image.EditReplace, Name: "name", Value: nil}, {Op: image.EditAdd, Name: "a/b~c", Value: "x"},
				{Op: image.EditRemove, Name: "gone"}})
			return err
		}, `PATCH /v2/images/` + string(testID) + ` application/openstack-images-v2.1-json-patch [{"op":"replace","path":"/name","value":null},` +
			`{"op":"add","path":"/a~1b~0c","value":"x"},{"op":"remove","path":"/gone"}]`},
		{"edit nothing", func(c *Client) error { _, err := c.Edit(ctx, testID, nil); return err },
			`PATCH /v2/images/` + string(testID) + ` application/openstack-images-v2.1-json-patch []`},
		{"delete", func(c *Client) error { return c.Delete(ctx, testID) }, `DELETE /v2/images/` + string(testID) + "  "},
		{"add tag", func(c *Client) error { return c.AddTag(ctx, testID, "a/b ä?") }, `PUT /v2/images/` + string(testID) + "/tags/a%2Fb%20%C3%A4%3F  "},
		{"remove tag", func(c *Client) error { return c.RemoveTag(ctx, testID, "..") }, `DELETE /v2/images/` + string(testID) + "/tags/%2E%2E  "},
		{"deactivate", func(c *Client) error { return c.Deactivate(ctx, testID) }, `POST /v2/images/` + string(testID) + "/actions/deactivate  "},
		{"reactivate", func(c *Client) error { return c.Reactivate(ctx, testID) }, `POST /v2/images/` + string(testID) + "/actions/reactivate  "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got string
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got = r.Method + " " + r.RequestURI + " " + r.Header.Get("Content-Type") + " " + string(body)
				if r.Header.Get("X-Auth-Token") != "secret" || r.Header.Get("User-Agent") != "test" {
					t.Errorf("headers %v", r.Header)
				}
				io.WriteString(w, testDocument)
			}, Config{Token: "secret", UserAgent: "test"})
			if err := tt.call(c); err != nil || got != tt.want {
				t.Errorf("sent %s\nwant %s (%v)", got, tt.want, err)
			}
		})
	}
}

// TestUnsendable are mistakes of the caller, of which the server hears nothing.
func TestUnsendable(t *testing.T) {
	ctx := context.Background()
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }, Config{})
	for _, e := range []image.Edit{{Op: image.EditAdd, Name: "name", Value: "caf\xe9"}, {Op: image.EditAdd, Name: "caf\xe9", Value: "x"},
		{Op: image.EditAdd, Name: "tags", Value: []any{"a", "caf\xe9"}}} {
		if _, err := c.Create(ctx, "", []image.Edit{e}); !errors.Is(err, image.ErrInvalid) {
			t.Errorf("create %+v: %v", e, err)
		}
		if _, err := c.Edit(ctx, testID, []image.Edit{e}); !errors.Is(err, image.ErrInvalid) {
			t.Errorf("edit %+v: %v", e, err)
		}
	}
	if err := c.Upload(ctx, testID, Upload{Body: strings.NewReader("x"), Size: 1, Store: "a\nb"}); !errors.Is(err, image.ErrInvalid) {
		t.Errorf("upload to a store with a newline: %v", err)
	}
	c = serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }, Config{Token: "secret\n"})
	if _, err := c.Get(ctx, testID); !errors.Is(err, image.ErrInvalid) || strings.Contains(err.Error(), "secret") {
		t.Errorf("token with a newline: %v", err)
	}
}

func TestAnswersThatAreNoImageAPI(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/login" {
				t.Error("the client followed a redirect, with its token")
			}
			http.Redirect(w, r, "/login", http.StatusFound)
		},
		"a page":        func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>hello") },
		"other JSON":    func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"id":7}`) },
		"without an id": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{}`) },
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, h, Config{})
			if img, err := c.Get(t.Context(), testID); err == nil {
				t.Errorf("Get = %v, want an error", img)
			}
			if versions, err := c.Versions(t.Context()); err == nil {
				t.Errorf("Versions = %v, want an error", versions)
			}
		})
	}
}

// endless never ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) { e.read += len(p); return len(p), nil }

func TestEndlessAnswer(t *testing.T) {
	body := &endless{}
	c := newClient(t, Config{HTTPClient: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(body)}, nil
	})}})
	c.limit = 1 << 20
	if img, err := c.Get(t.Context(), testID); err == nil || body.read > 2<<20 {
		t.Errorf("Get = %v, %v after %d bytes", img, err, body.read)
	}
}

func TestStores(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"stores":[{"id":"fast","default":"true"},{"id":"web","description":"elsewhere","read-only":"true"}]}`)
	}, Config{})
	stores, err := c.Stores(t.Context())
	if err != nil || len(stores) != 2 || stores[0] != (Store{ID: "fast", Default: true}) ||
		stores[1] != (Store{ID: "web", Description: "elsewhere", ReadOnly: true}) {
		t.Errorf("Stores = %+v, %v", stores, err)
	}
	c = serve(t, http.NotFound, Config{})
	if stores, err := c.Stores(t.Context()); err != nil || stores != nil {
		t.Errorf("Stores of a server with one store = %+v, %v, want none", stores, err)
	}
}
