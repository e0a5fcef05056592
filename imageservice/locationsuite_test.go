package imageservice_test

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/api"
	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imageservice/servicetest"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
)

// A shelf is a store of data that others put there.
type shelf struct {
	id     string
	scheme string
	data   map[string]string // by URL without its fragment
}

func (s *shelf) Schemes() []string { return []string{s.scheme} }

func (s *shelf) CheckURL(_ context.Context, url string) error {
	if strings.Contains(url, "refused") {
		return image.Errorf(image.ErrInvalid, "The URL is refused.")
	}
	return nil
}

func (s *shelf) Adopt(ctx context.Context, url string) (image.Location, error) {
	loc := image.Location{Store: s.id, URL: url, Metadata: map[string]string{image.MetadataVersion: "1"}}
	r, err := s.Open(ctx, loc)
	if err == nil {
		err = r.Close()
	}
	return loc, err
}

func (s *shelf) Open(_ context.Context, loc image.Location) (imagestore.Reader, error) {
	url, _, _ := strings.Cut(loc.URL, "#")
	data, ok := s.data[url]
	switch {
	case strings.Contains(url, "offline"):
		return nil, image.ErrStoreOffline
	case !ok:
		return nil, image.ErrDataMissing
	}
	return memory{strings.NewReader(data)}, nil
}

type memory struct{ *strings.Reader }

func (m memory) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	n, err := m.Reader.ReadAt(p, off)
	if n == len(p) && err == io.EOF {
		err = nil
	}
	return n, err
}

func (m memory) Close() error { return nil }

// A tempting store reads local files and says that it takes their URLs.
type tempting struct {
	imagestore.Writer
	shelf
}

func (t tempting) Open(ctx context.Context, loc image.Location) (imagestore.Reader, error) {
	return t.Writer.Open(ctx, loc)
}

var locationURLs = servicetest.LocationURLs{A: "http://web/a", B: "http://web/b", Other: "http://web/other", Longer: "http://web/longer",
	QCOW2: "http://web/qcow2", Shelf: "shelf://1", Pool: "pool://1", Missing: "http://web/missing", Offline: "http://offline/"}

// openShelves returns a service with locations.
func openShelves(t *testing.T, cfg imageservice.LocationConfig) *imageservice.Service {
	t.Helper()
	dir := t.TempDir()
	local := tempting{openFiles(t, "local", filepath.Join(dir, "images")), shelf{id: "local", scheme: "file"}}
	limits := imageservice.DefaultLimits
	limits.Locations = 3
	web := &shelf{id: "web", scheme: "http", data: map[string]string{"http://web/a": "data", "http://web/b": "data", "http://web/other": "DATA",
		"http://web/longer": "longer", "http://web/qcow2": string(bytes.Clone(formattest.QCOW2(1 << 20)))}}
	pool := storetest.NewPool("pool")
	pool.Publish("1", "data")
	return openWith(t, imageservice.Config{DB: openDB(t, dir), Limits: &limits, Locations: cfg}, imagestore.Entry{ID: "pool", Store: pool},
		imagestore.Entry{ID: "local", Store: local, Default: true, Local: true}, imagestore.Entry{ID: "web", Store: web},
		imagestore.Entry{ID: "shelf", Store: &shelf{id: "shelf", scheme: "shelf", data: map[string]string{"shelf://1": "data"}}})
}

func TestLocationSuite(t *testing.T) {
	servicetest.RunLocations(t, func(t *testing.T) (func(image.Caller) servicetest.Locating, servicetest.LocationURLs) {
		svc := openShelves(t, imageservice.LocationConfig{Edit: true})
		return func(c image.Caller) servicetest.Locating { return session{svc.As(c)} }, locationURLs
	})
}

// TestLocationSuiteOverHTTP runs the same through client and API.
func TestLocationSuiteOverHTTP(t *testing.T) {
	servicetest.RunLocations(t, func(t *testing.T) (func(image.Caller) servicetest.Locating, servicetest.LocationURLs) {
		as := serve(t, openShelves(t, imageservice.LocationConfig{Edit: true}), api.Config{})
		return func(c image.Caller) servicetest.Locating { return as(c) }, locationURLs
	})
}

// TestEditsOfLocationsAreOff unless somebody turned them on.
func TestEditsOfLocationsAreOff(t *testing.T) {
	s := session{openShelves(t, imageservice.LocationConfig{}).As(admin)}
	id := queued(t, s).ID
	_, err := s.Edit(t.Context(), id, []image.Edit{{Op: image.EditAdd, Name: image.EditLocations, Item: "-", Value: map[string]any{"url": "http://web/a"}}})
	if err == nil || !strings.Contains(err.Error(), "not allowed to update locations") {
		t.Errorf("Edit = %v", err)
	}
	checkStatus(t, s, id, image.Queued)
}

// TestWhoSeesLocations asks in documents and lists, as each caller.
func TestWhoSeesLocations(t *testing.T) {
	svc := openShelves(t, imageservice.LocationConfig{Edit: true})
	as := serve(t, svc, api.Config{ShowLocations: true, ShowDirectURL: true})
	for visibility, sees := range map[string]string{"shared": "ops owner", "public": "ops owner"} {
		id := queued(t, session{svc.As(servicetest.Owner)}).ID
		if _, err := svc.As(servicetest.Owner).AddMember(t.Context(), id, servicetest.Member.ProjectID); err != nil {
			t.Fatal(err)
		}
		if _, err := svc.As(servicetest.Admin).Edit(t.Context(), id, []image.Edit{{Op: image.EditReplace, Name: "visibility", Value: visibility},
			{Op: image.EditAdd, Name: image.EditLocations, Item: "-", Value: map[string]any{"url": "http://web/a"}}}); err != nil {
			t.Fatal(err)
		}
		for _, c := range servicetest.Callers() {
			img, err := as(c).Get(t.Context(), id)
			if err != nil {
				continue // whom it is not shared with
			}
			want := strings.Contains(sees, c.ProjectID)
			if got := len(img.Locations) > 0; got != want {
				t.Errorf("%s sees the location of a %s image: %v, want %v", c.ProjectID, visibility, got, want)
			}
			page, err := as(c).List(t.Context(), image.Query{Limit: 10, Visibility: image.Visibility(visibility), MemberStatus: "all"})
			if err != nil || len(page) != 1 || (len(page[0].Locations) > 0) != want {
				t.Errorf("%s sees in a list %+v, %v, want the location of a %s image: %v", c.ProjectID, page, err, visibility, want)
			}
		}
	}
}

// TestSignedImagesTakeNoLocation whose data nobody would verify before it can be read.
func TestSignedImagesTakeNoLocation(t *testing.T) {
	s := session{openShelves(t, imageservice.LocationConfig{Edit: true}).As(admin)}
	id := queued(t, s).ID
	var edits []image.Edit
	for name, value := range map[string]string{"img_signature": "c2lnbmF0dXJl", "img_signature_hash_method": "SHA-256", "img_signature_key_type": "RSA-PSS",
		"img_signature_certificate_uuid": string(image.NewID())} {
		edits = append(edits, image.Edit{Op: image.EditAdd, Name: name, Value: value})
	}
	if _, err := s.Edit(t.Context(), id, edits); err != nil {
		t.Fatal(err)
	}
	if err := s.AddLocation(t.Context(), id, image.NewLocation{URL: "http://web/a"}); err == nil {
		t.Error("AddLocation takes a signed image")
	}
	checkStatus(t, s, id, image.Queued)
}
