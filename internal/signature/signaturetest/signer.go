// Package signaturetest signs the data of images for tests.
package signaturetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/signature"
)

// A Signer has a key and a certificate of its own.
type Signer struct {
	ID          image.ID // of the certificate
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Default is the one that the contract of the verbs signs with.
var Default = sync.OnceValue(func() *Signer { return New(nil) })

// New returns a signer whose certificate signs itself and is valid now; edit changes it before, unless nil.
func New(edit func(*x509.Certificate)) *Signer {
	s := &Signer{ID: image.NewID()}
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "image builder"}, SerialNumber: big.NewInt(1),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature}
	if edit != nil {
		edit(cert)
	}
	var err error
	if s.key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		panic(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &s.key.PublicKey, s.key)
	if err != nil {
		panic(err)
	}
	if s.Certificate, err = x509.ParseCertificate(der); err != nil {
		panic(err)
	}
	return s
}

// PEM returns the certificate.
func (s *Signer) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate.Raw})
}

// Put puts the certificate into a directory.
func (s *Signer) Put(t testing.TB, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, string(s.ID)+".pem"), s.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Properties returns those of an image whose data is signed.
func (s *Signer) Properties(t testing.TB, data []byte) map[string]string {
	t.Helper()
	sum := sha512.Sum384(data)
	value, err := ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{signature.Value: base64.StdEncoding.EncodeToString(value), signature.CertificateID: string(s.ID),
		signature.HashMethod: "SHA-384", signature.KeyType: "ECC_SECP384R1"}
}

// Edits returns those that give an image the properties.
func (s *Signer) Edits(t testing.TB, data []byte) []image.Edit {
	t.Helper()
	return Edits(s.Properties(t, data))
}

// Edits returns those that give an image properties.
func Edits(properties map[string]string) (edits []image.Edit) {
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		edits = append(edits, image.Edit{Op: image.EditAdd, Name: name, Value: properties[name]})
	}
	return edits
}

// Verifier returns one that finds the certificates of the signers.
func Verifier(t testing.TB, signers ...*Signer) *signature.Verifier {
	t.Helper()
	dir := t.TempDir()
	for _, s := range signers {
		s.Put(t, dir)
	}
	certificates, err := signature.OpenDirectory(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := signature.New(signature.Config{Certificates: certificates})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
