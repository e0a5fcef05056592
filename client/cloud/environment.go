package cloud

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"os"

	"github.com/vitrine-image/vitrine/internal/certpool"
)

// FromEnvironment reads the variables OS_*, which may name no Keystone, or nothing at all.
func FromEnvironment() (Settings, error) {
	env := os.Getenv
	s := Settings{Endpoint: cmp.Or(env("OS_IMAGE_ENDPOINT_OVERRIDE"), env("OS_ENDPOINT"))}
	s.FromVariables()
	if env("OS_AUTH_URL") == "" || env("OS_AUTH_TYPE") == "none" {
		return s, nil
	}
	var err error
	s.Login, err = credentials{authURL: env("OS_AUTH_URL"), token: env("OS_TOKEN"), user: env("OS_USERNAME"), userID: env("OS_USER_ID"),
		password:      env("OS_PASSWORD"),
		userDomain:    domain{env("OS_USER_DOMAIN_ID"), env("OS_USER_DOMAIN_NAME")},
		project:       cmp.Or(env("OS_PROJECT_NAME"), env("OS_TENANT_NAME")),
		projectID:     cmp.Or(env("OS_PROJECT_ID"), env("OS_TENANT_ID")),
		projectDomain: domain{env("OS_PROJECT_DOMAIN_ID"), env("OS_PROJECT_DOMAIN_NAME")},
		domain:        domain{env("OS_DOMAIN_ID"), env("OS_DOMAIN_NAME")},
		credentialID:  env("OS_APPLICATION_CREDENTIAL_ID"), credential: env("OS_APPLICATION_CREDENTIAL_NAME"),
		secret: env("OS_APPLICATION_CREDENTIAL_SECRET"),
	}.login(env("OS_AUTH_TYPE"))
	if err != nil {
		return s, fmt.Errorf("the variables OS_* are not complete: %w", err)
	}
	return s, nil
}

// FromVariables lets those variables OS_* win that say neither who logs in nor where.
func (s *Settings) FromVariables() {
	s.Region = cmp.Or(os.Getenv("OS_REGION_NAME"), s.Region)
	s.Interface = cmp.Or(os.Getenv("OS_INTERFACE"), os.Getenv("OS_ENDPOINT_TYPE"), s.Interface)
	s.CAFile = cmp.Or(os.Getenv("OS_CACERT"), s.CAFile)
	s.CertFile, s.KeyFile = cmp.Or(os.Getenv("OS_CERT"), s.CertFile), cmp.Or(os.Getenv("OS_KEY"), s.KeyFile)
}

// ReadTLS makes a TLS configuration of the files and puts it into Config; nil when there is nothing to say.
func (s *Settings) ReadTLS() error {
	if s.CAFile == "" && s.CertFile == "" && s.KeyFile == "" && !s.Insecure {
		return nil
	}
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.Insecure}
	if s.CAFile != "" {
		var err error
		if s.TLS.RootCAs, err = certpool.Read(s.CAFile); err != nil {
			return err
		}
	}
	if s.CertFile == "" && s.KeyFile == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(s.CertFile, cmp.Or(s.KeyFile, s.CertFile))
	if err != nil {
		return fmt.Errorf("the client's certificate: %w", err)
	}
	s.TLS.Certificates = []tls.Certificate{pair}
	return nil
}
