package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"

	"github.com/gophercloud/gophercloud/v2"
	"golang.org/x/sync/semaphore"

	"github.com/vitrine-image/vitrine/image"
)

// connections is how many questions to Keystone are under way at the same time; others wait their turn.
const connections = 16

// maxAnswer bounds an answer of Keystone in bytes.
const maxAnswer = 1 << 20

// A keystoneServer is asked with the service's own credentials.
type keystoneServer struct {
	client *gophercloud.ServiceClient
	login  *login
	slots  *semaphore.Weighted
	log    *slog.Logger

	mu      sync.Mutex
	problem string // logged last, "" when there is none
}

func newKeystoneServer(cfg KeystoneConfig, transport http.RoundTripper) (*keystoneServer, error) {
	u, err := url.Parse(cfg.Login.IdentityEndpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("auth: %q is no URL of a Keystone, such as https://keystone.example.org:5000/v3", cfg.Login.IdentityEndpoint)
	}
	if path.Base(u.Path) != "v3" {
		u = u.JoinPath("v3")
	}
	provider := &gophercloud.ProviderClient{RetryFunc: retryOnce, HTTPClient: http.Client{
		Transport: bounded{transport},
		// Another host must not see the tokens.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	provider.UserAgent.Prepend("vitrine")
	client := &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: strings.TrimSuffix(u.String(), "/") + "/"}
	login, err := newLogin(client, cfg.Login)
	if err != nil {
		return nil, err
	}
	return &keystoneServer{client: client, login: login, slots: semaphore.NewWeighted(connections), log: cfg.Logger}, nil
}

// retryOnce lets gophercloud repeat a request whose connection broke: Keystone may have closed one that was idle.
func retryOnce(ctx context.Context, _, _ string, _ *gophercloud.RequestOpts, err error, failures uint) error {
	var timeout net.Error
	var answer gophercloud.ErrUnexpectedResponseCode
	if failures > 1 || ctx.Err() != nil || errors.As(err, &answer) || errors.As(err, &timeout) && timeout.Timeout() {
		return err
	}
	return nil
}

// bounded cuts off answers that are too long.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	}
	return resp, err
}

// validate asks Keystone whose token it is. Errors: errBadToken, image.ErrUnavailable.
func (s *keystoneServer) validate(ctx context.Context, token string, mayHaveExpired bool) (*identity, error) {
	if err := s.slots.Acquire(ctx, 1); err != nil {
		return nil, s.unavailable("too many tokens wait for Keystone", err)
	}
	defer s.slots.Release(1)
	var who *identity
	err := s.ask(ctx, func(own string) (err error) {
		who, err = s.get(ctx, own, token, mayHaveExpired)
		return err
	})
	var refused *loginError
	switch {
	case errors.As(err, &refused):
		return nil, s.unavailable(refused.problem(), err)
	case gophercloud.ResponseCodeIs(err, http.StatusNotFound):
		s.available()
		return nil, errBadToken
	case gophercloud.ResponseCodeIs(err, http.StatusForbidden):
		return nil, s.unavailable("Keystone does not let this service validate tokens; give its user the role service (or admin)", err)
	case err != nil:
		return nil, s.unavailable("Keystone cannot validate tokens", err)
	}
	s.available()
	return who, nil
}

// ask puts a question with a token of the service's own, and once more with a new one when Keystone does not take that.
// Errors: those of the question, *loginError.
func (s *keystoneServer) ask(ctx context.Context, question func(own string) error) error {
	own, err := s.login.get(ctx, "")
	if err != nil {
		return &loginError{err}
	}
	err = question(own)
	if gophercloud.ResponseCodeIs(err, http.StatusUnauthorized) { // our own token was revoked, or Keystone has new keys
		if own, err = s.login.get(ctx, own); err != nil {
			return &loginError{err}
		}
		err = question(own)
	}
	return err
}

func (s *keystoneServer) get(ctx context.Context, own, token string, mayHaveExpired bool) (*identity, error) {
	question := s.client.ServiceURL("auth", "tokens") + "?nocatalog"
	if mayHaveExpired {
		question += "&allow_expired=1"
	}
	var answer tokenAnswer
	_, err := s.client.Get(ctx, question, &answer, &gophercloud.RequestOpts{OkCodes: []int{http.StatusOK, http.StatusNonAuthoritativeInfo},
		MoreHeaders: map[string]string{
			"X-Auth-Token":    own,
			"X-Subject-Token": token,
			// Without it Keystone knows no token of an application credential with access rules.
			"OpenStack-Identity-Access-Rules": "1",
		}})
	if err != nil {
		return nil, err
	}
	return answer.identity()
}

// unavailable logs what is wrong with Keystone, once until something else is, and returns the error for the client.
func (s *keystoneServer) unavailable(problem string, err error) error {
	s.mu.Lock()
	known := s.problem == problem
	s.problem = problem
	s.mu.Unlock()
	if !known {
		s.log.Error(problem, "url", s.client.Endpoint, "error", withoutBody(err))
	}
	return image.Errorf(image.ErrUnavailable, "The Keystone service is temporarily unavailable.")
}

// available logs that a problem is over.
func (s *keystoneServer) available() {
	s.mu.Lock()
	over := s.problem != ""
	s.problem = ""
	s.mu.Unlock()
	if over {
		s.log.Info("Keystone answers again", "url", s.client.Endpoint)
	}
}

// withoutBody leaves out the body of an answer, which may quote a token.
func withoutBody(err error) error {
	var answer gophercloud.ErrUnexpectedResponseCode
	if errors.As(err, &answer) {
		return fmt.Errorf("%s %s: %d %s", answer.Method, answer.URL, answer.Actual, http.StatusText(answer.Actual))
	}
	return err
}
