package policy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/policy"
)

// serve answers every question the same way and hands the last one out.
func serve(t *testing.T, status int, answer string) (*httptest.Server, func() (*http.Request, string)) {
	t.Helper()
	var last *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server, func() (*http.Request, string) { return last, string(body) }
}

// asking returns an Enforcer whose rule copy_image is that text.
func asking(t *testing.T, rule string, cfg policy.Config) *policy.Enforcer {
	t.Helper()
	cfg.File = write(t, "copy_image: \""+rule+"\"\n")
	return open(t, cfg)
}

func TestAServerIsAsked(t *testing.T) {
	name, size := "../a b?c&d=e@host", int64(5)
	img := &image.Image{ID: "i", Name: &name, Owner: "own", Visibility: image.Shared, Protected: true, Size: &size, Tags: []string{"t"},
		Properties: map[string]string{"owner": "false", "os_distro": "debian"}}
	caller := image.Caller{UserID: "u", ProjectID: "p", Roles: []string{"reader"}, Token: "secret-token"}
	for _, asJSON := range []bool{false, true} {
		server, last := serve(t, http.StatusOK, "True")
		e := asking(t, server.URL+"/check/%(name)s?o=%(owner)s&n=%(member_id)s", policy.Config{HTTP: policy.HTTPConfig{JSON: asJSON}})
		if !e.Allows(t.Context(), caller, policy.CopyImage, policy.ForImage(img, "")) {
			t.Fatal("True does not allow")
		}
		r, body := last()
		if want := "/check/%2E%2E%2Fa%20b%3Fc%26d%3De%40host?o=own&n=None"; r.Method != http.MethodPost || r.RequestURI != want {
			t.Errorf("%s %s, want POST %s", r.Method, r.RequestURI, want)
		}
		if strings.Contains(body, "secret") || r.Header.Get("X-Auth-Token") != "" {
			t.Errorf("the server sees the token: %s", body)
		}
		var got struct {
			Rule                string
			Target, Credentials map[string]any
		}
		if asJSON {
			if err := json.Unmarshal([]byte(body), &got); err != nil || r.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%v: %s", err, body)
			}
		} else {
			form, err := url.ParseQuery(body)
			if err != nil || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
				t.Fatalf("%v: %s", err, body)
			}
			for field, to := range map[string]any{"rule": &got.Rule, "target": &got.Target, "credentials": &got.Credentials} {
				if err := json.Unmarshal([]byte(form.Get(field)), to); err != nil {
					t.Fatalf("%s: %v: %s", field, err, body)
				}
			}
		}
		if got.Rule != policy.CopyImage {
			t.Errorf("the rule is %q", got.Rule)
		}
		for field, want := range map[string]any{"owner": "own", "project_id": "own", "protected": true, "size": 5.0, "virtual_size": nil, "member": nil,
			"os_distro": "debian", "visibility": "shared", "name": name} {
			if value, ok := got.Target[field]; !ok || value != want {
				t.Errorf("target %s = %v, want %v", field, value, want)
			}
		}
		if got.Credentials["project_id"] != "p" || got.Credentials["domain_id"] != nil || len(got.Credentials["roles"].([]any)) != 1 {
			t.Errorf("credentials %v", got.Credentials)
		}
	}
}

// TestAnswers allows True alone, and nothing by a failure, negated or not.
func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		status    int
		answer    string
		want, not bool
	}{
		{200, "True", true, false},
		{200, `"True"`, true, false},
		{200, "False", false, true},
		{200, "true", false, true},
		{200, "", false, true},
		{200, "Truer", false, true},
		{200, strings.Repeat(`"`, 5000) + "True", false, true},
		{500, "True", false, false},
		{403, "True", false, false},
		{302, "True", false, false},
		{307, "True", false, false},
	} {
		server, _ := serve(t, tt.status, tt.answer)
		for rule, want := range map[string]bool{server.URL: tt.want, "not " + server.URL + "/": tt.not, server.URL + " or role:reader": true} {
			if got := allowed(t, asking(t, rule, policy.Config{}), policy.CopyImage) != ""; got != want {
				t.Errorf("%d %q: %s = %t, want %t", tt.status, tt.answer, rule, got, want)
			}
		}
	}
}

func TestAServerThatFails(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	gone, _ := serve(t, http.StatusOK, "True")
	gone.Close()
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer slow.Close()
	defer close(release)
	untrusted := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "True") }))
	defer untrusted.Close()
	untrusted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	for name, base := range map[string]string{"gone": gone.URL, "slow": slow.URL, "untrusted": untrusted.URL} {
		t.Run(name, func(t *testing.T) {
			scheme, host, _ := strings.Cut(base, "://")
			cfg := policy.Config{Logger: logger, HTTP: policy.HTTPConfig{Timeout: 200 * time.Millisecond}}
			for _, not := range []string{"", "not "} {
				log.Reset()
				e := asking(t, not+scheme+"://user:password@"+host+"/path?key=secret", cfg)
				if allowed(t, e, policy.CopyImage) != "" {
					t.Errorf("%s%s allows", not, base)
				}
				if text := log.String(); !strings.Contains(text, "gave no answer") || !strings.Contains(text, base+"/path") ||
					strings.Contains(text, "password") || strings.Contains(text, "secret") {
					t.Errorf("the log says %s", text)
				}
			}
		})
	}
	log.Reset()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := asking(t, gone.URL, policy.Config{Logger: logger})
	if e.Allows(ctx, reader, policy.CopyImage, policy.Target{}) || log.Len() > 0 {
		t.Errorf("a request that was given up: %s", &log)
	}
	if asked := asking(t, gone.URL+"/%(nothing)s", policy.Config{Logger: logger}); allowed(t, asked, policy.CopyImage) != "" || log.Len() > 0 {
		t.Errorf("a field that is not there: %s", &log)
	}
}

func TestCertificates(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "True") }))
	defer server.Close()
	ca := write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	if allowed(t, asking(t, server.URL, policy.Config{HTTP: policy.HTTPConfig{CAFile: ca}}), policy.CopyImage) == "" {
		t.Error("a server that the CA file knows is not believed")
	}
	missing := filepath.Join(t.TempDir(), "none")
	for name, cfg := range map[string]policy.HTTPConfig{
		"no CA file":         {CAFile: missing},
		"no CA":              {CAFile: write(t, "x")},
		"no certificate":     {CertFile: missing, KeyFile: missing},
		"a key is missing":   {CertFile: ca},
		"a negative timeout": {Timeout: -1},
	} {
		if _, err := policy.Open(policy.Config{HTTP: cfg}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
