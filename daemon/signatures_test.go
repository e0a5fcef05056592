package daemon_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/daemon"
	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/signature"
	"github.com/vitrine-image/vitrine/internal/signature/signaturetest"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestSigningAsThePageSays runs the commands of the page with openssl and the openstack client, and then again with other bytes.
func TestSigningAsThePageSays(t *testing.T) {
	testservers.Require(t, "openssl", "openstack")
	page, err := os.ReadFile("../docs/howto/signed-images.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, TOML: fmt.Sprintf("[signatures]\ndirectory = %q\n", dir)})
	put(t, filepath.Join(dir, "image.qcow2"), string(formattest.QCOW2(1<<20)))
	script := "set -eu\nopenstack() { command openstack --os-auth-type none --os-endpoint " + d.Endpoint + ` "$@"; }` + "\n"
	var create string
	for i, block := range strings.Split(string(page), "```") {
		if commands, isShell := strings.CutPrefix(block, "sh\n"); isShell && i%2 == 1 {
			script += strings.ReplaceAll(commands, "/etc/vitrine/certificates/", dir+"/")
		}
		if command, isCreate := strings.CutPrefix(block, "console\n$ openstack image create"); isCreate && i%2 == 1 {
			create = "openstack image create" + command
		}
	}
	script += create + "printf x >>image.qcow2\n" + create
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH=/usr/bin:/bin")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "400") {
		t.Errorf("the commands end with %v: %s", err, out)
	}
	var names []string
	for img, err := range d.Client.List(t.Context(), image.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, *img.Name)
		if img.Status != image.Active || img.Properties[signature.Value] == "" {
			t.Errorf("image = %+v", img)
		}
	}
	if !slices.Equal(names, []string{"signed-image"}) {
		t.Errorf("there are the images %q; the first command makes one, and the second one takes its own away again", names)
	}
	if !strings.Contains(d.Log(), `"status":400`) {
		t.Errorf("no upload was refused: %s", d.Log())
	}
}

// TestSigningOfTheOpenStackClient has the library sign by which `openstack image create --sign-key-path` signs. The command itself
// asks for a password at a terminal.
func TestSigningOfTheOpenStackClient(t *testing.T) {
	testservers.Require(t, "openssl", "openstack")
	dir := t.TempDir()
	id, data := image.NewID(), []byte("an image")
	cfg := daemon.Default()
	cfg.Data, cfg.Signatures.Directory = filepath.Join(dir, "data"), dir
	put(t, filepath.Join(dir, "image"), string(data))
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `set -eu
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem 2>/dev/null
openssl req -x509 -new -key key.pem -subj "/CN=image builder" -days 1 -out $0.pem
exec /usr/bin/python3 -c '
import base64
from openstack.image.image_signer import ImageSigner
signer = ImageSigner()
signer.load_private_key("key.pem")
print(base64.b64encode(signer.generate_signature(open("image", "rb"))).decode(), signer.hash_method, signer.padding_method)'`, string(id))
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	answer := strings.Fields(string(out))
	if err != nil || len(answer) != 3 {
		t.Fatalf("the library says %q, %v", out, err)
	}
	c, _ := run(t, cfg)
	newDisk(t, c, "signed", data, signaturetest.Edits(map[string]string{signature.Value: answer[0], signature.HashMethod: answer[1],
		signature.KeyType: answer[2], signature.CertificateID: string(id)})...)
}

// TestCertificatesThatAreNone uploads to an image whose certificate is wrong in some way, and once it is right.
func TestCertificatesThatAreNone(t *testing.T) {
	good := signaturetest.New(nil)
	cfg := verifying(t)
	c, _ := run(t, cfg)
	path := filepath.Join(cfg.Signatures.Directory, string(good.ID)+".pem")
	content := func(text string) func() error {
		return func() error { return os.WriteFile(path, []byte(text), 0o600) }
	}
	other := func(edit func(*x509.Certificate)) func() error { return content(string(signaturetest.New(edit).PEM())) }
	data := []byte("signed")
	img, err := c.Create(t.Context(), "", append(good.Edits(t, data),
		image.Edit{Op: image.EditAdd, Name: "disk_format", Value: "raw"}, image.Edit{Op: image.EditAdd, Name: "container_format", Value: "bare"}))
	if err != nil {
		t.Fatal(err)
	}
	upload := func() error {
		return c.Upload(t.Context(), img.ID, client.Upload{Body: bytes.NewReader(data), Size: int64(len(data))})
	}
	for _, tt := range []struct {
		name string
		put  func() error
		want string
	}{
		{"none", func() error { return nil }, "There is no certificate"},
		{"nothing in it", content(""), "no X.509 certificate"},
		{"text", content("certificate"), "no X.509 certificate"},
		{"cut short", content(string(good.PEM()[:300])), "no X.509 certificate"},
		{"damaged", content(strings.Replace(string(good.PEM()), "MI", "AA", 1)), "no X.509 certificate"},
		{"very large", content(strings.Repeat("-----BEGIN ", 1<<20)), "larger than"},
		{"a key", content("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "no X.509 certificate"},
		{"a link out of the directory", func() error { return os.Symlink("/etc/passwd", path) }, "cannot be read"},
		{"a pipe", func() error { return unix.Mkfifo(path, 0o600) }, "cannot be read"},
		{"a directory", func() error { return os.Mkdir(path, 0o700) }, "cannot be read"},
		{"expired", other(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "has expired"},
		{"of tomorrow", other(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), "not valid before"},
		{"for other purposes", other(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), "key usage"},
		{"of another key", other(nil), "verification for the image failed"},
	} {
		if err := tt.put(); err != nil {
			t.Fatal(err)
		}
		if err := upload(); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if now, err := c.Get(t.Context(), img.ID); err != nil || now.Status != image.Queued || now.Size != nil {
			t.Errorf("%s: the image is %+v, %v", tt.name, now, err)
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	wantObjects(t, filepath.Join(cfg.Data, "images"), map[string]bool{})
	good.Put(t, cfg.Signatures.Directory)
	if err := upload(); err != nil {
		t.Error(err)
	}
}

// TestWithoutCertificatesSignedDataIsRefused uploads, stages and imports where nobody can verify.
func TestWithoutCertificatesSignedDataIsRefused(t *testing.T) {
	cfg := daemon.Default()
	cfg.Data, cfg.Outgoing.AllowNetworks = t.TempDir(), []string{"192.0.2.1"}
	c, _ := run(t, cfg)
	data := []byte("signed")
	id := newRaw(t, c)
	if _, err := c.Edit(t.Context(), id, signaturetest.Default().Edits(t, data)); err != nil {
		t.Fatal(err)
	}
	up := func() client.Upload { return client.Upload{Body: bytes.NewReader(data), Size: int64(len(data))} }
	for what, err := range map[string]error{
		"Upload": c.Upload(t.Context(), id, up()),
		"Stage":  c.Stage(t.Context(), id, up()),
		"Import": c.Import(t.Context(), id, image.Import{Method: image.ImportURL, URL: "http://192.0.2.1/"}),
	} {
		if !errors.Is(err, image.ErrInvalid) || !strings.Contains(err.Error(), "knows no certificates") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestTrustFileChanges trusts one signer, then another, while the daemon runs.
func TestTrustFileChanges(t *testing.T) {
	first, second := signaturetest.New(nil), signaturetest.New(nil)
	cfg := verifying(t, first, second)
	dir := t.TempDir()
	cfg.Signatures.TrustFile = put(t, filepath.Join(dir, "trusted.pem"), string(first.PEM()))
	c, _ := run(t, cfg)
	data := []byte("signed")
	upload := func(s *signaturetest.Signer) error {
		id := newRaw(t, c)
		if _, err := c.Edit(t.Context(), id, s.Edits(t, data)); err != nil {
			t.Fatal(err)
		}
		return c.Upload(t.Context(), id, client.Upload{Body: bytes.NewReader(data), Size: int64(len(data))})
	}
	if err := upload(first); err != nil {
		t.Error(err)
	}
	if err := upload(second); !errors.Is(err, image.ErrInvalid) || !strings.Contains(err.Error(), "not signed by an authority") {
		t.Errorf("a signer who is not trusted: %v", err)
	}
	copyFile(t, put(t, filepath.Join(dir, "next.pem"), string(second.PEM())), cfg.Signatures.TrustFile)
	err := upload(second)
	for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); {
		err = upload(second)
	}
	if err != nil {
		t.Errorf("a signer who is trusted by now: %v", err)
	}
	if err := upload(first); !errors.Is(err, image.ErrInvalid) {
		t.Errorf("a signer who is not trusted any more: %v", err)
	}
}

// A proxy adds what a proxy in front says of its users, whose tokens are those of a client.
type proxy struct{ http.RoundTripper }

func (p proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, value := range map[string]string{"X-Identity-Status": "Confirmed", "X-User-Id": "olga", "X-Project-Id": "ops", "X-Roles": "admin"} {
		r.Header.Set(name, value)
	}
	return p.RoundTripper.RoundTrip(r)
}

// TestSignaturesFromBarbican asks the key manager with the token of who uploads or imports, before the data comes.
func TestSignaturesFromBarbican(t *testing.T) {
	signer, data := signaturetest.New(nil), []byte("signed")
	var down atomic.Bool
	barbican := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case down.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.Header.Get("X-Auth-Token") != "olga's":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/v1/secrets/"+string(signer.ID)+"/payload":
			w.Write(signer.Certificate.Raw)
		default:
			http.NotFound(w, r)
		}
	}))
	defer barbican.Close()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		down.Store(true) // the data comes when nobody could be asked any more
		w.Write(data)
	}))
	defer web.Close()
	cfg := verifying(t)
	cfg.API.Listen, cfg.Auth.Type = []string{"127.0.0.1:0"}, "trusted_headers"
	cfg.Signatures = daemon.SignaturesConfig{Barbican: barbican.URL}
	cfg.Outgoing.AllowNetworks, cfg.Outgoing.AllowedPorts = []string{"127.0.0.1"}, []int{}
	running, _ := start(t, cfg)
	as := func(token string) *client.Client {
		transport := &http.Transport{}
		c, err := client.New(client.Config{Endpoint: "http://" + running.Addrs[0].String(), Token: token, Retries: -1,
			HTTPClient: &http.Client{Transport: proxy{transport}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(transport.CloseIdleConnections)
		t.Cleanup(c.Close)
		return c
	}
	olga := as("olga's")
	create := func() image.ID {
		t.Helper()
		id := newRaw(t, olga)
		if _, err := olga.Edit(t.Context(), id, signer.Edits(t, data)); err != nil {
			t.Fatal(err)
		}
		return id
	}
	upload := func(c *client.Client, id image.ID) error {
		return c.Upload(t.Context(), id, client.Upload{Body: bytes.NewReader(data), Size: int64(len(data))})
	}
	id := create()
	for token, want := range map[string]string{"": "this request has none", "otto's": "may not read"} {
		if err := upload(as(token), id); !errors.Is(err, image.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("with the token %q: %v, want %q", token, err, want)
		}
	}
	if err := upload(olga, id); err != nil {
		t.Error(err)
	}
	id = create()
	if err := olga.Import(t.Context(), id, image.Import{Method: image.ImportURL, URL: web.URL}); err != nil {
		t.Fatal(err)
	}
	if img := imported(t, olga, id); img.Status != image.Active {
		t.Errorf("image = %+v", img)
	}
	if err := upload(olga, create()); err == nil || !strings.Contains(err.Error(), "key manager") || errors.Is(err, image.ErrInvalid) {
		t.Errorf("without a key manager: %v", err)
	}
}

// imported waits until the import of an image has ended.
func imported(t *testing.T, c *client.Client, id image.ID) *image.Image {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for {
		img, err := c.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if _, under := img.Properties[image.PropertyImportTask]; !under {
			return img
		}
	}
}
