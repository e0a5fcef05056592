package daemon_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/daemon"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testcert"
)

// copyFile replaces a file by another one, as a renewal of certificates does.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
}

// withTLS is a configuration that listens with TLS, too, and the paths of its certificate and key.
func withTLS(t *testing.T, ca *testcert.Authority) (cfg daemon.Config, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	firstCert, firstKey := ca.Issue(t, "first")
	copyFile(t, firstCert, cert)
	copyFile(t, firstKey, key)
	cfg = daemon.Default()
	cfg.Data = filepath.Join(dir, "data")
	cfg.API.Listen, cfg.API.ListenTLS = []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
	cfg.API.TLSCert, cfg.API.TLSKey = cert, key
	return cfg, cert, key
}

// served returns the name of the certificate that is shown to a new connection, or the error of a request.
func served(address string, config *tls.Config) (name string, err error) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	resp, err := client.Get("https://" + address + "/v2/schemas/image")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != 1 {
		return "", fmt.Errorf("%s %s, %v", resp.Proto, resp.Status, err)
	}
	return resp.TLS.PeerCertificates[0].Subject.CommonName, nil
}

// waitServed waits until new connections see the certificate of that name.
func waitServed(t *testing.T, address string, config *tls.Config, want string) {
	t.Helper()
	for t.Context().Err() == nil {
		name, err := served(address, config)
		if err != nil {
			t.Fatal(err)
		}
		if name == want {
			return
		}
	}
}

func TestPlainAndTLSSideBySide(t *testing.T) {
	ca := testcert.New(t)
	cfg, _, _ := withTLS(t, ca)
	running, _ := start(t, cfg)
	plain, err := client.New(client.Config{Endpoint: "http://" + running.Addrs[0].String()})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := plain.Versions(t.Context()); err != nil {
		t.Errorf("without TLS: %v", err)
	}
	address := running.Addrs[1].String()
	if name, err := served(address, &tls.Config{RootCAs: ca.Pool}); err != nil || name != "first" {
		t.Errorf("with TLS: %s, %v", name, err)
	}
	if _, err := served(address, &tls.Config{RootCAs: ca.Pool, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	resp, err := http.Get("http://" + address + "/versions")
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("a request without TLS where it belongs got %s", resp.Status)
		}
	}
}

// TestCertificateIsRenewedUnderLoad replaces the certificate while one download goes on and others begin.
func TestCertificateIsRenewedUnderLoad(t *testing.T) {
	ca := testcert.New(t)
	cfg, cert, key := withTLS(t, ca)
	running, _ := start(t, cfg)
	address, trust := running.Addrs[1].String(), &tls.Config{RootCAs: ca.Pool}
	transport := &http.Transport{TLSClientConfig: trust}
	c, err := client.New(client.Config{Endpoint: "https://" + address, Retries: -1, HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	id, data := newRaw(t, c), bytes.Repeat([]byte("vitrine!"), 1<<20)
	if err := c.Upload(t.Context(), id, client.Upload{Body: bytes.NewReader(data), Size: int64(len(data))}); err != nil {
		t.Fatal(err)
	}
	old, err := c.Download(t.Context(), id, client.DownloadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if _, err := io.ReadFull(old, make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var downloads atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range 2 {
		g.Go(func() error {
			for ctx.Err() == nil {
				if err := download(t.Context(), address, trust, id); err != nil {
					return err
				}
				downloads.Add(1)
			}
			return nil
		})
	}
	otherCert, otherKey := ca.Issue(t, "second")
	copyFile(t, otherCert, cert) // with the key of the first: what was good before stays
	for before := downloads.Load(); downloads.Load() < before+4 && ctx.Err() == nil; {
		if name, err := served(address, trust); err != nil || name != "first" {
			t.Fatalf("with a certificate and a key that do not fit: %q, %v", name, err)
		}
	}
	copyFile(t, otherKey, key)
	waitServed(t, address, trust, "second")
	stop()
	if err := g.Wait(); err != nil {
		t.Errorf("downloads while the certificate was renewed: %v", err)
	}
	if _, err := io.Copy(io.Discard, old); err != nil {
		t.Errorf("the download that began before the renewal: %v", err)
	}
}

// download reads an image over a connection of its own.
func download(ctx context.Context, address string, trust *tls.Config, id image.ID) error {
	c, err := client.New(client.Config{Endpoint: "https://" + address, Retries: -1,
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: trust}}})
	if err != nil {
		return err
	}
	defer c.Close()
	d, err := c.Download(ctx, id, client.DownloadOptions{})
	if err != nil {
		return err
	}
	defer d.Close()
	_, err = io.Copy(io.Discard, d)
	return err
}

func TestClientCertificates(t *testing.T) {
	ca, strangers := testcert.New(t), testcert.New(t)
	for _, required := range []bool{false, true} {
		t.Run(fmt.Sprintf("required=%v", required), func(t *testing.T) {
			cfg, _, _ := withTLS(t, ca)
			cfg.API.TLSClientCA, cfg.API.TLSRequireClientCert = ca.File, required
			running, _ := start(t, cfg)
			address := running.Addrs[1].String()
			if _, err := served(address, &tls.Config{RootCAs: ca.Pool, Certificates: []tls.Certificate{ca.Pair(t, "olga")}}); err != nil {
				t.Errorf("with a certificate: %v", err)
			}
			stranger := strangers.Pair(t, "eve")
			show := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger, nil } // whoever is asked for
			if _, err := served(address, &tls.Config{RootCAs: ca.Pool, GetClientCertificate: show}); err == nil {
				t.Error("a stranger's certificate was accepted")
			}
			if _, err := served(address, &tls.Config{RootCAs: ca.Pool}); (err != nil) != required {
				t.Errorf("without a certificate: %v", err)
			}
		})
	}
}
