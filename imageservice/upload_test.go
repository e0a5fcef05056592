package imageservice_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
)

// TestLongUpload takes three days: neither its own process nor another one may clean up after it meanwhile.
func TestLongUpload(t *testing.T) {
	dir, db := t.TempDir(), openDB(t, t.TempDir())
	var ahead atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	serve := func() *imageservice.Service {
		return openWith(t, imageservice.Config{DB: db, Now: clock}, imagestore.Entry{ID: "local", Store: openFiles(t, "local", dir), Default: true})
	}
	own, other := serve(), serve()
	s := session{own.As(admin)}
	img := queued(t, s)
	body, client := io.Pipe()
	done := make(chan error, 1)
	go func() {
		defer body.Close()
		done <- s.Upload(context.Background(), img.ID, body, -1)
	}()
	for range 3 {
		if _, err := client.Write([]byte("day ")); err != nil {
			t.Error(err)
		}
		ahead.Add(int64(24 * time.Hour))
		if err := errors.Join(own.Beat(t.Context()), other.Sweep(t.Context(), anyStore), own.Sweep(t.Context(), anyStore)); err != nil {
			t.Error(err)
		}
		checkStatus(t, s, img.ID, image.Saving)
	}
	client.Close()
	if err := <-done; err != nil {
		t.Errorf("Upload = %v", err)
	}
	checkData(t, s, img.ID, "day day day ")
}

// TestUploadRefuses says no before a byte is read, and leaves the image queued.
func TestUploadRefuses(t *testing.T) {
	files := openFiles(t, "local", t.TempDir())
	svc := openWith(t, imageservice.Config{DB: openDB(t, t.TempDir())},
		imagestore.Entry{ID: "local", Store: files, Default: true},
		imagestore.Entry{ID: "web", Store: struct{ imagestore.Store }{files}})
	s := session{svc.As(admin)}
	img := queued(t, s)
	for _, tt := range []struct {
		name   string
		upload imageservice.Upload
		want   error
	}{
		{"two sizes", imageservice.Upload{ContentLength: 4, ExpectedSize: 5}, image.ErrInvalid},
		{"too much", imageservice.Upload{ContentLength: -1, ExpectedSize: imageservice.DefaultLimits.ImageSize + 1}, image.ErrTooLarge},
		{"an unknown store", imageservice.Upload{ContentLength: 4, ExpectedSize: -1, Store: "none"}, image.ErrInvalid},
		{"a store that only reads", imageservice.Upload{ContentLength: 4, ExpectedSize: -1, Store: "web"}, image.ErrStoreReadOnly},
	} {
		tt.upload.Body = readsNothing{t}
		if err := s.Session.Upload(t.Context(), img.ID, tt.upload); !errors.Is(err, tt.want) {
			t.Errorf("%s: Upload = %v, want %v", tt.name, err, tt.want)
		}
		checkStatus(t, s, img.ID, image.Queued)
	}
	err := s.Session.Upload(t.Context(), img.ID, imageservice.Upload{Body: bytes.NewReader([]byte("data")), ContentLength: -1, ExpectedSize: 5})
	if !errors.Is(err, image.ErrInvalid) {
		t.Errorf("Upload of less than was announced = %v, want %v", err, image.ErrInvalid)
	}
	checkStatus(t, s, img.ID, image.Queued)
	if _, err := s.Open(t.Context(), img.ID, imageservice.OpenOptions{Prefer: []string{"none"}}); !errors.Is(err, image.ErrInvalid) {
		t.Errorf("Open that prefers an unknown store = %v, want %v", err, image.ErrInvalid)
	}
}

type readsNothing struct{ t *testing.T }

func (r readsNothing) Read([]byte) (int, error) {
	r.t.Error("the body is read")
	return 0, io.EOF
}
