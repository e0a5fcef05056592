package main

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/client/cloud"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

// loginFlags say who the person is and whom to trust.
type loginFlags struct {
	user, cloud, region, side string
	caFile, certFile, keyFile string
	insecure                  bool
}

func (l *loginFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&l.user, "user", "", "`NAME` for a server of names and passwords")
	flags.StringVar(&l.cloud, "os-cloud", "", "`NAME` of a cloud in clouds.yaml, whose Image API is used unless --endpoint names another one")
	flags.StringVar(&l.region, "os-region-name", "", "`REGION` of the cloud (default: OS_REGION_NAME, or what clouds.yaml says)")
	flags.StringVar(&l.side, "os-interface", "", "public, internal or admin: which endpoint of the cloud (default: OS_INTERFACE, or public)")
	flags.StringVar(&l.caFile, "os-cacert", "", "PEM `FILE` of the authorities that servers' certificates are checked against (default: OS_CACERT, or the system's)")
	flags.StringVar(&l.certFile, "os-cert", "", "PEM `FILE` of the certificate that is shown to servers (default: OS_CERT)")
	flags.StringVar(&l.keyFile, "os-key", "", "PEM `FILE` of its key (default: OS_KEY)")
	flags.BoolVar(&l.insecure, "insecure", false, "do not check servers' certificates")
}

// settings returns what is known of the cloud, and of whom to trust. It reports whether a cloud gives the tokens.
func (l *loginFlags) settings() (s cloud.Settings, byCloud bool, err error) {
	name := cmp.Or(l.cloud, os.Getenv("OS_CLOUD"))
	switch {
	case l.user != "" && l.cloud != "":
		return s, false, commandline.Usagef("--user and --os-cloud name different ways to log in")
	case l.cloud == "" && cmp.Or(l.user, os.Getenv("VITRINE_TOKEN"), os.Getenv("VITRINE_USER")) != "":
		s.FromVariables()
	case name != "":
		s, err = cloud.FromFile(name)
	default:
		s, err = cloud.FromEnvironment()
	}
	if err != nil {
		return s, false, commandline.UsageError{Err: err}
	}
	s.Region, s.Interface = cmp.Or(l.region, s.Region), cmp.Or(l.side, s.Interface)
	s.CAFile, s.CertFile, s.KeyFile = cmp.Or(l.caFile, s.CAFile), cmp.Or(l.certFile, s.CertFile), cmp.Or(l.keyFile, s.KeyFile)
	s.Insecure = s.Insecure || l.insecure
	if err := s.ReadTLS(); err != nil {
		return s, false, commandline.UsageError{Err: err}
	}
	return s, s.Login.IdentityEndpoint != "", nil
}

// reach finds out where the server is and who the person is. It may have to log in to a cloud.
func (a *app) reach() (client.Config, error) {
	s, byCloud, err := a.login.settings()
	if err != nil {
		return client.Config{}, err
	}
	cfg := client.Config{TLS: s.TLS, Endpoint: a.endpoint}
	if cfg.Endpoint == "" && a.login.cloud == "" {
		cfg.Endpoint = os.Getenv("VITRINE_ENDPOINT")
	}
	cfg.Endpoint = cmp.Or(cfg.Endpoint, s.Endpoint)
	switch {
	case byCloud:
		return a.reachCloud(cfg, s.Config)
	case a.login.user == "" && os.Getenv("VITRINE_TOKEN") != "":
		cfg.Token = os.Getenv("VITRINE_TOKEN")
	default:
		cfg.User = cmp.Or(a.login.user, os.Getenv("VITRINE_USER"))
	}
	if cfg.User != "" {
		cfg.Password, err = password(cfg.User)
	}
	return cfg, err
}

// reachCloud takes tokens from a cloud, and its Image API unless the server is known.
func (a *app) reachCloud(cfg client.Config, s cloud.Config) (client.Config, error) {
	conn, err := cloud.Open(s)
	if err != nil {
		return cfg, commandline.UsageError{Err: err}
	}
	a.cloud, cfg.Tokens = conn, conn
	if cfg.Endpoint == "" {
		ctx := a.ctx
		if ctx == nil {
			ctx = context.Background()
		}
		cfg.Endpoint, err = conn.Endpoint(ctx, "image")
	}
	return cfg, err
}

// password returns the password of a user, and asks the person for it if the environment does not say it.
func password(user string) (string, error) {
	if text, set := os.LookupEnv("VITRINE_PASSWORD"); set {
		return text, nil
	}
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", commandline.Usagef("VITRINE_PASSWORD is not set, and there is no terminal to ask for the password")
	}
	defer terminal.Close()
	fmt.Fprintf(terminal, "Password of %s: ", printable(user))
	text, err := term.ReadPassword(int(terminal.Fd()))
	fmt.Fprintln(terminal)
	return string(text), err
}
