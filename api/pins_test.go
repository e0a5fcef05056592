package api

import (
	"context"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

var pinnedSince = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func (s *fakeSession) Pins(context.Context, image.ID) ([]image.Pin, error) {
	return []image.Pin{{Guest: "web-1", CreatedAt: pinnedSince}}, s.fail
}

func (s *fakeSession) Pin(_ context.Context, _ image.ID, guest string) (image.Pin, error) {
	return image.Pin{Guest: guest, CreatedAt: pinnedSince}, s.fail
}

func (s *fakeSession) Unpin(_ context.Context, _ image.ID, guest string) error {
	if guest != "a/b" {
		return image.ErrNotFound
	}
	return s.fail
}

func TestPins(t *testing.T) {
	const id = "71c675ab-d94f-49cd-a114-e12490b328d9"
	for _, tt := range []struct {
		method, path string
		fail         error
		code         int
		want         string
	}{
		{"GET", id + "/pins", nil, 200, `{"pins":[{"guest":"web-1","created_at":"2026-01-02T03:04:05Z"}]}`},
		{"GET", id + "/pins", image.ErrForbidden, 403, ""},
		{"GET", "web/pins", nil, 404, ""},
		{"POST", id + "/pins", nil, 405, ""},
		{"PUT", id + "/pins/web%20%C3%A4", nil, 200, `{"guest":"web ä","created_at":"2026-01-02T03:04:05Z"}`},
		{"PUT", id + "/pins/a%2Fb", nil, 200, `{"guest":"a/b","created_at":"2026-01-02T03:04:05Z"}`},
		{"PUT", id + "/pins/%ff", nil, 400, ""},
		{"PUT", "web/pins/web-1", nil, 404, ""},
		{"PUT", id + "/pins/web-1", &image.QuotaError{Resource: "image_pins"}, 413, ""},
		{"DELETE", id + "/pins/a%2Fb", nil, 204, ""},
		{"DELETE", id + "/pins/web-2", nil, 404, ""},
	} {
		f := newFake()
		f.fail = tt.fail
		res := do(newHandler(t, f), request{tt.method, "/vitrine/v1/images/" + tt.path, nil, ""})
		if res.Code != tt.code || tt.want != "" && res.Body.String() != tt.want {
			t.Errorf("%s %s: %d %s, want %d %s", tt.method, tt.path, res.Code, res.Body, tt.code, tt.want)
		}
	}
}
