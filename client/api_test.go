package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/vitrine-image/vitrine/api"
	"github.com/vitrine-image/vitrine/auth"
	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

// failing is a service whose downloads fail, after the image was shown.
type failing struct {
	api.Session
	err error
}

func (f failing) Get(_ context.Context, id image.ID) (*image.Image, error) {
	return &image.Image{ID: id, Status: image.Active}, nil
}

func (f failing) Open(context.Context, image.ID, imageservice.OpenOptions) (*imageservice.Data, error) {
	return nil, f.err
}

// downloadError returns what a client hears when the service behind the API fails with err.
func downloadError(t *testing.T, err error) error {
	t.Helper()
	handler, startErr := api.New(api.Config{Auth: auth.NewNone("p"), Images: func(image.Caller) api.Session { return failing{err: err} }})
	if startErr != nil {
		t.Fatal(startErr)
	}
	srv := httptest.NewServer(handler)
	defer srv.Close()
	c, startErr := client.New(client.Config{Endpoint: srv.URL, Retries: -1})
	if startErr != nil {
		t.Fatal(startErr)
	}
	defer c.Close()
	_, got := c.Download(t.Context(), image.NewID(), client.DownloadOptions{})
	return got
}

// TestErrorsComeBack sends every domain error through the API, bare and wrapped.
func TestErrorsComeBack(t *testing.T) {
	for _, want := range image.Errors() {
		for _, err := range []error{want, fmt.Errorf("read a secret path: %w", want)} {
			got := downloadError(t, err)
			if !errors.Is(got, want) {
				t.Errorf("%q comes back as %v", want, got)
			}
			var answer *client.Error
			if !errors.As(got, &answer) || answer.RequestID == "" {
				t.Errorf("%q comes back without a request id: %v", want, got)
			}
		}
	}
}

func TestErrorsComeBackWithTheirText(t *testing.T) {
	for _, tt := range []struct{ err, kind error }{
		{&image.InUseError{ID: image.NewID(), Users: []string{"open through the mount (3 handles)"}}, image.ErrInUse},
		{&image.QuotaError{Resource: "image_property_quota", Limit: 128, Attempted: 129}, image.ErrTooLarge},
		{image.Errorf(image.ErrConflict, "Image status transition from saving to saving is not allowed"), image.ErrConflict},
	} {
		if got := downloadError(t, tt.err); !errors.Is(got, tt.kind) || got.Error() != tt.err.Error() {
			t.Errorf("%v comes back as %v", tt.err, got)
		}
	}
}
