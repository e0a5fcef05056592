package signature_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/hashes"
	"github.com/vitrine-image/vitrine/internal/signature"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

const id = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"

var (
	keyTypes = []string{"RSA-PSS", "DSA", "ECC_SECP384R1", "ECC_SECP521R1"}
	methods  = []string{"SHA-224", "SHA-256", "SHA-384", "SHA-512"}
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func certificate(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(read(t, name))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func properties(keyType, method, value string) map[string]string {
	return map[string]string{signature.KeyType: keyType, signature.HashMethod: method, signature.Value: value, signature.CertificateID: id, "os_type": "linux"}
}

func parse(t testing.TB, keyType, method, value string) *signature.Signature {
	t.Helper()
	s, err := signature.Parse(properties(keyType, method, value))
	if err != nil || s == nil {
		t.Fatalf("%s with %s: %v, %v", keyType, method, s, err)
	}
	return s
}

func sum(s *signature.Signature, data []byte) []byte {
	h := s.Hash()
	h.Write(data)
	return h.Sum(nil)
}

// changed returns Base64 of the signature with one bit turned over.
func changed(t testing.TB, value string, at int) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	raw[at*(len(raw)-1)/8] ^= 1
	return base64.StdEncoding.EncodeToString(raw)
}

// wrong are signatures that must not be accepted: those of make.sh, and good ones with changed bits.
func wrong(t testing.TB) (list [][3]string) {
	for _, name := range []string{"pkcs1.sig", "shortsalt.sig", "othermgf.sig"} {
		list = append(list, [3]string{"RSA-PSS", "SHA-256", string(read(t, name))})
	}
	for _, keyType := range keyTypes {
		value := string(read(t, keyType+".SHA-256.sig"))
		for at := range 9 {
			list = append(list, [3]string{keyType, "SHA-256", changed(t, value, at)})
		}
		raw, _ := base64.StdEncoding.DecodeString(value)
		list = append(list, [3]string{keyType, "SHA-384", value}, [3]string{keyType, "SHA-256", base64.StdEncoding.EncodeToString(raw[:len(raw)-1])},
			[3]string{keyType, "SHA-256", base64.StdEncoding.EncodeToString(append(raw, 0))})
	}
	return list
}

func TestSignaturesOfOpenSSL(t *testing.T) {
	data := read(t, "data")
	for _, keyType := range keyTypes {
		cert := certificate(t, keyType+".crt")
		for _, method := range methods {
			s := parse(t, keyType, method, string(read(t, keyType+"."+method+".sig")))
			if err := s.Verify(sum(s, data), cert); err != nil {
				t.Errorf("%s with %s: %v", keyType, method, err)
			}
			for what, sum := range map[string][]byte{"other data": sum(s, append(data, '!')), "no sum": nil, "half a sum": sum(s, data)[:10]} {
				if err := s.Verify(sum, cert); !errors.Is(err, image.ErrInvalid) || !strings.Contains(err.Error(), "verification for the image failed") {
					t.Errorf("%s with %s, %s: %v", keyType, method, what, err)
				}
			}
			if h := hashes.New(s.HashAlgo()); h == nil || h.Size() != s.Hash().Size() {
				t.Errorf("%s: there is no hash %q of that size", method, s.HashAlgo())
			}
		}
	}
}

func TestWrongSignaturesAreRefused(t *testing.T) {
	data := read(t, "data")
	for _, w := range wrong(t) {
		s := parse(t, w[0], w[1], w[2])
		if err := s.Verify(sum(s, data), certificate(t, w[0]+".crt")); !errors.Is(err, image.ErrInvalid) {
			t.Errorf("%v: %v", w, err)
		}
	}
}

func TestTheKeyMustBeOfTheType(t *testing.T) {
	for _, keyType := range keyTypes {
		s := parse(t, keyType, "SHA-256", string(read(t, keyType+".SHA-256.sig")))
		for _, other := range keyTypes {
			cert := certificate(t, other+".crt")
			if err := s.CheckKey(cert); (err == nil) != (keyType == other) {
				t.Errorf("a signature of %s with a key of %s: %v", keyType, other, err)
			}
			if err := s.Verify(sum(s, read(t, "data")), cert); (err == nil) != (keyType == other) {
				t.Errorf("a signature of %s with a key of %s: %v", keyType, other, err)
			}
		}
	}
}

// TestCursiveAgrees asks the library that Glance and Nova use about every signature of the other tests.
func TestCursiveAgrees(t *testing.T) {
	testservers.Require(t, "cursive")
	var question, want strings.Builder
	ask := func(keyType, method, value string, answer string) {
		fmt.Fprintf(&question, "%s %s %s %s\n", filepath.Join("testdata", keyType+".crt"), keyType, method, value)
		fmt.Fprintln(&want, answer)
	}
	for _, keyType := range keyTypes {
		for _, method := range methods {
			ask(keyType, method, string(read(t, keyType+"."+method+".sig")), "True")
		}
	}
	for _, w := range wrong(t) {
		ask(w[0], w[1], w[2], "False")
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/verify.py", "testdata/data")
	cmd.Stdin = strings.NewReader(question.String())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	if string(got) != want.String() {
		t.Errorf("cursive says\n%s\nof\n%s", got, &question)
	}
}

func TestAllFourPropertiesAskForAVerification(t *testing.T) {
	for name := range properties("", "", "") {
		p := properties("RSA-PSS", "SHA-256", "AAAA")
		delete(p, name)
		if s, err := signature.Parse(p); err != nil || (s != nil) != (name == "os_type") {
			t.Errorf("without %s: %v, %v", name, s, err)
		}
	}
	if s, err := signature.Parse(nil); s != nil || err != nil {
		t.Errorf("without properties: %v, %v", s, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ property, value, want string }{
		{signature.HashMethod, "MD5", "SHA-224, SHA-256, SHA-384, SHA-512"},
		{signature.HashMethod, "SHA-1", "SHA-224, SHA-256, SHA-384, SHA-512"},
		{signature.HashMethod, "sha-256", "SHA-224, SHA-256, SHA-384, SHA-512"},
		{signature.HashMethod, "", "hash method"},
		{signature.KeyType, "ECC_SECT571K1", "binary fields"},
		{signature.KeyType, "ECC_SECT409R1", "binary fields"},
		{signature.KeyType, "RSA", "DSA, ECC_SECP384R1, ECC_SECP521R1, RSA-PSS"},
		{signature.KeyType, "", "key type"},
		{signature.Value, "", "Base64"},
		{signature.Value, "AAA", "Base64"},
		{signature.Value, "AA==AA==", "Base64"},
		{signature.Value, "A-_A", "Base64"},
		{signature.CertificateID, "../../etc/passwd", "UUID"},
		{signature.CertificateID, "", "UUID"},
	} {
		p := properties("RSA-PSS", "SHA-256", "AAAA")
		p[tt.property] = tt.value
		s, err := signature.Parse(p)
		if s != nil || !errors.Is(err, image.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s = %q: %v, want an error with %q", tt.property, tt.value, err, tt.want)
		}
	}
	if s := parse(t, "RSA-PSS", "SHA-256", "AA\nAA\r\n AAAA\n"); s == nil {
		t.Error("the lines that base64 writes are refused")
	}
}

func FuzzSignature(f *testing.F) {
	for _, keyType := range keyTypes {
		f.Add(keyType, "SHA-256", string(read(f, keyType+".SHA-256.sig")))
	}
	for _, w := range wrong(f) {
		f.Add(w[0], w[1], w[2])
	}
	data := read(f, "data")
	valid := map[string]bool{}
	for _, keyType := range keyTypes {
		for _, method := range methods {
			raw, _ := base64.StdEncoding.DecodeString(string(read(f, keyType+"."+method+".sig")))
			valid[keyType+method+string(raw)] = true
		}
	}
	f.Fuzz(func(t *testing.T, keyType, method, value string) {
		s, err := signature.Parse(properties(keyType, method, value))
		if err != nil {
			if !errors.Is(err, image.ErrInvalid) {
				t.Errorf("%v is no image.ErrInvalid", err)
			}
			return
		}
		if err := s.Verify(sum(s, data), certificate(t, keyType+".crt")); err == nil {
			raw, _ := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), ""))
			if !valid[keyType+method+string(raw)] {
				t.Errorf("a made-up signature is accepted: %q", value)
			}
		}
	})
}
