package auth

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
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
