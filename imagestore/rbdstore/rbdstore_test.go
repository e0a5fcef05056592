//go:build ceph

package rbdstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/testservers"
	"github.com/vitrine-image/vitrine/rbd"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(uploadVariable) != "" {
		upload() // does not return
	}
	code := m.Run()
	if err := errors.Join(testservers.StopShared(), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, act string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v, want %v", act, err, want)
	}
}

// config is that of a store in the pool images.
func config(c *testservers.Ceph) Config {
	return Config{ID: "ceph", Conf: c.Conf, User: "images", Pool: "images", Timeout: 20 * time.Second}
}

// openStore opens a store until the test ends.
func openStore(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// emptyStore opens a store over a pool from which everything was removed.
func emptyStore(t *testing.T, cfg Config) *Store {
	t.Helper()
	s := openStore(t, cfg)
	ctx := t.Context()
	names, err := s.pool.List(ctx)
	must(t, err)
	for _, name := range names {
		img, err := s.pool.Open(ctx, name, "", rbd.Writable)
		must(t, err)
		must(t, dropSnapshots(ctx, img))
		must(t, img.Close(ctx))
		must(t, s.pool.Remove(ctx, name))
	}
	_, err = s.emptyTrash(ctx)
	must(t, err)
	return s
}

func put(t *testing.T, s *Store, data []byte) image.Location {
	t.Helper()
	loc, err := s.Put(t.Context(), storetest.NewObject(), storetest.NewSource(data, 256<<10))
	must(t, err)
	return loc
}

func openReader(t *testing.T, s *Store, loc image.Location) imagestore.Reader {
	t.Helper()
	r, err := s.Open(t.Context(), loc)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func wantData(t *testing.T, r imagestore.Reader, data []byte) {
	t.Helper()
	got, err := storetest.ReadAll(t.Context(), r)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("the reader gives %d bytes, %v, want the %d that were put", len(got), err, len(data))
	}
}

// wantStored is wantData for what nobody else reads afterwards.
func wantStored(t *testing.T, s *Store, loc image.Location, data []byte) {
	t.Helper()
	r, err := s.Open(t.Context(), loc)
	must(t, err)
	wantData(t, r, data)
	must(t, r.Close())
}

// imageOf is the name of the image at a location.
func imageOf(loc image.Location) string { return strings.Split(loc.URL, "/")[4] }

func TestStore(t *testing.T) {
	c := testservers.SharedCeph(t)
	storetest.Run(t, storetest.Factory{
		ID:  "ceph",
		New: func(t *testing.T) imagestore.Writer { return emptyStore(t, config(c)) },
		Reopen: func(t *testing.T, old imagestore.Writer) imagestore.Writer {
			old.(*Store).Close()
			cfg := config(c)
			cfg.FSID = c.FSID
			return openStore(t, cfg)
		},
	})
}
