package daemon_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/daemon"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// vitrineUser is this service's own user at the Keystone of these tests.
var vitrineUser struct {
	sync.Once
	cfg daemon.KeystoneConfig
}

// openKeystone returns the Keystone of these tests, and what a daemon needs to use it.
func openKeystone(t testing.TB) (*testservers.Keystone, daemon.KeystoneConfig) {
	t.Helper()
	keystone := testservers.SharedKeystone(t)
	vitrineUser.Do(func() {
		service := keystone.Service(t, "vitrine")
		cfg := daemon.Default().Auth.Keystone
		cfg.URL, cfg.Username, cfg.Project, cfg.Password = keystone.AuthURL, "vitrine", "vitrine", image.Secret(service.Password)
		vitrineUser.cfg = cfg
	})
	return keystone, vitrineUser.cfg
}

func keystoneTOML(cfg daemon.KeystoneConfig, more string) string {
	return fmt.Sprintf("[auth]\ntype = \"keystone\"\n[auth.keystone]\nurl = %q\nusername = %q\nproject = %q\npassword = %q\n%s",
		cfg.URL, cfg.Username, cfg.Project, string(cfg.Password), more)
}

// as returns a client with a token.
func as(t *testing.T, endpoint, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Endpoint: endpoint, Token: token, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestKeystone lets a real Keystone say who asks, while it runs and while it does not.
func TestKeystone(t *testing.T) {
	keystone, cfg := openKeystone(t)
	ops, dev := keystone.Project(t, "ops"), keystone.Project(t, "dev")
	keystone.User(t, "olga", "secret", ops, "member")
	keystone.User(t, "otto", "secret", dev, "member")
	keystone.User(t, "rita", "secret", ops, "reader")
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), TOML: keystoneTOML(cfg, "")})
	olgasToken := keystone.Token(t, keystone.Login("olga", "secret", ops))
	olga := as(t, d.Endpoint, olgasToken)
	otto := as(t, d.Endpoint, keystone.Token(t, keystone.Login("otto", "secret", dev)))
	rita := as(t, d.Endpoint, keystone.Token(t, keystone.Login("rita", "secret", ops)))
	admin := as(t, d.Endpoint, keystone.Token(t, keystone.AdminLogin()))

	id := newDisk(t, olga, "debian", []byte("disk"))
	img, err := olga.Get(t.Context(), id)
	if err != nil || img.Owner != ops {
		t.Fatalf("the image is of project %q, %v, want %s", img.Owner, err, ops)
	}
	if _, err := rita.Get(t.Context(), id); err != nil {
		t.Errorf("a reader of the project: %v", err)
	}
	if _, err := rita.Create(t.Context(), "", nil); !errors.Is(err, image.ErrForbidden) {
		t.Errorf("a reader creates: %v, want image.ErrForbidden", err)
	}
	if _, err := otto.Get(t.Context(), id); !errors.Is(err, image.ErrNotFound) {
		t.Errorf("another project: %v, want image.ErrNotFound", err)
	}
	publish := []image.Edit{{Op: image.EditReplace, Name: "visibility", Value: "public"}}
	if _, err := olga.Edit(t.Context(), id, publish); !errors.Is(err, image.ErrForbidden) {
		t.Errorf("a member publishes: %v, want image.ErrForbidden", err)
	}
	if _, err := admin.Edit(t.Context(), id, publish); err != nil {
		t.Errorf("an admin publishes: %v", err)
	}
	if _, err := otto.Get(t.Context(), id); err != nil {
		t.Errorf("another project, once it is public: %v", err)
	}

	for _, path := range []string{"/healthcheck", "/versions", "/"} {
		resp, err := http.Get(d.Endpoint + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode >= 400 {
			t.Errorf("GET %s without a token: %s", path, resp.Status)
		}
	}
	resp, err := http.Get(d.Endpoint + "/v2/images")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got, want := resp.Header.Get("WWW-Authenticate"), `Keystone uri="`+keystone.AuthURL+`"`; resp.StatusCode != 401 || got != want {
		t.Errorf("without a token: %s, WWW-Authenticate %s, want %s", resp.Status, got, want)
	}
	if _, err := as(t, d.Endpoint, "nonsense").Get(t.Context(), id); !errors.Is(err, image.ErrUnauthorized) {
		t.Errorf("a token that is none: %v, want image.ErrUnauthorized", err)
	}

	fresh := keystone.Token(t, keystone.Login("olga", "secret", ops))
	if err := keystone.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := olga.Get(t.Context(), id); err != nil {
		t.Errorf("a token that is known, without Keystone: %v", err)
	}
	if _, err := as(t, d.Endpoint, fresh).Get(t.Context(), id); !errors.Is(err, image.ErrUnavailable) {
		t.Errorf("a token that is not known, without Keystone: %v, want image.ErrUnavailable", err)
	}
	if err := keystone.Restart(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(keystone.Stop(), keystone.Restart(context.Background(), time.Hour)); err != nil {
			t.Error(err)
		}
	}()
	if _, err := as(t, d.Endpoint, fresh).Get(t.Context(), id); err != nil {
		t.Errorf("a token that is not known, with Keystone again: %v", err)
	}
	short := as(t, d.Endpoint, keystone.Token(t, keystone.Login("olga", "secret", ops)))
	for err = nil; err == nil && t.Context().Err() == nil; {
		_, err = short.Get(t.Context(), id)
	}
	if !errors.Is(err, image.ErrUnauthorized) {
		t.Errorf("a token that has expired: %v, want image.ErrUnauthorized", err)
	}
	for _, secret := range []string{string(cfg.Password), olgasToken, fresh} {
		if strings.Contains(d.Log(), secret) {
			t.Errorf("the log holds the secret %q", secret)
		}
	}
	if want := `"user_id":`; !strings.Contains(d.Log(), want) || !strings.Contains(d.Log(), `"auth":"keystone"`) {
		t.Error("the log does not say who sent requests")
	}
}

// TestOpenStackClientWithKeystone lets the client find the API in the catalog and log in by itself.
func TestOpenStackClientWithKeystone(t *testing.T) {
	testservers.Require(t, "openstack")
	keystone, cfg := openKeystone(t)
	ops, dev := keystone.Project(t, "red"), keystone.Project(t, "blue")
	keystone.User(t, "rosa", "secret", ops, "member")
	keystone.User(t, "benno", "secret", dev, "member")
	dir := t.TempDir()
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, TOML: keystoneTOML(cfg, "")})
	keystone.Register(t, "image", "vitrine", d.Endpoint)
	rosa := func(args ...string) (string, error) {
		return keystone.OpenStack(t.Context(), "rosa", "secret", "red", args...)
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := rosa(args...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	data := bytes.Repeat([]byte("disk"), 100_000)
	file, saved := filepath.Join(dir, "disk.raw"), filepath.Join(dir, "saved.raw")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	id := must("image", "create", "--disk-format", "raw", "--container-format", "bare", "--file", file, "-f", "value", "-c", "id", "debian 12")
	must("image", "save", "--file", saved, "debian 12")
	if got, err := os.ReadFile(saved); err != nil || !bytes.Equal(got, data) {
		t.Errorf("openstack image save gave %d bytes, %v", len(got), err)
	}
	if owner := must("image", "show", "-f", "value", "-c", "owner", id); owner != ops {
		t.Errorf("the image's owner is %s, want %s", owner, ops)
	}
	if out, err := rosa("image", "set", "--public", id); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("a member publishes: %q, %v", out, err)
	}
	if out, err := keystone.OpenStack(t.Context(), "benno", "secret", "blue", "image", "show", id); err == nil {
		t.Errorf("another project sees the image: %s", out)
	}
	shareWithOpenStack(t, must, func(args ...string) (string, error) {
		return keystone.OpenStack(t.Context(), "benno", "secret", "blue", args...)
	}, id, dev)
	if _, err := keystone.OpenStack(t.Context(), "admin", keystone.Password, "admin", "image", "set", "--public", id); err != nil {
		t.Error(err)
	}
	if out, err := keystone.OpenStack(t.Context(), "benno", "secret", "blue", "image", "list", "-f", "value", "-c", "Name"); err != nil ||
		strings.TrimSpace(out) != "debian 12" {
		t.Errorf("the public image, for another project: %q, %v", out, err)
	}
	must("image", "delete", id)
}

// shareWithOpenStack lets the owner of an image share it with a project, whose member accepts it.
func shareWithOpenStack(t *testing.T, owner func(...string) string, member func(...string) (string, error), id, project string) {
	t.Helper()
	listed := func(want string) {
		t.Helper()
		if out, err := member("image", "list", "-f", "value", "-c", "ID"); err != nil || strings.TrimSpace(out) != want {
			t.Errorf("the member's list = %q, %v, want %q", out, err, want)
		}
	}
	owner("image", "add", "project", id, project)
	if out := owner("image", "member", "list", "-f", "value", "-c", "Member ID", "-c", "Status", id); out != project+" pending" {
		t.Errorf("openstack image member list = %q", out)
	}
	if out, err := member("image", "set", "--accept", id); err != nil {
		t.Errorf("openstack image set --accept: %s, %v", out, err)
	}
	listed(id)
	owner("image", "remove", "project", id, project)
	listed("")
}

// BenchmarkKeystoneCached compares GET of one image with a token that is remembered to the same without authentication, in
// turns: ratio is how much of its rate is left.
func BenchmarkKeystoneCached(b *testing.B) {
	keystone, cfg := openKeystone(b)
	name := rand.Text()
	project := keystone.Project(b, name)
	keystone.User(b, name, "secret", project, "member")
	token := keystone.Token(b, keystone.Login(name, "secret", project))
	open := func(change func(*daemon.Config)) func() time.Duration {
		c := daemon.Default()
		c.Data = b.TempDir()
		c.API.Listen = []string{"127.0.0.1:0"}
		change(&c)
		running, _ := start(b, c)
		address := running.Addrs[0].String()
		client, err := client.New(client.Config{Endpoint: "http://" + address, Token: token})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(client.Close)
		img, err := client.Create(b.Context(), "", nil)
		if err != nil {
			b.Fatal(err)
		}
		return roundOfGets(b, address, string(img.ID), token)
	}
	without := open(func(*daemon.Config) {})
	with := open(func(c *daemon.Config) { c.Auth.Type, c.Auth.Keystone = "keystone", cfg })
	without()
	with()
	var ratios []float64
	b.ResetTimer()
	for b.Loop() {
		ratios = append(ratios, float64(without())/float64(with()))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
}

// roundOfGets returns what asks for an image a thousand times over one connection, and how long that takes.
func roundOfGets(b *testing.B, address, id, token string) func() time.Duration {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	in := bufio.NewReader(conn)
	ask := "GET /v2/images/" + id + " HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Auth-Token: " + token + "\r\n\r\n"
	return func() time.Duration {
		started := time.Now()
		for range 1000 {
			if _, err := io.WriteString(conn, ask); err != nil {
				b.Fatal(err)
			}
			resp, err := http.ReadResponse(in, nil)
			if err != nil || resp.StatusCode != http.StatusOK {
				b.Fatal(resp.Status, err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(started)
	}
}
