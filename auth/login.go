package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"golang.org/x/sync/singleflight"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/certpool"
)

// A ServiceUser is a user of Keystone as a configuration file describes him, or an application credential instead.
type ServiceUser struct {
	AuthURL string // of Keystone

	Username      string
	UserDomain    string // name of the user's domain, "Default" when nothing is said
	Password      image.Secret
	Project       string // name
	ProjectDomain string // name of the project's domain, the user's when it is ""

	ApplicationCredentialID     string
	ApplicationCredentialSecret image.Secret
}

// Login returns the credentials for a KeystoneConfig.
func (u ServiceUser) Login() gophercloud.AuthOptions {
	login := gophercloud.AuthOptions{IdentityEndpoint: u.AuthURL}
	if u.ApplicationCredentialID != "" {
		login.ApplicationCredentialID = u.ApplicationCredentialID
		login.ApplicationCredentialSecret = string(u.ApplicationCredentialSecret)
		return login
	}
	login.Username, login.Password, login.DomainName = u.Username, string(u.Password), u.UserDomain
	if login.DomainName == "" {
		login.DomainName = "Default"
	}
	if u.Project != "" {
		login.Scope = &gophercloud.AuthScope{ProjectName: u.Project, DomainName: u.ProjectDomain}
		if login.Scope.DomainName == "" {
			login.Scope.DomainName = login.DomainName
		}
	}
	return login
}

// CloudLogin reads credentials, and how to trust Keystone's certificate, from a clouds.yaml with its secure.yaml. File ""
// looks where the openstack client looks. A project of another domain than the user's must be given by its id.
func CloudLogin(file, cloud string) (gophercloud.AuthOptions, *tls.Config, error) {
	options := []clouds.ParseOption{clouds.WithCloudName(cloud)}
	if file != "" {
		options = append(options, clouds.WithLocations(file))
	}
	login, config, err := parseCloud(options)
	if err != nil {
		return gophercloud.AuthOptions{}, nil, fmt.Errorf("read the cloud %q from clouds.yaml: %w", cloud, err)
	}
	if login.DomainID != "" {
		login.DomainName = "" // Keystone wants one of them, and that of the project may have come here
	}
	return login, config, nil
}

// parseCloud is clouds.Parse, which panics for a cloud that has no section auth.
func parseCloud(options []clouds.ParseOption) (login gophercloud.AuthOptions, config *tls.Config, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("it has no section auth")
		}
	}()
	login, _, config, err = clouds.Parse(options...)
	return login, config, err
}

// TrustFile returns how to trust https servers whose certificates one of the authorities in a PEM file has signed. File ""
// trusts the system's authorities; insecure trusts anybody.
func TrustFile(file string, insecure bool) (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: insecure}
	if file == "" {
		return config, nil
	}
	var err error
	if config.RootCAs, err = certpool.Read(file); err != nil {
		return nil, err
	}
	return config, nil
}

// loginPause is how long Keystone is not asked again after it refused the credentials: a user is locked out after too
// many failures.
const loginPause = 10 * time.Second

// A login keeps a token of the service itself.
type login struct {
	client  *gophercloud.ServiceClient
	options gophercloud.AuthOptions
	asking  singleflight.Group
	current atomic.Pointer[ownToken]
	refused atomic.Pointer[refusal]
}

type ownToken struct {
	id      string
	renew   time.Time // before it ends
	expires time.Time
}

// A refusal is an answer 4xx to the credentials.
type refusal struct {
	err   error
	until time.Time // until then it is not tried again
}

// newLogin checks that the options say enough.
func newLogin(client *gophercloud.ServiceClient, options gophercloud.AuthOptions) (*login, error) {
	try := options // it is changed on the way
	scope, err := try.ToTokenV3ScopeMap()
	if err == nil {
		_, err = try.ToTokenV3CreateMap(scope)
	}
	if err != nil {
		return nil, fmt.Errorf("auth: the credentials for Keystone: %w", err)
	}
	return &login{client: client, options: options}, nil
}

// get returns a token that will be good for a while and is not the given one, which Keystone did not accept ("" for
// none).
func (l *login) get(ctx context.Context, bad string) (string, error) {
	usable := func(before func(*ownToken) time.Time) *ownToken {
		if t := l.current.Load(); t != nil && t.id != bad && time.Now().Before(before(t)) {
			return t
		}
		return nil
	}
	renew, expires := func(t *ownToken) time.Time { return t.renew }, func(t *ownToken) time.Time { return t.expires }
	if t := usable(renew); t != nil {
		return t.id, nil
	}
	_, err, _ := l.asking.Do(bad, func() (any, error) {
		if usable(renew) != nil { // another had just asked
			return nil, nil
		}
		return nil, l.issue(ctx)
	})
	if t := usable(expires); t != nil {
		return t.id, nil
	}
	if err == nil { // the one that another asked for is the bad one
		err = errors.New("Keystone does not accept the token that it has just issued")
	}
	return "", err
}

// issue asks Keystone for a new token.
func (l *login) issue(ctx context.Context) error {
	if r := l.refused.Load(); r != nil && time.Now().Before(r.until) {
		return r.err
	}
	options := l.options // gophercloud changes them
	asked := time.Now()
	result := tokens.Create(ctx, l.client, &options)
	if isRefusal(result.Err) {
		l.refused.Store(&refusal{result.Err, time.Now().Add(loginPause)})
	}
	var said struct {
		IssuedAt  time.Time `json:"issued_at"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err := result.ExtractInto(&said); err != nil {
		return err
	}
	id, err := result.ExtractTokenID()
	if err != nil {
		return err
	}
	if id == "" || !said.ExpiresAt.After(said.IssuedAt) {
		return errors.New("the answer holds no token")
	}
	// How long it lives does not depend on whether both clocks agree.
	life := said.ExpiresAt.Sub(said.IssuedAt)
	l.current.Store(&ownToken{id: id, renew: asked.Add(life - life/10), expires: asked.Add(life)})
	return nil
}

func isRefusal(err error) bool {
	var answer gophercloud.ErrUnexpectedResponseCode
	return errors.As(err, &answer) && answer.Actual >= 400 && answer.Actual < 500 && answer.Actual != http.StatusTooManyRequests
}

// A loginError is an error of get.
type loginError struct{ error }

func (e *loginError) Unwrap() error { return e.error }

// problem tells a person what it is about.
func (e *loginError) problem() string {
	if isRefusal(e.error) {
		return "Keystone refuses the credentials of this service; check [auth.keystone]"
	}
	return "Keystone cannot be asked for a token of this service"
}
