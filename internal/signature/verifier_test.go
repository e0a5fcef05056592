package signature_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/signature"
)

// one is the only certificate there is.
type one struct{ cert *x509.Certificate }

func (o one) Certificate(context.Context, image.Secret, image.ID) (*x509.Certificate, error) {
	return o.cert, nil
}

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end   = start.AddDate(1, 0, 0)
)

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue returns a certificate signed by a, or by itself when a is nil.
func (a *authority) issue(t *testing.T, name string, edit func(*x509.Certificate)) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: start, NotAfter: end, SerialNumber: big.NewInt(1)}
	edit(cert)
	if a == nil {
		a = &authority{cert, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func ca(cert *x509.Certificate) {
	cert.IsCA, cert.BasicConstraintsValid, cert.KeyUsage = true, true, x509.KeyUsageCertSign
}

func plain(*x509.Certificate) {}

func usage(u x509.KeyUsage) func(*x509.Certificate) {
	return func(cert *x509.Certificate) { cert.KeyUsage = u }
}

func encode(certs ...*authority) (text []byte) {
	for _, c := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})...)
	}
	return text
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCertificatesAreChecked(t *testing.T) {
	root := (*authority)(nil).issue(t, "root", ca)
	between := root.issue(t, "between", ca)
	good := between.issue(t, "good", plain)
	own := (*authority)(nil).issue(t, "own", usage(x509.KeyUsageDigitalSignature))
	now := start.AddDate(0, 1, 0)
	for _, tt := range []struct {
		what    string
		cert    *authority
		now     time.Time
		trusted []byte // nil for all
		want    string // in the error, "" for none
	}{
		{"no trust file", good, now, nil, ""},
		{"the first second", good, start, nil, ""},
		{"the last second", good, end, nil, ""},
		{"too early", good, start.Add(-time.Second), nil, "not valid before 2026-01-01T00:00:00Z"},
		{"too late", good, end.Add(time.Second), nil, "expired at 2027-01-01T00:00:00Z"},
		{"for signatures", own, now, nil, ""},
		{"for documents", root.issue(t, "documents", usage(x509.KeyUsageContentCommitment)), now, nil, ""},
		{"for other things", root.issue(t, "other", usage(x509.KeyUsageKeyAgreement)), now, nil, "key usage"},
		{"an authority's own", root, now, nil, "key usage"},
		{"trusted root and what is between", good, now, encode(root, between), ""},
		{"only what is between", good, now, encode(between), ""},
		{"only the root, which did not sign it", good, now, encode(root), "not signed by an authority"},
		{"itself trusted", own, now, encode(root, own), ""},
		{"not trusted", own, now, encode(root, between), "not signed by an authority"},
		{"the authority has expired", root.issue(t, "late", func(c *x509.Certificate) { c.NotAfter = end.AddDate(1, 0, 0) }), end.AddDate(0, 1, 0), encode(root), "not signed by an authority"},
		{"signed by what is no authority", own.issue(t, "child", plain), now, encode(own), "not signed by an authority"},
	} {
		cfg := signature.Config{Certificates: one{tt.cert.cert}, Now: func() time.Time { return tt.now }}
		if tt.trusted != nil {
			cfg.TrustFile = filepath.Join(t.TempDir(), "trusted.pem")
			write(t, cfg.TrustFile, tt.trusted)
		}
		v, err := signature.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := v.Certificate(t.Context(), "", parse(t, "ECC_SECP384R1", "SHA-256", "AAAA"))
		if tt.want == "" && (err != nil || cert != tt.cert.cert) {
			t.Errorf("%s: %v", tt.what, err)
		}
		if tt.want != "" && (!errors.Is(err, image.ErrInvalid) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), id)) {
			t.Errorf("%s: %v, want an error with %q", tt.what, err, tt.want)
		}
	}
	v, _ := signature.New(signature.Config{Certificates: one{good.cert}, Now: func() time.Time { return now }})
	if _, err := v.Certificate(t.Context(), "", parse(t, "RSA-PSS", "SHA-256", "AAAA")); !errors.Is(err, image.ErrInvalid) {
		t.Errorf("a key of another type: %v", err)
	}
}

func TestWithoutCertificatesSignedImagesAreRefused(t *testing.T) {
	v, err := signature.New(signature.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Certificate(t.Context(), "", parse(t, "RSA-PSS", "SHA-256", "AAAA")); !errors.Is(err, image.ErrInvalid) {
		t.Errorf("Certificate = %v", err)
	}
}

func TestATrustFileMustHoldCertificates(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"empty": "", "text": "certificates", "key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"broken": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	} {
		path := filepath.Join(dir, name)
		write(t, path, []byte(text))
		if _, err := signature.New(signature.Config{TrustFile: path}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want an error that names the file", name, err)
		}
	}
	if _, err := signature.New(signature.Config{TrustFile: filepath.Join(dir, "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestADirectoryOfCertificates(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	d, err := signature.OpenDirectory(dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	a, b := (*authority)(nil).issue(t, "a", plain), (*authority)(nil).issue(t, "b", plain)
	path := func(extension string) string { return filepath.Join(dir, id+extension) }
	want := func(what string, want *authority) {
		t.Helper()
		cert, err := d.Certificate(t.Context(), "", id)
		switch {
		case want == nil && !errors.Is(err, image.ErrInvalid):
			t.Errorf("%s: %v, want image.ErrInvalid", what, err)
		case want != nil && (err != nil || !cert.Equal(want.cert)):
			t.Errorf("%s: %v", what, err)
		}
	}
	want("empty", nil)
	write(t, path(".der"), a.cert.Raw)
	want("DER", a)
	write(t, path(".crt"), append([]byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), encode(b, a)...))
	want("PEM, the first certificate of a chain", b)
	write(t, path(".pem"), []byte("nothing"))
	want("no certificate", nil)
	write(t, path(".pem"), append(encode(a), make([]byte, 64<<10)...))
	want("too large", nil)
	write(t, path(".pem"), encode(a))
	want("changed", a)
	os.Remove(path(".pem"))
	want("removed", b)

	outside := filepath.Join(t.TempDir(), "outside.pem")
	write(t, outside, encode(a))
	if err := os.Symlink(outside, path(".pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Certificate(t.Context(), "", id); !errors.Is(err, image.ErrUnavailable) || !strings.Contains(log.String(), "escapes") {
		t.Errorf("a link that leads out: %v, logged %s", err, &log)
	}
	os.Remove(path(".pem"))
	if err := os.Mkdir(path(".pem"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Certificate(t.Context(), "", id); !errors.Is(err, image.ErrUnavailable) {
		t.Errorf("a directory: %v", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Certificate(t.Context(), "", id); !errors.Is(err, image.ErrUnavailable) || strings.Contains(err.Error(), dir) {
		t.Errorf("the directory is gone: %v, want image.ErrUnavailable without the path", err)
	}
	if _, err := signature.OpenDirectory(dir, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OpenDirectory = %v", err)
	}
}
