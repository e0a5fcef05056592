package signature

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// payloadTypes are what certificates are stored as; Barbican answers 406 to another one than it has.
var payloadTypes = []string{"application/octet-stream", "application/pkix-cert", "text/plain"}

// BarbicanConfig says how to ask a Barbican.
type BarbicanConfig struct {
	Endpoint  string            // such as https://barbican.example.org:9311, with or without /v1
	Transport http.RoundTripper // nil is http.DefaultTransport
	Timeout   time.Duration     // of a question, 0 is 10 seconds
	Logger    *slog.Logger      // nil discards
}

// Barbican finds certificates among the secrets of OpenStack's key manager. It is safe for concurrent use.
type Barbican struct {
	secrets *url.URL
	client  http.Client
	log     *slog.Logger
}

// NewBarbican checks the settings. It asks nothing yet.
func NewBarbican(cfg BarbicanConfig) (*Barbican, error) {
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return nil, errors.New("signature: the endpoint is no URL of a Barbican, such as https://barbican.example.org:9311")
	}
	if cfg.Timeout < 0 {
		return nil, errors.New("signature: the timeout for Barbican is negative")
	}
	if path.Base(u.Path) != "v1" {
		u = u.JoinPath("v1")
	}
	return &Barbican{
		secrets: u.JoinPath("secrets"),
		log:     cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
		client: http.Client{
			Transport: cfg.Transport,
			Timeout:   cmp.Or(cfg.Timeout, 10*time.Second),
			// Another host must not see the token.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Certificate fetches the payload of the secret, with the token of the caller, who gets none that he may not read.
func (b *Barbican) Certificate(ctx context.Context, token image.Secret, id image.ID) (*x509.Certificate, error) {
	if token == "" {
		return nil, image.Errorf(image.ErrInvalid, "The certificate %s is in the key manager, which is asked with a token of Keystone: this request has none", id)
	}
	for _, accept := range payloadTypes {
		status, data, err := b.get(ctx, id, token, accept)
		if err != nil {
			return nil, b.unavailable(ctx, id, err)
		}
		switch status {
		case http.StatusOK:
			return parseCertificate(id, data)
		case http.StatusNotAcceptable:
			continue
		case http.StatusNotFound:
			return nil, noCertificate(id)
		case http.StatusUnauthorized, http.StatusForbidden:
			return nil, image.Errorf(image.ErrInvalid, "You may not read the certificate %s, which %s names", id, CertificateID)
		default:
			return nil, b.unavailable(ctx, id, fmt.Errorf("the answer is %d %s", status, http.StatusText(status)))
		}
	}
	return nil, image.Errorf(image.ErrInvalid, "The secret %s, which %s names, is no certificate", id, CertificateID)
}

func (b *Barbican) get(ctx context.Context, id image.ID, token image.Secret, accept string) (status int, data []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.secrets.JoinPath(string(id), "payload").String(), nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-Auth-Token", string(token))
	req.Header.Set("Accept", accept)
	resp, err := b.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err = io.ReadAll(io.LimitReader(resp.Body, maxCertificate+1))
	return resp.StatusCode, data, err
}

func (b *Barbican) unavailable(ctx context.Context, id image.ID, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b.log.ErrorContext(ctx, "Barbican does not tell a certificate", "certificate", id, "url", b.secrets.String(), "error", err)
	return image.Errorf(image.ErrUnavailable, "The key manager, which has the certificate %s, is temporarily unavailable", id)
}
