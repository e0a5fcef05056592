package auth

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/vitrine-image/vitrine/image"
)

// A scripted stands for the way to a Keystone whose answers and faults the test chooses, to test what a real one cannot
// be brought to: times and broken connections.
type scripted struct {
	mu     sync.Mutex
	logins int
	asked  int
	fail   error         // of validations
	status int           // of validations, 200 by default
	login  int           // status of logins, 201 by default
	live   time.Duration // how long tokens live from when they are asked about, an hour by default
	skew   time.Duration // of its clock
	delay  time.Duration // of every answer

	running, most int // requests at the same time
}

func (s *scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.running++
	s.most = max(s.most, s.running)
	s.mu.Unlock()
	late := r.Context().Err()
	if s.delay > 0 {
		select {
		case <-time.After(s.delay):
		case <-r.Context().Done():
			late = r.Context().Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if late != nil {
		return nil, late
	}
	now := time.Now().Add(s.skew)
	live := s.live
	if live == 0 {
		live = time.Hour
	}
	body := fmt.Sprintf(`{"token": {"issued_at": %q, "expires_at": %q, "user": {"id": "u1"}, "project": {"id": "p1"}}}`,
		now.Format(time.RFC3339Nano), now.Add(live).Format(time.RFC3339Nano))
	status := s.status
	if r.Method == http.MethodPost {
		s.logins++
		if status = s.login; status == 0 {
			status = http.StatusCreated
		}
	} else {
		s.asked++
		if s.fail != nil {
			return nil, s.fail
		}
		if status == 0 {
			status = http.StatusOK
		}
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Request: r,
		Header: http.Header{"X-Subject-Token": {fmt.Sprint("own", s.logins)}, "Location": {"http://elsewhere/"}}}, nil
}

func (s *scripted) open(t testing.TB, cfg KeystoneConfig) *Keystone {
	t.Helper()
	cfg.Login = gophercloud.AuthOptions{IdentityEndpoint: "http://keystone", UserID: "vitrine", Password: "secret"}
	k, err := NewKeystone(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if k.server, err = newKeystoneServer(k.cfg, s); err != nil {
		t.Fatal(err)
	}
	return k
}

func (s *scripted) want(t testing.TB, when string, asked, logins int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked != asked || s.logins != logins {
		t.Errorf("%s: Keystone was asked about a token %d times and for one %d times, want %d and %d", when, s.asked, s.logins, asked, logins)
	}
}

func TestATokenIsAskedAboutAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{live: 8 * time.Minute}
		k := s.open(t, KeystoneConfig{Grace: time.Minute})
		good := func(when string) {
			t.Helper()
			_, err := ask(k, "X-Auth-Token", "a")
			wantError(t, when, err, nil)
		}
		good("first")
		time.Sleep(5*time.Minute - 1)
		good("within the cache time")
		s.want(t, "within the cache time", 1, 1)
		time.Sleep(time.Nanosecond)
		good("after the cache time")
		s.want(t, "after the cache time", 2, 1)

		s.fail = errors.New("refused")
		time.Sleep(5 * time.Minute)
		good("within the grace time")
		s.want(t, "within the grace time, with its second try", 4, 2)
		good("again within the grace time")
		s.want(t, "again within the grace time", 4, 2)
		time.Sleep(time.Minute)
		_, err := ask(k, "X-Auth-Token", "a")
		wantError(t, "after the grace time", err, image.ErrUnavailable)
		s.fail = nil
		good("when Keystone is back")
	})
}

func TestATokenEndsInTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{live: time.Minute}
		k := s.open(t, KeystoneConfig{Grace: time.Hour})
		_, err := ask(k, "X-Auth-Token", "a")
		wantError(t, "first", err, nil)
		time.Sleep(time.Minute)
		s.fail = errors.New("refused")
		_, err = ask(k, "X-Auth-Token", "a")
		wantError(t, "expired while Keystone is gone", err, image.ErrUnavailable)
	})
}

func TestABadTokenIsRememberedForShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{status: http.StatusNotFound}
		k := s.open(t, KeystoneConfig{Grace: time.Hour})
		bad := func(when string) {
			t.Helper()
			_, err := ask(k, "X-Auth-Token", "a")
			wantError(t, when, err, image.ErrUnauthorized)
		}
		bad("first")
		bad("again")
		s.want(t, "again", 1, 1)
		time.Sleep(badTime)
		bad("later")
		s.want(t, "later", 2, 1)
		s.status = 0
		time.Sleep(badTime)
		_, err := ask(k, "X-Auth-Token", "a")
		wantError(t, "once it is good", err, nil)

		s.status = http.StatusNotFound // revoked, and then Keystone goes away
		time.Sleep(k.cfg.CacheTime)
		bad("revoked")
		s.status, s.fail = 0, errors.New("refused")
		time.Sleep(badTime)
		_, err = ask(k, "X-Auth-Token", "a")
		wantError(t, "revoked, in the grace time", err, image.ErrUnavailable)
	})
}

func TestTheOwnTokenIsRenewedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{live: 10 * time.Minute}
		k := s.open(t, KeystoneConfig{CacheTime: -1})
		try := func(when string, asked, logins int) {
			t.Helper()
			_, err := ask(k, "X-Auth-Token", "a")
			wantError(t, when, err, nil)
			s.want(t, when, asked, logins)
		}
		try("first", 1, 1)
		time.Sleep(9*time.Minute - 1)
		try("while it lives", 2, 1)
		time.Sleep(time.Nanosecond)
		s.login = http.StatusInternalServerError
		try("when it cannot be renewed", 3, 2)
		s.login = 0
		try("before it ends", 4, 3)
		s.status = http.StatusUnauthorized
		_, err := ask(k, "X-Auth-Token", "a")
		wantError(t, "when no own token is good", err, image.ErrUnavailable)
		s.want(t, "when no own token is good", 6, 4)
	})
}

func TestManyAskAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{delay: 100 * time.Millisecond, live: 10 * time.Minute}
		k := s.open(t, KeystoneConfig{})
		burst := func(when string) {
			var all sync.WaitGroup
			for i := range 200 {
				all.Go(func() {
					_, err := ask(k, "X-Auth-Token", fmt.Sprint("token", i%100))
					wantError(t, when, err, nil)
				})
			}
			all.Wait()
		}
		burst("first")
		s.want(t, "each token twice at once", 100, 1)
		time.Sleep(10 * time.Minute)
		burst("with a new token of its own")
		s.want(t, "each token twice at once, again", 200, 2)
		if s.most != connections {
			t.Errorf("%d requests were under way at once, want %d", s.most, connections)
		}
	})
}

func TestWhoWaitsTooLongIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{delay: time.Hour}
		k := s.open(t, KeystoneConfig{Timeout: time.Second})
		start := time.Now()
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				_, err := ask(k, "X-Auth-Token", fmt.Sprint("token", i))
				wantError(t, "Keystone hangs", err, image.ErrUnavailable)
			})
		}
		all.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %v, want the timeout", took)
		}
	})
}

func TestKeystonesClockIsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, skew := range []time.Duration{-30 * time.Minute, -59 * time.Minute, 24 * time.Hour} {
			s := &scripted{skew: skew}
			k := s.open(t, KeystoneConfig{CacheTime: -1})
			for range 3 {
				_, err := ask(k, "X-Auth-Token", "a")
				wantError(t, skew.String(), err, nil)
			}
			s.want(t, skew.String(), 3, 1)
		}
	})
}

func TestRefusedCredentialsAreNotTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{login: http.StatusUnauthorized}
		k := s.open(t, KeystoneConfig{})
		for range 5 {
			_, err := ask(k, "X-Auth-Token", "a")
			wantError(t, "refused", err, image.ErrUnavailable)
		}
		s.want(t, "at once", 0, 1)
		time.Sleep(loginPause)
		s.login = 0
		_, err := ask(k, "X-Auth-Token", "a")
		wantError(t, "mended", err, nil)
	})
}

func TestFaultsOfKeystone(t *testing.T) {
	for name, s := range map[string]*scripted{
		"it breaks":             {status: http.StatusInternalServerError},
		"it sends us elsewhere": {status: http.StatusFound},
		"it is not asked":       {fail: errors.New("connection reset")},
		"it takes too long":     {delay: time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			k := s.open(t, KeystoneConfig{Timeout: time.Second})
			_, err := ask(k, "X-Auth-Token", "a")
			wantError(t, name, err, image.ErrUnavailable)
		})
	}
}

// A breaking connection fails the first time it is used.
type breaking struct {
	scripted
	broken bool
}

func (b *breaking) RoundTrip(r *http.Request) (*http.Response, error) {
	if !b.broken {
		b.broken = true
		return nil, errors.New("connection reset by peer")
	}
	return b.scripted.RoundTrip(r)
}

func TestABrokenConnectionIsTriedAgain(t *testing.T) {
	var s scripted
	k := s.open(t, KeystoneConfig{})
	var err error
	if k.server, err = newKeystoneServer(k.cfg, &breaking{}); err != nil {
		t.Fatal(err)
	}
	_, err = ask(k, "X-Auth-Token", "a")
	wantError(t, "after a broken connection", err, nil)
}

func TestManyBadTokensTakeNoMemory(t *testing.T) {
	s := &scripted{status: http.StatusNotFound}
	k := s.open(t, KeystoneConfig{})
	for i := range 3 * badTokens {
		if _, err := k.ask(t.Context(), "a", tokenKey{sum: sum(i)}); !errors.Is(err, image.ErrUnauthorized) {
			t.Fatal(err)
		}
	}
	if n := entries(k.bad); n > badTokens {
		t.Errorf("%d bad tokens are kept, want at most %d", n, badTokens)
	}
	if n := entries(k.good); n != 0 {
		t.Errorf("%d bad tokens are among the good ones", n)
	}
}

func sum(i int) (sum [sha256.Size]byte) {
	binary.LittleEndian.PutUint64(sum[:], uint64(i))
	return sum
}

func entries[K comparable, V any](r *recent[K, V]) (n int) {
	for _, generation := range r.generations.Load() {
		generation.Range(func(any, any) bool { n++; return true })
	}
	return n
}

func TestRecentKeepsWhatIsUsed(t *testing.T) {
	r := newRecent[int, int](100)
	r.put(-1, new(1))
	r.put(-2, new(1))
	for i := range 1_000_000 {
		r.put(i, new(i))
		if r.get(-1) == nil {
			t.Fatalf("what is always asked for was forgotten after %d others", i)
		}
	}
	if r.get(-2) != nil || entries(r) > 100 {
		t.Errorf("what nobody asked for is kept, or %d entries are", entries(r))
	}
	r.drop(-1)
	r.drop(-1)
	r.drop(999_999)
	if r.get(-1) != nil || r.get(999_999) != nil {
		t.Error("what was dropped is kept")
	}
}

func TestRecentUnderContention(t *testing.T) {
	r := newRecent[int, int](64)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 5000 {
				k := (i * (g + 1)) % 100
				if v := r.get(k); v != nil && *v != k {
					t.Errorf("under %d stands %d", k, *v)
				}
				r.put(k, new(k))
				if i%7 == 0 {
					r.drop(k)
				}
			}
		})
	}
	all.Wait()
	if n := entries(r); n > 64 {
		t.Errorf("%d entries", n)
	}
}

func TestKeystoneConfigIsChecked(t *testing.T) {
	good := gophercloud.AuthOptions{IdentityEndpoint: "https://keystone:5000", UserID: "u", Password: "p"}
	change := func(change func(*KeystoneConfig)) KeystoneConfig {
		cfg := KeystoneConfig{Login: good}
		change(&cfg)
		return cfg
	}
	if k, err := NewKeystone(KeystoneConfig{Login: good}); err != nil || k.Challenge() != `Keystone uri="https://keystone:5000"` {
		t.Errorf("NewKeystone = %v", err)
	}
	for name, cfg := range map[string]KeystoneConfig{
		"no URL":       change(func(c *KeystoneConfig) { c.Login.IdentityEndpoint = "" }),
		"not http":     change(func(c *KeystoneConfig) { c.Login.IdentityEndpoint = "file:///etc" }),
		"no password":  change(func(c *KeystoneConfig) { c.Login.Password = "" }),
		"a user alone": change(func(c *KeystoneConfig) { c.Login.UserID, c.Login.Username = "", "u" }),
		"grace":        change(func(c *KeystoneConfig) { c.Grace = -1 }),
		"timeout":      change(func(c *KeystoneConfig) { c.Timeout = -1 }),
		"a header":     change(func(c *KeystoneConfig) { c.PublicURL = "http://a/\"\r\nX: y" }),
	} {
		if _, err := NewKeystone(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestServiceUser(t *testing.T) {
	login := ServiceUser{AuthURL: "http://k", Username: "glance", Password: "p", Project: "service", ProjectDomain: "Infra"}.Login()
	if login.DomainName != "Default" || login.Scope.DomainName != "Infra" || login.Scope.ProjectName != "service" || login.Password != "p" {
		t.Errorf("a user's login is %+v in %+v", login, login.Scope)
	}
	if own := (ServiceUser{Username: "g", UserDomain: "D", Project: "service"}).Login(); own.Scope.DomainName != "D" {
		t.Errorf("the project's domain is %q", own.Scope.DomainName)
	}
	credential := ServiceUser{AuthURL: "http://k", ApplicationCredentialID: "i", ApplicationCredentialSecret: "s"}.Login()
	if _, err := NewKeystone(KeystoneConfig{Login: credential}); err != nil {
		t.Errorf("an application credential: %v", err)
	}
}

func TestCloudLogin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	if err := os.WriteFile(file, []byte("clouds:\n  lab:\n    auth: {auth_url: http://k:5000/v3, username: glance, password: p,\n"+
		"      project_name: service, user_domain_name: Default, project_domain_name: Default}\n    verify: false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	login, config, err := CloudLogin(file, "lab")
	if err != nil || login.Username != "glance" || login.TenantName != "service" || config == nil || !config.InsecureSkipVerify {
		t.Errorf("CloudLogin = %+v, %+v, %v", login, config, err)
	}
	if _, err := NewKeystone(KeystoneConfig{Login: login, TLS: config}); err != nil {
		t.Error(err)
	}
	for _, cloud := range []string{"", "other"} {
		if _, _, err := CloudLogin(file, cloud); err == nil || !strings.Contains(err.Error(), "clouds.yaml") {
			t.Errorf("the cloud %q: %v", cloud, err)
		}
	}
}

func TestNoTokenIsLogged(t *testing.T) {
	var log strings.Builder
	s := &scripted{fail: errors.New("refused")}
	k := s.open(t, KeystoneConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	_, err := ask(k, "X-Auth-Token", "a-secret-token")
	if err == nil || strings.Contains(log.String()+err.Error(), "a-secret-token") || !strings.Contains(log.String(), "cannot validate") {
		t.Errorf("the error is %v, the log %s", err, &log)
	}
	answer := withoutBody(fmt.Errorf("x: %w", gophercloud.ErrUnexpectedResponseCode{Actual: 500, Body: []byte("a-secret-token")}))
	if strings.Contains(answer.Error(), "secret") {
		t.Errorf("an answer's body is told: %v", answer)
	}
}

func TestPathPattern(t *testing.T) {
	for _, tt := range []struct {
		pattern, path string
		want          bool
	}{
		{"/v2/images", "/v2/images", true},
		{"/v2/images", "/v2/images/", false},
		{"/v2/images/*", "/v2/images/1", true},
		{"/v2/images/*", "/v2/images/1/file", false},
		{"/v2/images/*", "/v2/images/", false},
		{"/v2/images/{id}/file", "/v2/images/1/file", true},
		{"/v2/**", "/v2/images/1/file", true},
		{"/v2/**", "/v1/images", false},
		{"/v2.images", "/v2/images", false},
		{"/v2/{", "/v2/{", true},
		{"", "/v2", false},
	} {
		if got := pathPattern(tt.pattern).MatchString(tt.path); got != tt.want {
			t.Errorf("%q for %q = %t, want %t", tt.pattern, tt.path, got, tt.want)
		}
	}
}

func FuzzTokenAnswer(f *testing.F) {
	f.Add(`{"token": {"expires_at": "2030-01-01T00:00:00.000000Z", "user": {"id": "u"}, "roles": [{"name": "admin"}],
		"application_credential": {"access_rules": [{"service": "image", "method": "GET", "path": "/v2/{id}/**"}]}}}`)
	f.Add(`{"token": {"expires_at": "2030-01-01T00:00:00Z", "user": {"id": "u"}, "application_credential": {"access_rules": []}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		var answer tokenAnswer
		if json.Unmarshal([]byte(body), &answer) != nil {
			return
		}
		who, err := answer.identity()
		if err != nil {
			return
		}
		if who.caller.UserID == "" || who.caller.Anonymous || who.caller.Token != "" {
			t.Errorf("%s describes %+v", body, who.caller)
		}
		if answer.Token.ApplicationCredential.AccessRules != nil && len(who.rules) == 0 && who.allows("GET", "/") {
			t.Error("no rule allows everything")
		}
	})
}
