// Package signature verifies the signatures that images carry in four properties: they name a certificate, how the data
// was hashed, and hold the signature of that hash. What OpenStack's cursive accepts is accepted, and little else.
//
// An upload asks Verifier.Check before the first byte what there is to verify, feeds Check.Hash while the data streams
// through, and asks Check.Verify at its end. An import records the Check, and resumes it when the data comes.
package signature

import (
	"crypto"
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"hash"
	"maps"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/image"
)

// The properties of a signed image. Only all four together ask for a verification.
const (
	Value         = "img_signature" // in Base64
	HashMethod    = "img_signature_hash_method"
	KeyType       = "img_signature_key_type"
	CertificateID = "img_signature_certificate_uuid"
)

var names = []string{Value, HashMethod, KeyType, CertificateID}

// methods are the values of HashMethod. MD5 and SHA-1 were never among them.
var methods = map[string]crypto.Hash{
	"SHA-224": crypto.SHA224,
	"SHA-256": crypto.SHA256,
	"SHA-384": crypto.SHA384,
	"SHA-512": crypto.SHA512,
}

// A Signature is what the properties of an image say. It does not change.
type Signature struct {
	Certificate image.ID // of the certificate whose key made it
	method      crypto.Hash
	keyType     string
	key         key
	value       []byte
}

// Parse returns the signature that the properties hold, nil when one of the four is not there. Errors: image.ErrInvalid.
func Parse(properties map[string]string) (*Signature, error) {
	for _, name := range names {
		if _, there := properties[name]; !there {
			return nil, nil
		}
	}
	s := &Signature{keyType: properties[KeyType]}
	var ok bool
	if s.method, ok = methods[properties[HashMethod]]; !ok {
		return nil, image.Errorf(image.ErrInvalid, "Invalid signature hash method %.40q: %s must be one of %s", properties[HashMethod],
			HashMethod, strings.Join(slices.Sorted(maps.Keys(methods)), ", "))
	}
	if binaryCurves[s.keyType] {
		return nil, image.Errorf(image.ErrInvalid,
			"Signatures of the key type %s cannot be verified here: curves over binary fields are not supported. Sign with ECC_SECP384R1, ECC_SECP521R1 or RSA-PSS", s.keyType)
	}
	if s.key, ok = keys[s.keyType]; !ok {
		return nil, image.Errorf(image.ErrInvalid, "Invalid signature key type %.40q: %s must be one of %s", s.keyType,
			KeyType, strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
	}
	if s.Certificate, ok = image.ParseID(properties[CertificateID]); !ok {
		return nil, image.Errorf(image.ErrInvalid, "Invalid value for %s: it must be a UUID", CertificateID)
	}
	value, err := base64.StdEncoding.Strict().DecodeString(strings.Join(strings.Fields(properties[Value]), ""))
	if err != nil || len(value) == 0 {
		return nil, image.Errorf(image.ErrInvalid, "The value of %s is not properly encoded in Base64", Value)
	}
	s.value = value
	return s, nil
}

// Hash returns a new hash, to be fed with the data.
func (s *Signature) Hash() hash.Hash { return s.method.New() }

// HashAlgo returns the hash's name as in os_hash_algo, such as "sha256": who computes that sum anyway need not do it twice.
func (s *Signature) HashAlgo() string {
	return strings.ToLower(strings.ReplaceAll(s.method.String(), "-", ""))
}

// CheckKey refuses a certificate whose key is not of the signature's type. Errors: image.ErrInvalid.
func (s *Signature) CheckKey(cert *x509.Certificate) error {
	if wrong := s.key.check(cert.PublicKey); wrong != "" {
		return image.Errorf(image.ErrInvalid, "The certificate %s does not fit the signature key type %s: %s", s.Certificate, s.keyType, wrong)
	}
	return nil
}

// Verify refuses the data whose hash has the sum, if the certificate's key did not sign it. Errors: image.ErrInvalid.
func (s *Signature) Verify(sum []byte, cert *x509.Certificate) error {
	if err := s.CheckKey(cert); err != nil {
		return err
	}
	if len(sum) != s.method.Size() || !s.key.verify(cert.PublicKey, s.method, sum, s.value) {
		return image.Errorf(image.ErrInvalid, "Signature verification for the image failed: the data is not what the key of the certificate %s signed (%s, %s)",
			s.Certificate, s.keyType, s.method)
	}
	return nil
}
