package outbound

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

func TestLists(t *testing.T) {
	names := map[string][]string{
		"a.example.": {"93.184.216.34"}, "example.": {"93.184.216.34"}, "b.a.example.": {"93.184.216.34"},
		"metadata.goog.": {"93.184.216.34"},
	}
	for _, tt := range []struct {
		what          string
		cfg           PolicyConfig
		allow, refuse []string
	}{
		{"the defaults", PolicyConfig{},
			[]string{"http://a.example", "https://a.example", "http://a.example:443", "https://a.example:80", "http://unknown.example"},
			[]string{"http://a.example:8080", "http://a.example:22", "http://metadata.goog", "http://metadata"}},
		{"allowed ports", PolicyConfig{AllowedPorts: []int{8080}, DisallowedPorts: []int{8080}},
			[]string{"http://a.example:8080"}, []string{"http://a.example", "https://a.example", "http://a.example:80"}},
		{"disallowed ports", PolicyConfig{AllowedPorts: []int{}, DisallowedPorts: []int{22, 80}},
			[]string{"http://a.example:8080", "https://a.example"}, []string{"http://a.example", "http://a.example:22"}},
		{"allowed schemes", PolicyConfig{AllowedSchemes: []string{"HTTPS"}, DisallowedSchemes: []string{"https"}},
			[]string{"https://a.example"}, []string{"http://a.example"}},
		{"disallowed schemes", PolicyConfig{AllowedSchemes: []string{}, DisallowedSchemes: []string{"HTTP", "file"}},
			[]string{"https://a.example"}, []string{"http://a.example", "file:///etc/passwd", "ftp://a.example"}},
		{"allowed hosts", PolicyConfig{AllowedHosts: []string{"A.example.", "*.a.example", "93.184.216.34"}, DisallowedHosts: []string{"a.example"}},
			[]string{"http://a.example", "http://A.EXAMPLE.", "http://b.a.example", "http://93.184.216.34"},
			[]string{"http://example", "http://ba.example", "http://93.184.216.35", "http://b.example"}},
		{"allowed hosts open no addresses", PolicyConfig{AllowedHosts: []string{"127.0.0.1", "::1", "localhost", "metadata.goog"}},
			[]string{"http://metadata.goog"}, []string{"http://127.0.0.1", "http://[::1]", "http://localhost"}},
		{"disallowed hosts", PolicyConfig{DisallowedHosts: []string{"a.example", "*.A.example", "2606:4700::1", "[2606:4700::2]"}},
			[]string{"http://example", "http://[2606:4700::3]"},
			[]string{"http://a.example", "http://b.a.example", "http://A.example./", "http://[2606:4700::1]", "http://[2606:4700:0::2]"}},
		{"disallowed addresses behind names", PolicyConfig{DisallowedHosts: []string{"93.184.216.34"}},
			[]string{"http://8.8.8.8"}, []string{"http://a.example"}},
		{"disallowed addresses where hosts are allowed", PolicyConfig{AllowedHosts: []string{"a.example"}, DisallowedHosts: []string{"93.184.216.34"}},
			[]string{"http://a.example"}, nil},
		{"inner networks allowed", PolicyConfig{AllowNetworks: []string{"127.0.0.1", "::1"}},
			[]string{"http://127.0.0.1", "http://[::1]", "http://localhost", "http://any.localhost"}, []string{"http://127.0.0.2"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			p, _ := newPolicy(t, tt.cfg, names)
			for _, url := range tt.allow {
				if err := p.Check(t.Context(), url); err != nil {
					t.Errorf("Check(%s) = %v, want nil", url, err)
				}
			}
			for _, url := range tt.refuse {
				if err := p.Check(t.Context(), url); !errors.Is(err, image.ErrInvalid) {
					t.Errorf("Check(%s) = %v, want a refusal", url, err)
				}
			}
		})
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	p, _ := newPolicy(t, PolicyConfig{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Check(ctx, "http://unknown.example/"); !errors.Is(err, context.Canceled) {
		t.Errorf("Check = %v, want the context's error", err)
	}
}

func TestRefusalsReadAlike(t *testing.T) {
	p, _ := newPolicy(t, PolicyConfig{DisallowedHosts: []string{"a.example"}}, map[string][]string{
		"inner.example.": {"127.0.0.1"}, "link.example.": {"169.254.169.254"},
	})
	texts := map[string]bool{}
	for _, url := range []string{"http://a.example", "http://inner.example", "http://link.example", "http://127.0.0.1"} {
		texts[p.Check(t.Context(), url).Error()] = true
	}
	if len(texts) != 1 {
		t.Errorf("the texts tell what is behind a name: %v", texts)
	}
}

func TestNewPolicyRefuses(t *testing.T) {
	for _, cfg := range []PolicyConfig{
		{AllowedSchemes: []string{"ftp"}},
		{AllowedPorts: []int{0}},
		{DisallowedPorts: []int{65536}},
		{AllowedHosts: []string{""}},
		{AllowedHosts: []string{"*"}},
		{AllowedHosts: []string{"*.10.0.0.1"}},
		{DisallowedHosts: []string{"127.1"}},
		{DisallowedHosts: []string{"b\u00fccher.example"}},
		{DisallowedHosts: []string{"http://a.example"}},
		{AllowNetworks: []string{"10.0.0.1/8"}},
		{AllowNetworks: []string{"10.0.0"}},
		{DenyNetworks: []string{"::ffff:10.0.0.0/104"}},
		{DenyNetworks: []string{"fe80::1%eth0"}},
		{ConnectTimeout: -time.Second},
	} {
		if _, err := NewPolicy(cfg); err == nil {
			t.Errorf("NewPolicy(%+v) accepts it", cfg)
		}
	}
}
