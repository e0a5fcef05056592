package auth

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/limits"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/registeredlimits"

	"github.com/vitrine-image/vitrine/image"
)

// limitService enters a service into the shared Keystone, with registered limits, and one of a project; it returns a login
// that may read them.
func limitService(t *testing.T, c *cloud, name string) gophercloud.AuthOptions {
	t.Helper()
	c.Register(t, "image", name, "http://127.0.0.1:1")
	service, admin := c.ServiceID(t, name), c.Admin(t)
	err := registeredlimits.BatchCreate(t.Context(), admin, registeredlimits.BatchCreateOpts{
		{ServiceID: service, ResourceName: "image_count_total", DefaultLimit: 10},
		{ServiceID: service, ResourceName: "image_size_total", DefaultLimit: 1000},
		{ServiceID: service, ResourceName: "image_size_total", DefaultLimit: 500, RegionID: "RegionOne"},
	}).Err
	if err != nil {
		t.Fatal(err)
	}
	err = limits.BatchCreate(t.Context(), admin, limits.BatchCreateOpts{
		{ServiceID: service, ProjectID: c.project, ResourceName: "image_count_total", ResourceLimit: 3},
	}).Err
	if err != nil {
		t.Fatal(err)
	}
	user := c.User(t, name, "secret", c.project, "service")
	c.AssignSystem(t, "reader", user)
	return c.Login(name, "secret", c.project)
}

func TestLimitsOfARealKeystone(t *testing.T) {
	c := newCloud(t)
	login := limitService(t, c, "limited")
	for region, want := range map[string]map[string]int64{
		"":          {"image_count_total": 3, "image_size_total": 1000},
		"RegionOne": {"image_count_total": 3, "image_size_total": 500},
	} {
		l, err := NewLimits(KeystoneConfig{Login: login}, LimitsConfig{Service: "limited", Region: region})
		if err != nil {
			t.Fatal(err)
		}
		defer l.server.client.HTTPClient.CloseIdleConnections()
		if got, err := l.Of(t.Context(), c.project); err != nil || !maps.Equal(got, want) {
			t.Errorf("the limits in region %q are %v, %v, want %v", region, got, err, want)
		}
		want["image_count_total"] = 10
		if got, err := l.Of(t.Context(), c.Project(t, "another than limited in "+region)); err != nil || !maps.Equal(got, want) {
			t.Errorf("the limits of another project in region %q are %v, %v, want %v", region, got, err, want)
		}
	}
}

// TestLimitsThatKeystoneDoesNotTell: the log says what an operator has to do.
func TestLimitsThatKeystoneDoesNotTell(t *testing.T) {
	c := newCloud(t)
	login := limitService(t, c, "twofold")
	c.Register(t, "image", "twofold", "http://127.0.0.1:1")
	c.User(t, "unlimited", "secret", c.project, "service")
	for _, tt := range []struct {
		login   gophercloud.AuthOptions
		service string
		want    string
	}{
		{c.Login("unlimited", "secret", c.project), "twofold", "needs the role reader on the system"},
		{login, "twofold", "2 services of Keystone have the name or type"},
		{login, "nothing", "0 services of Keystone have the name or type"},
	} {
		log := new(strings.Builder)
		l, err := NewLimits(KeystoneConfig{Login: tt.login, Logger: slog.New(slog.NewTextHandler(log, nil))}, LimitsConfig{Service: tt.service})
		if err != nil {
			t.Fatal(err)
		}
		defer l.server.client.HTTPClient.CloseIdleConnections()
		for range 2 {
			_, err = l.Of(t.Context(), c.project)
			wantError(t, tt.want, err, image.ErrUnavailable)
		}
		if strings.Count(log.String(), tt.want) != 1 {
			t.Errorf("the log says %s, want once %q", log, tt.want)
		}
	}
	if _, err := NewLimits(KeystoneConfig{Login: gophercloud.AuthOptions{IdentityEndpoint: "http://k", ApplicationCredentialID: "a",
		ApplicationCredentialSecret: "s"}}, LimitsConfig{}); err == nil {
		t.Error("an application credential is taken, which sees no limits")
	}
}

// limiting stands for the way to a Keystone with limits that the test chooses.
type limiting struct {
	mu       sync.Mutex
	asked    []string // paths, without logins
	limit    int      // of a project
	fail     error
	hang     bool
	unlisted bool // it has no registered limits
}

func (s *limiting) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v3/")
	status, body := http.StatusOK, ""
	switch path {
	case "auth/tokens":
		now := time.Now()
		status = http.StatusCreated
		body = fmt.Sprintf(`{"token": {"issued_at": %q, "expires_at": %q}}`, now.Format(time.RFC3339Nano), now.Add(24*time.Hour).Format(time.RFC3339Nano))
	case "services":
		body = `{"services": [{"id": "s1", "name": "vitrine", "type": "image"}]}`
	case "registered_limits":
		body = `{"registered_limits": [{"service_id": "s1", "resource_name": "r", "default_limit": 5, "region_id": null}]}`
		if s.unlisted {
			body = `{"registered_limits": []}`
		}
	case "limits":
		body = fmt.Sprintf(`{"limits": [{"project_id": %q, "resource_name": "r", "resource_limit": %d}]}`, r.URL.Query().Get("project_id"), s.limit)
	}
	if path != "auth/tokens" {
		s.asked = append(s.asked, path)
		if s.hang {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		if s.fail != nil {
			return nil, s.fail
		}
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Request: r,
		Header: http.Header{"X-Subject-Token": {"own"}}}, nil
}

func (s *limiting) open(t *testing.T, log io.Writer) *Limits {
	t.Helper()
	cfg := KeystoneConfig{Login: gophercloud.AuthOptions{IdentityEndpoint: "http://keystone", UserID: "vitrine", Password: "secret"},
		Logger: slog.New(slog.NewTextHandler(log, nil))}
	l, err := NewLimits(cfg, LimitsConfig{Resources: []string{"r"}})
	if err != nil {
		t.Fatal(err)
	}
	if l.server, err = newKeystoneServer(cfg, s); err != nil {
		t.Fatal(err)
	}
	return l
}

// want asks for the limit of a project, which must be so much, and lets Keystone be asked so often.
func (s *limiting) want(t *testing.T, l *Limits, when string, limit int64, asked int) {
	t.Helper()
	s.mu.Lock()
	s.asked = nil
	s.mu.Unlock()
	var g sync.WaitGroup
	for range 5 {
		g.Go(func() {
			if got, err := l.Of(t.Context(), "p1"); err != nil || got["r"] != limit {
				t.Errorf("%s: the limits are %v, %v, want %d", when, got, err, limit)
			}
		})
	}
	g.Wait()
	if len(s.asked) != asked {
		t.Errorf("%s: Keystone was asked for %q, want %d questions", when, s.asked, asked)
	}
}

func TestLimitsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := &limiting{limit: 7}, new(strings.Builder)
		l := s.open(t, log)
		s.want(t, l, "first", 7, 3)
		s.limit = 8
		time.Sleep(time.Minute - 1)
		s.want(t, l, "within the cache time", 7, 0)
		time.Sleep(time.Nanosecond)
		s.want(t, l, "after the cache time", 8, 3)

		s.fail = errors.New("refused")
		time.Sleep(time.Minute)
		s.want(t, l, "while Keystone is away, with its second try", 8, 4)
		s.want(t, l, "at once again", 8, 0)
		time.Sleep(24 * time.Hour)
		s.want(t, l, "a day later", 8, 4)
		if _, err := l.Of(t.Context(), "p2"); !errors.Is(err, image.ErrUnavailable) {
			t.Errorf("the limits of a project that nothing is known of: %v, want %v", err, image.ErrUnavailable)
		}
		s.fail, s.hang = nil, true
		time.Sleep(time.Minute)
		before := time.Now()
		s.want(t, l, "while Keystone hangs", 8, 2)
		if took := time.Since(before); took > 2*limitsPatient {
			t.Errorf("known limits took %s while Keystone hangs", took)
		}
		s.hang = false
		time.Sleep(time.Minute)
		s.want(t, l, "when Keystone is back", 8, 3)
		if text := log.String(); strings.Count(text, "does not tell the limits") != 1 || strings.Count(text, "Keystone answers again") != 1 {
			t.Errorf("the log says %s", text)
		}
	})
}

func TestMissingLimitsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := &limiting{limit: 7, unlisted: true}, new(strings.Builder)
		l := s.open(t, log)
		for range 3 {
			s.want(t, l, "without registered limits", 7, 3)
			time.Sleep(time.Minute)
		}
		if text := log.String(); strings.Count(text, "has no registered limit") != 1 || !strings.Contains(text, "resources=[r]") {
			t.Errorf("the log says %s", text)
		}
	})
}
