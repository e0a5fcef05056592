package daemon_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/daemon"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice/servicetest"
	"github.com/vitrine-image/vitrine/internal/signature/signaturetest"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
)

// TestContractOverHTTP runs the suite of the verbs through client, api and service in a row.
func TestContractOverHTTP(t *testing.T) {
	servicetest.Run(t, func(t *testing.T) servicetest.Images {
		c, _ := run(t, verifying(t, signaturetest.Default()))
		return servicetest.Remote{Client: c}
	})
}

// verifying returns the configuration of a daemon that has the certificates of the signers.
func verifying(t *testing.T, signers ...*signaturetest.Signer) daemon.Config {
	t.Helper()
	cfg := daemon.Default()
	cfg.Data, cfg.Signatures.Directory = t.TempDir(), t.TempDir()
	for _, s := range signers {
		s.Put(t, cfg.Signatures.Directory)
	}
	return cfg
}

// inProcess runs a daemon within the test and returns a client of it.
func inProcess(t *testing.T, dir string) *client.Client {
	t.Helper()
	cfg := daemon.Default()
	cfg.Data = dir
	c, _ := run(t, cfg)
	return c
}

// run runs a daemon within the test until stop is called, or the test ends, and returns a client of it.
func run(t *testing.T, cfg daemon.Config) (c *client.Client, stop func()) {
	t.Helper()
	cfg.API.Listen = []string{"127.0.0.1:0"}
	running, stop := start(t, cfg)
	c, err := client.New(client.Config{Endpoint: "http://" + running.Addrs[0].String(), Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, stop
}

// start runs a daemon within the test until stop is called, or the test ends.
func start(t testing.TB, cfg daemon.Config) (running daemon.Running, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan daemon.Running, 1), make(chan error, 1)
	log := new(testdaemon.Log)
	go func() {
		done <- daemon.Run(ctx, cfg, daemon.Options{Log: log, Ready: func(r daemon.Running) { ready <- r }})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := cmp.Or(<-done, log.Problem()); err != nil {
			t.Errorf("the daemon ended badly: %v", err)
		}
	})
	t.Cleanup(stop)
	select {
	case running = <-ready:
	case err := <-done:
		done <- nil
		t.Fatalf("the daemon did not start: %v", err)
	}
	return running, stop
}

// waitSaving waits until the upload to an image is under way.
func waitSaving(t *testing.T, c *client.Client, id image.ID) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		img, err := c.Get(t.Context(), id)
		switch {
		case err != nil || time.Now().After(end):
			t.Fatalf("the upload does not begin: %+v, %v", img, err)
		case img.Status == image.Saving:
			return
		}
	}
}

// TestDeletingEndsAnUploadThatWaits deletes an image whose upload sends nothing more.
func TestDeletingEndsAnUploadThatWaits(t *testing.T) {
	c := inProcess(t, t.TempDir())
	id := newRaw(t, c)
	body, w := io.Pipe()
	defer w.Close()
	done := make(chan error, 1)
	go func() { done <- c.Upload(context.Background(), id, client.Upload{Body: body, Size: 10 << 20}) }()
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	waitSaving(t, c, id)
	if err := c.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, image.ErrGone) {
		t.Errorf("the upload ended with %v, want image.ErrGone", err)
	}
}
