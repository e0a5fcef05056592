package outbound

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/internal/watchfile"
)

func TestCAFile(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
	server.EnableHTTP2 = true                           // but images come over HTTP/1.1
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	trusting := newClient(t, Config{Policy: loopback(t), CAFile: ca})
	if data, err := fetched(t, trusting, server.URL); data != "HTTP/1.1" || err != nil {
		t.Errorf("with the CA file: %q, %v", data, err)
	}
	if _, err := fetched(t, trusting, named(t, server.URL, "one.test")); err == nil {
		t.Error("a certificate for another name is accepted")
	}
	if _, err := fetched(t, newClient(t, Config{Policy: loopback(t)}), server.URL); err == nil {
		t.Error("an unknown certificate is accepted")
	}
}

func TestAChangedCAFileTakesEffect(t *testing.T) {
	dir := t.TempDir()
	ca, first, second := filepath.Join(dir, "ca.pem"), selfSigned(t), selfSigned(t)
	if err := os.WriteFile(ca, first, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Config{Policy: loopback(t), CAFile: ca})
		trusts := func(cert []byte) bool {
			want, err := parseRoots([][]byte{cert})
			return err == nil && c.transport().TLSClientConfig.RootCAs.Equal(want)
		}
		if before := c.transport(); !trusts(first) || c.transport() != before {
			t.Error("the first file is not what is trusted, or makes a transport for each request")
		}
		if err := os.WriteFile(ca, second, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(watchfile.Interval)
		if !trusts(second) {
			t.Error("the changed file is not taken over")
		}
	})
}

// selfSigned returns a new certificate in PEM.
func selfSigned(t *testing.T) []byte {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
