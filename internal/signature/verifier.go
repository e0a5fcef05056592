package signature

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/watchfile"
)

// Certificates finds certificates; see Directory and Barbican. It is safe for concurrent use.
type Certificates interface {
	// Certificate returns the certificate of that id to who has the token. Errors: image.ErrInvalid when there is none that he
	// may use, image.ErrUnavailable when that cannot be told now.
	Certificate(ctx context.Context, token image.Secret, id image.ID) (*x509.Certificate, error)
}

// Config says which certificates count.
type Config struct {
	// Certificates finds them; nil refuses every signed image.
	Certificates Certificates
	// TrustFile holds certificates in PEM: one of them must have signed that of the image, directly or through others of
	// the file, or be that of the image. A changed file takes effect without a restart. "" trusts all that are found.
	TrustFile string
	Logger    *slog.Logger     // nil discards
	Now       func() time.Time // nil is time.Now
}

// A Verifier finds and checks certificates. It is safe for concurrent use.
type Verifier struct {
	certificates Certificates
	trusted      *watchfile.Value[*x509.CertPool] // nil for all
	log          *slog.Logger
	now          func() time.Time
}

// New reads the trust file and returns a Verifier.
func New(cfg Config) (*Verifier, error) {
	v := &Verifier{certificates: cfg.Certificates, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), now: cfg.Now}
	if v.now == nil {
		v.now = time.Now
	}
	if cfg.TrustFile != "" {
		trusted, err := watchfile.Open(cfg.Logger, parseTrusted, cfg.TrustFile)
		if err != nil {
			return nil, fmt.Errorf("signature: trusted certificates: %w", err)
		}
		v.trusted = trusted
	}
	return v, nil
}

// Certificate returns the certificate with which the signature is to be verified: valid now, trusted, for signatures, and
// with a key of the right type. Errors: image.ErrInvalid, image.ErrUnavailable.
func (v *Verifier) Certificate(ctx context.Context, token image.Secret, s *Signature) (*x509.Certificate, error) {
	if v.certificates == nil {
		return nil, image.Errorf(image.ErrInvalid,
			"This service knows no certificates, so it cannot verify the signature of the image; without the property %s it takes the image unverified", Value)
	}
	cert, err := v.certificates.Certificate(ctx, token, s.Certificate)
	if err != nil {
		return nil, err
	}
	if err := s.CheckKey(cert); err != nil {
		return nil, err
	}
	now := v.now()
	switch {
	case now.Before(cert.NotBefore):
		return nil, image.Errorf(image.ErrInvalid, "The certificate %s is not valid before %s", s.Certificate, cert.NotBefore.UTC().Format(time.RFC3339))
	case now.After(cert.NotAfter):
		return nil, image.Errorf(image.ErrInvalid, "The certificate %s has expired at %s", s.Certificate, cert.NotAfter.UTC().Format(time.RFC3339))
	case cert.KeyUsage != 0 && cert.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0:
		return nil, image.Errorf(image.ErrInvalid, "The certificate %s is not for signatures: its key usage has neither digitalSignature nor nonRepudiation", s.Certificate)
	}
	if v.trusted != nil {
		_, err := cert.Verify(x509.VerifyOptions{Roots: v.trusted.Get(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if err != nil {
			v.log.InfoContext(ctx, "the certificate of an image's signature is not trusted", "certificate", s.Certificate, "error", err)
			return nil, image.Errorf(image.ErrInvalid, "The certificate %s is not signed by an authority that this service trusts", s.Certificate)
		}
	}
	return cert, nil
}

// parseTrusted reads a file of certificates. An intermediate one is as good as a root: whoever wrote the file trusts it.
func parseTrusted(contents [][]byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	found := false
	for rest := contents[0]; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a %s, which is no certificate", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		pool.AddCert(cert)
		found = true
	}
	if !found {
		return nil, errors.New("holds no certificate in PEM")
	}
	return pool, nil
}

// maxCertificate bounds a certificate in bytes.
const maxCertificate = 64 << 10

// parseCertificate reads the first certificate in PEM, or one in DER. Errors: image.ErrInvalid.
func parseCertificate(id image.ID, data []byte) (*x509.Certificate, error) {
	if len(data) > maxCertificate {
		return nil, image.Errorf(image.ErrInvalid, "The certificate %s is larger than %d bytes", id, maxCertificate)
	}
	der := data
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			der = block.Bytes
			break
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, image.Errorf(image.ErrInvalid, "The certificate %s is no X.509 certificate in PEM or DER", id)
	}
	return cert, nil
}

// noCertificate is the error for one that nobody has.
func noCertificate(id image.ID) error {
	return image.Errorf(image.ErrInvalid, "There is no certificate %s, which %s names", id, CertificateID)
}
