package daemon

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/vitrine-image/vitrine/auth"
	"github.com/vitrine-image/vitrine/image"
)

// AuthConfig is the section [auth].
type AuthConfig struct {
	Type          string         `toml:"type"` // one of authTypes; only the section of that name counts
	Anonymous     bool           `toml:"anonymous"`
	OpenToNetwork bool           `toml:"open_to_network"`
	Project       string         `toml:"project"`
	Keystone      KeystoneConfig `toml:"keystone"`
	Basic         BasicConfig    `toml:"basic"`
	Trusted       TrustedConfig  `toml:"trusted_headers"`
}

var authTypes = []string{auth.KindNone, auth.KindKeystone, auth.KindBasic, auth.KindTrusted}

// KeystoneConfig is the section [auth.keystone].
type KeystoneConfig struct {
	URL           string       `toml:"url"`
	Username      string       `toml:"username"`
	UserDomain    string       `toml:"user_domain"`
	Password      image.Secret `toml:"password"`
	PasswordFile  string       `toml:"password_file"`
	Project       string       `toml:"project"`
	ProjectDomain string       `toml:"project_domain"` // "" for the user's

	CredentialID         string       `toml:"application_credential_id"`
	CredentialSecret     image.Secret `toml:"application_credential_secret"`
	CredentialSecretFile string       `toml:"application_credential_secret_file"`

	Cloud      string `toml:"cloud"` // of clouds.yaml, instead of all above
	CloudsFile string `toml:"clouds_file"`

	PublicURL    string   `toml:"public_url"`
	CAFile       string   `toml:"ca_file"`
	Insecure     bool     `toml:"insecure"`
	Timeout      Duration `toml:"timeout"`
	CacheTime    Duration `toml:"cache_time"`
	GraceTime    Duration `toml:"grace_time"`
	MaxTokens    int      `toml:"max_tokens"`
	ServiceRoles []string `toml:"service_roles"`
}

// BasicConfig is the section [auth.basic].
type BasicConfig struct {
	HTPasswd  string   `toml:"htpasswd"`
	Users     string   `toml:"users"`
	CacheTime Duration `toml:"cache_time"`
}

// TrustedConfig is the section [auth.trusted_headers].
type TrustedConfig struct {
	Proxies []string `toml:"proxies"` // names in client certificates
}

func defaultAuth() AuthConfig {
	return AuthConfig{Type: auth.KindNone, Project: auth.DefaultProject,
		Keystone: KeystoneConfig{UserDomain: "Default", Timeout: 10 * Second, CacheTime: 5 * Minute, MaxTokens: 20_000,
			ServiceRoles: []string{"service"}},
		Basic: BasicConfig{CacheTime: Minute}}
}

// checkAuth reports what can be told without reading further files.
func (cfg *Config) checkAuth() error {
	var wrong []error
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	a := &cfg.Auth
	oneOf(fail, "auth.type", a.Type, authTypes...)
	switch a.Type {
	case auth.KindNone:
		if a.Project == "" {
			fail("auth.project: the project that owns new images needs a name")
		}
	case auth.KindKeystone:
		a.Keystone.check(fail)
	case auth.KindBasic:
		needFile(fail, "auth.basic.htpasswd", a.Basic.HTPasswd)
		needFile(fail, "auth.basic.users", a.Basic.Users)
	}
	return errors.Join(wrong...)
}

func (k *KeystoneConfig) check(fail func(string, ...any)) {
	for _, f := range []struct{ key, path string }{
		{"password_file", k.PasswordFile}, {"application_credential_secret_file", k.CredentialSecretFile},
		{"clouds_file", k.CloudsFile}, {"ca_file", k.CAFile},
	} {
		absolute(fail, "auth.keystone."+f.key, f.path)
	}
	positive(fail, "auth.keystone.timeout", k.Timeout)
	positive(fail, "auth.keystone.max_tokens", k.MaxTokens)
	user, credential := k.Username != "", k.CredentialID != ""
	switch {
	case k.Cloud != "" && (user || credential || k.URL != ""):
		fail("auth.keystone.cloud: the cloud says URL and credentials; leave url, username and application_credential_id out")
	case k.Cloud != "":
		return
	case k.URL == "":
		fail("auth.keystone.url: where Keystone is must be said, by url or by cloud")
	case user == credential:
		fail("auth.keystone: give a username, or an application_credential_id, or a cloud")
	case user && k.Project == "":
		fail("auth.keystone.project: the project of the user %s is missing", k.Username)
	case user && (k.Password == "") == (k.PasswordFile == ""):
		fail("auth.keystone: give either password or password_file")
	case credential && (k.CredentialSecret == "") == (k.CredentialSecretFile == ""):
		fail("auth.keystone: give either application_credential_secret or application_credential_secret_file")
	}
}

// absolute refuses a path whose meaning depends on where the daemon was started; "" is none.
func absolute(fail func(string, ...any), key, path string) {
	if path != "" && !filepath.IsAbs(path) {
		fail("%s: %q is no absolute path", key, path)
	}
}

func needFile(fail func(string, ...any), key, path string) {
	if path == "" {
		fail("%s: name the file", key)
	}
	absolute(fail, key, path)
}

// openAuth returns what finds out who sends a request. It reads the files that the configuration names.
func (cfg *Config) openAuth(log *slog.Logger) (auth.Authenticator, error) {
	a := &cfg.Auth
	switch a.Type {
	case auth.KindKeystone:
		return a.Keystone.open(a.Anonymous, log)
	case auth.KindBasic:
		for _, addr := range cfg.API.Listen {
			if host, err := checkAddress(addr); err == nil && !isLoopback(host) {
				log.Warn("passwords cross the network readable; use api.listen_tls", "address", addr)
			}
		}
		return auth.NewBasic(auth.BasicConfig{HTPasswd: a.Basic.HTPasswd, Users: a.Basic.Users, CacheTime: cacheTime(a.Basic.CacheTime),
			Anonymous: a.Anonymous, Logger: log})
	case auth.KindTrusted:
		return auth.NewTrusted(auth.TrustedConfig{Proxies: a.Trusted.Proxies, Anonymous: a.Anonymous})
	}
	return auth.NewNone(a.Project), nil
}

// cacheTime is a time in the words of package auth, where 0 stands for the default.
func cacheTime(d Duration) time.Duration { return time.Duration(cmp.Or(d, -1)) }

func (k *KeystoneConfig) open(anonymous bool, log *slog.Logger) (auth.Authenticator, error) {
	cfg, err := k.server(log)
	if err != nil {
		return nil, err
	}
	cfg.PublicURL, cfg.CacheTime, cfg.Grace, cfg.MaxTokens = k.PublicURL, cacheTime(k.CacheTime), time.Duration(k.GraceTime), k.MaxTokens
	cfg.ServiceRoles, cfg.Anonymous = k.ServiceRoles, anonymous
	return auth.NewKeystone(cfg)
}

// server returns how to ask Keystone anything.
func (k *KeystoneConfig) server(log *slog.Logger) (auth.KeystoneConfig, error) {
	cfg := auth.KeystoneConfig{Timeout: time.Duration(k.Timeout), Logger: log}
	var err error
	if k.Cloud != "" {
		cfg.Login, cfg.TLS, err = auth.CloudLogin(k.CloudsFile, k.Cloud)
	} else {
		cfg.Login, err = k.login()
	}
	if err != nil {
		return cfg, fmt.Errorf("auth.keystone: %w", err)
	}
	if k.CAFile != "" || k.Insecure || cfg.TLS == nil {
		if cfg.TLS, err = auth.TrustFile(k.CAFile, k.Insecure); err != nil {
			return cfg, fmt.Errorf("auth.keystone.ca_file: %w", err)
		}
	}
	return cfg, nil
}

// login returns the credentials without a clouds.yaml.
func (k *KeystoneConfig) login() (gophercloud.AuthOptions, error) {
	password, err := secretFrom(k.Password, k.PasswordFile)
	if err != nil {
		return gophercloud.AuthOptions{}, err
	}
	secret, err := secretFrom(k.CredentialSecret, k.CredentialSecretFile)
	if err != nil {
		return gophercloud.AuthOptions{}, err
	}
	return auth.ServiceUser{AuthURL: k.URL, Username: k.Username, UserDomain: k.UserDomain, Password: password, Project: k.Project,
		ProjectDomain: k.ProjectDomain, ApplicationCredentialID: k.CredentialID, ApplicationCredentialSecret: secret}.Login(), nil
}

// secretFrom returns a secret, from a file if one is named.
func secretFrom(secret image.Secret, file string) (image.Secret, error) {
	if file == "" {
		return secret, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) == 0 || bytes.ContainsAny(text, "\r\n") {
		return "", fmt.Errorf("%s: the secret alone in one line is expected", file)
	}
	return image.Secret(text), nil
}

// tryFiles reads what the configuration names, as a start does, so that check finds what is wrong with it.
func (cfg *Config) tryFiles(ctx context.Context, log *slog.Logger) error {
	_, authErr := cfg.openAuth(log)
	rules, _, policyErr := cfg.Policy.open(log)
	if policyErr == nil {
		rules.Close()
	}
	_, tlsErr := cfg.API.openTLS(log)
	_, signaturesErr := cfg.openSignatures(log)
	var quotaErr error
	if authErr == nil { // which it would repeat
		_, quotaErr = cfg.openQuotas(log)
	}
	return errors.Join(authErr, policyErr, tlsErr, signaturesErr, quotaErr, cfg.tryEvents(), cfg.tryStores(ctx))
}
