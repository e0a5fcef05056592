package signature

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"hash"

	"github.com/vitrine-image/vitrine/image"
)

// A Check verifies data by a signature and the certificate of the key that made it, as they were at some time: what becomes
// of properties and certificate later does not matter.
type Check struct {
	properties  map[string]string
	signature   *Signature
	certificate *x509.Certificate
}

// Check returns how the data of an image with these properties is to be verified, nil if it is not. The certificate is asked
// for with the token of who brings the data. Errors: image.ErrInvalid, image.ErrUnavailable.
func (v *Verifier) Check(ctx context.Context, token image.Secret, properties map[string]string) (*Check, error) {
	s, err := Parse(properties)
	if s == nil || err != nil {
		return nil, err
	}
	certificate, err := v.Certificate(ctx, token, s)
	if err != nil {
		return nil, err
	}
	c := &Check{properties: make(map[string]string, len(names)), signature: s, certificate: certificate}
	for _, name := range names {
		c.properties[name] = properties[name]
	}
	return c, nil
}

// Resume returns a check that was recorded, nil for nil.
func Resume(recorded *image.ImportSignature) (*Check, error) {
	if recorded == nil {
		return nil, nil
	}
	s, err := Parse(recorded.Properties)
	if err == nil && s == nil {
		err = errors.New("properties are missing")
	}
	if err != nil {
		return nil, fmt.Errorf("resume the verification of a signature: %w", err)
	}
	certificate, err := parseCertificate(s.Certificate, recorded.Certificate)
	if err != nil {
		return nil, err
	}
	return &Check{properties: recorded.Properties, signature: s, certificate: certificate}, nil
}

// Record returns what Resume needs, nil for a nil check.
func (c *Check) Record() *image.ImportSignature {
	if c == nil {
		return nil
	}
	return &image.ImportSignature{Properties: c.properties, Certificate: c.certificate.Raw}
}

// Hash returns a new hash, to be fed with the data.
func (c *Check) Hash() hash.Hash { return c.signature.Hash() }

// HashAlgo returns the hash's name as in os_hash_algo: who computes that sum anyway need not do it twice.
func (c *Check) HashAlgo() string { return c.signature.HashAlgo() }

// Verify refuses the data whose hash has the sum, if it was not signed. Errors: image.ErrInvalid.
func (c *Check) Verify(sum []byte) error { return c.signature.Verify(sum, c.certificate) }
