package signature_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/signature"
)

// barbican answers as the key manager does, which is not packaged so that it could run here: 406 unless the secret is
// stored as what is asked for. Source: Barbican's API reference, "Get Payload".
type barbican struct {
	stored  string
	payload []byte
	status  int // instead, unless 0
	asked   []string
}

func (b *barbican) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.asked = append(b.asked, r.Header.Get("Accept"))
	switch {
	case r.Method != http.MethodGet || r.URL.Path != "/key-manager/v1/secrets/"+id+"/payload":
		http.Error(w, r.URL.Path, http.StatusTeapot)
	case r.Header.Get("X-Auth-Token") != "the caller's":
		w.WriteHeader(http.StatusUnauthorized)
	case b.status != 0:
		w.Header().Set("Location", "http://127.0.0.1:1/")
		w.WriteHeader(b.status)
	case r.Header.Get("Accept") != b.stored:
		w.WriteHeader(http.StatusNotAcceptable)
	default:
		w.Write(b.payload)
	}
}

func open(t *testing.T, cfg signature.BarbicanConfig) *signature.Barbican {
	t.Helper()
	b, err := signature.NewBarbican(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBarbican(t *testing.T) {
	cert := (*authority)(nil).issue(t, "a", plain)
	for _, tt := range []struct {
		what   string
		server barbican
		want   error
	}{
		{"DER", barbican{stored: "application/octet-stream", payload: cert.cert.Raw}, nil},
		{"PEM in binary", barbican{stored: "application/octet-stream", payload: encode(cert)}, nil},
		{"DER as a certificate", barbican{stored: "application/pkix-cert", payload: cert.cert.Raw}, nil},
		{"PEM as text", barbican{stored: "text/plain", payload: encode(cert)}, nil},
		{"another secret", barbican{stored: "application/octet-stream", payload: []byte("password")}, image.ErrInvalid},
		{"a very large one", barbican{stored: "application/octet-stream", payload: make([]byte, 1<<20)}, image.ErrInvalid},
		{"stored as something else", barbican{stored: "image/png"}, image.ErrInvalid},
		{"not there", barbican{status: 404}, image.ErrInvalid},
		{"forbidden", barbican{status: 403}, image.ErrInvalid},
		{"unauthorized", barbican{status: 401}, image.ErrInvalid},
		{"broken", barbican{status: 500}, image.ErrUnavailable},
		{"a redirect", barbican{status: 302}, image.ErrUnavailable},
	} {
		server := httptest.NewServer(&tt.server)
		for _, path := range []string{"/key-manager", "/key-manager/", "/key-manager/v1", "/key-manager/v1/"} {
			b := open(t, signature.BarbicanConfig{Endpoint: server.URL + path, Transport: server.Client().Transport})
			got, err := b.Certificate(t.Context(), "the caller's", id)
			if tt.want == nil && (err != nil || !got.Equal(cert.cert)) || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.what, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "password") {
				t.Errorf("%s: the secret is shown: %v", tt.what, err)
			}
		}
		server.Close()
	}
}

// A transport in the shape of a func.
type transport func(*http.Request) (*http.Response, error)

func (fn transport) RoundTrip(r *http.Request) (*http.Response, error) { return fn(r) }

func TestBarbicanThatDoesNotAnswer(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	hangs := transport(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	b := open(t, signature.BarbicanConfig{Endpoint: "https://barbican.example", Transport: hangs, Timeout: time.Millisecond, Logger: logger})
	if _, err := b.Certificate(t.Context(), "the caller's", id); !errors.Is(err, image.ErrUnavailable) || !strings.Contains(log.String(), "barbican.example") {
		t.Errorf("no answer in time: %v, logged %s", err, &log)
	}
	cut := transport(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(io.MultiReader(strings.NewReader("half"), broken{}))}, nil
	})
	b = open(t, signature.BarbicanConfig{Endpoint: "https://barbican.example", Transport: cut, Logger: logger})
	if _, err := b.Certificate(t.Context(), "the caller's", id); !errors.Is(err, image.ErrUnavailable) {
		t.Errorf("an answer cut short: %v", err)
	}
	if _, err := b.Certificate(t.Context(), "", id); !errors.Is(err, image.ErrInvalid) || !strings.Contains(err.Error(), "token") {
		t.Errorf("no token: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	b = open(t, signature.BarbicanConfig{Endpoint: "https://barbican.example", Transport: hangs})
	if _, err := b.Certificate(ctx, "the caller's", id); !errors.Is(err, context.Canceled) {
		t.Errorf("the request was given up: %v", err)
	}
	if strings.Contains(log.String(), "the caller's") {
		t.Errorf("the token is in the log: %s", &log)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, fmt.Errorf("connection reset") }

func TestBarbicanRefusesBadSettings(t *testing.T) {
	for what, cfg := range map[string]signature.BarbicanConfig{
		"no endpoint":        {},
		"no scheme":          {Endpoint: "barbican.example.org"},
		"another scheme":     {Endpoint: "ftp://barbican.example.org"},
		"a password":         {Endpoint: "http://user:password@barbican.example.org"},
		"a negative timeout": {Endpoint: "http://barbican.example.org", Timeout: -1},
	} {
		if _, err := signature.NewBarbican(cfg); err == nil || strings.Contains(err.Error(), "password") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
