package importer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

func findOther(_ context.Context, _ image.Caller, region, iface string) (string, error) {
	if region != "other" {
		return "", image.Errorf(image.ErrInvalid, "There is no region %q.", region)
	}
	return "http://" + region + "/" + iface, nil
}

// A remote is another region with one image.
type remote struct {
	t    *testing.T
	img  image.Image
	data io.Reader
	err  error
}

func (r *remote) Download(_ context.Context, endpoint string, token image.Secret, id image.ID) (*image.Image, io.ReadCloser, int64, error) {
	if endpoint != "http://other/public" || token != "secret" || id != r.img.ID {
		r.t.Errorf("asked %s with %q for image %s", endpoint, string(token), id)
	}
	size := int64(-1)
	if whole, ok := r.data.(*bytes.Reader); ok {
		size = whole.Size()
	}
	return &r.img, io.NopCloser(r.data), size, r.err
}

func TestImportFromAnotherRegion(t *testing.T) {
	source := image.Image{ID: image.NewID(), Status: image.Active, DiskFormat: "raw", ContainerFormat: "bare",
		Properties: map[string]string{"hw_disk_bus": "scsi", "os_type": "linux", "trait:CUSTOM": "required", "secret": "x", "os_hash": "y"}}
	queued := source
	queued.Status = image.Queued
	for _, tt := range []struct {
		name   string
		remote remote
		stores []string
		want   want
	}{
		{"into one store", remote{img: source, data: bytes.NewReader(data)}, []string{"first"}, want{status: image.Active, stores: "first"}},
		{"into two", remote{img: source, data: bytes.NewReader(data)}, []string{"first", "second"}, want{status: image.Active, stores: "first,second"}},
		{"of an image without data", remote{img: queued, data: bytes.NewReader(data)}, []string{"first"}, want{status: image.Queued, failed: "first", message: "not active"}},
		{"that refuses", remote{img: source, err: image.Errorf(image.ErrConflict, "The other region answered 403.")}, []string{"first"},
			want{status: image.Queued, failed: "first", message: "answered 403"}},
		{"that breaks off", remote{img: source, data: io.MultiReader(bytes.NewReader(data[:1000]), failing{})}, []string{"first"},
			want{status: image.Queued, failed: "first", message: "went away"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := start(t)
			tt.remote.t = t
			l.imp.remote = &tt.remote
			s := l.svc.As(image.Caller{ProjectID: "p", Roles: []string{"member", "reader"}, Token: "secret"})
			made, err := s.Create(t.Context(), "", nil) // the formats come with the data
			if err != nil {
				t.Fatal(err)
			}
			imp := image.Import{Method: image.ImportDownload, Region: "other", Source: source.ID, Stores: tt.stores}
			if err := s.Import(t.Context(), made.ID, imp); err != nil {
				t.Fatal(err)
			}
			l.work()
			tt.want.data, tt.want.task = data, image.TaskFailure
			if tt.want.status == image.Active {
				tt.want.task = image.TaskSuccess
			}
			l.check(made.ID, tt.want)
			img, err := l.Get(t.Context(), made.ID)
			if err != nil {
				t.Fatal(err)
			}
			_, copied := img.Properties["hw_disk_bus"]
			if active := img.Status == image.Active; active != copied || active != (img.DiskFormat == "raw") || img.Properties["secret"] != "" || img.Properties["os_hash"] != "" {
				t.Errorf("image = %+v", img)
			}
		})
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken") }

// TestTokensAreNotKept ends an import whose token was lost with the process that knew it.
func TestTokensAreNotKept(t *testing.T) {
	db, dir := openDB(t), t.TempDir()
	l := newLab(t, db, dir, nil)
	s := l.svc.As(image.Caller{ProjectID: "p", Roles: []string{"member", "reader"}, Token: "secret"})
	id := l.create()
	if err := s.Import(t.Context(), id, image.Import{Method: image.ImportDownload, Region: "other", Source: id}); err != nil {
		t.Fatal(err)
	}
	l = newLab(t, db, dir, nil)
	l.imp.remote = &remote{t: t}
	l.work()
	l.check(id, want{status: image.Queued, failed: "first", task: image.TaskFailure, message: "token"})
}

func TestAnotherRegionHasToBeNamed(t *testing.T) {
	l := start(t)
	id := l.create()
	for _, imp := range []image.Import{{Source: id}, {Region: "other"}} {
		imp.Method = image.ImportDownload
		if err := l.Import(t.Context(), id, imp); !errors.Is(err, image.ErrInvalid) {
			t.Errorf("Import(%+v) = %v, want %v", imp, err, image.ErrInvalid)
		}
	}
}

// TestAnotherRegionThatTheCatalogDoesNotKnow ends in a task that says so.
func TestAnotherRegionThatTheCatalogDoesNotKnow(t *testing.T) {
	l := start(t)
	id := l.create()
	if err := l.Import(t.Context(), id, image.Import{Method: image.ImportDownload, Region: "none", Source: id}); err != nil {
		t.Fatal(err)
	}
	l.work()
	l.check(id, want{status: image.Queued, failed: "first", task: image.TaskFailure, message: `no region "none"`})
}

var _ Images = (*imageservice.Service)(nil)
