package importer

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
)

// An unread store counts how often its data is opened.
type unread struct {
	imagestore.Writer
	opened *atomic.Int32
}

func (u unread) Open(ctx context.Context, loc image.Location) (imagestore.Reader, error) {
	u.opened.Add(1)
	return u.Writer.Open(ctx, loc)
}

// waysIn are all ways in which data becomes that of an image. They return the image, and why its data was refused at once.
var waysIn = []struct {
	name  string
	bring func(l *lab, format string, data []byte) (image.ID, error)
}{
	{"upload", func(l *lab, format string, data []byte) (image.ID, error) {
		id := l.createAs(format, "bare")
		return id, l.Upload(l.t.Context(), id, upload(data))
	}},
	{"stage and import", func(l *lab, format string, data []byte) (image.ID, error) {
		id := l.createAs(format, "bare")
		if err := l.Stage(l.t.Context(), id, upload(data)); err != nil {
			return id, err
		}
		return id, l.Import(l.t.Context(), id, image.Import{Method: image.ImportStaged})
	}},
	{"web-download", func(l *lab, format string, data []byte) (image.ID, error) {
		id := l.createAs(format, "bare")
		return id, l.Import(l.t.Context(), id, image.Import{Method: image.ImportURL, URL: newSite(l.t, data).url})
	}},
	{"glance-download", func(l *lab, format string, data []byte) (image.ID, error) {
		source := image.Image{ID: image.NewID(), Status: image.Active, DiskFormat: format, ContainerFormat: "bare"}
		l.imp.remote = &remote{t: l.t, img: source, data: bytes.NewReader(data)}
		s := l.svc.As(image.Caller{ProjectID: "p", Roles: []string{"member", "reader"}, Token: "secret"})
		made, err := s.Create(l.t.Context(), "", nil)
		if err != nil {
			l.t.Fatal(err)
		}
		return made.ID, s.Import(l.t.Context(), made.ID, image.Import{Method: image.ImportDownload, Region: "other", Source: source.ID})
	}},
	{"location", func(l *lab, format string, data []byte) (image.ID, error) {
		id := l.createAs(format, "bare")
		return id, l.AddLocation(l.t.Context(), id, image.NewLocation{URL: newSite(l.t, data).url})
	}},
}

// TestEveryWayIn judges data by the same rules: images that are what they say become active with their virtual size, wherever in the
// data that stands, and without a second look at what was stored; hostile ones never do, and leave nothing behind.
func TestEveryWayIn(t *testing.T) {
	for _, way := range waysIn {
		t.Run(way.name, func(t *testing.T) {
			var opened atomic.Int32
			l := newLab(t, openDB(t), t.TempDir(), func(id string, w imagestore.Writer) imagestore.Writer {
				if id == "first" {
					return unread{w, &opened}
				}
				return w
			})
			l.imp.maxSize = 0
			for _, s := range slices.Concat(formattest.Good(), formattest.Hostile()) {
				if len(s.Data) == 0 && way.name == "location" { // which refers to some data
					continue
				}
				declared := s.Format
				if s.Declared != "" {
					declared = s.Declared
				}
				id, err := way.bring(l, declared, s.Data)
				l.work()
				img, failed := l.Get(t.Context(), id)
				if failed != nil {
					t.Fatal(failed)
				}
				if slices.ContainsFunc(formattest.Good(), func(good formattest.Sample) bool { return good.Name == s.Name }) {
					checkTaken(t, s, img, err)
				} else {
					l.checkRefused(s, img, err)
				}
				if err := l.Delete(t.Context(), id); err != nil {
					t.Errorf("%s: Delete = %v", s.Name, err)
				}
			}
			l.checkNothingLeft(0)
			if n := opened.Load(); n > 0 {
				t.Errorf("what was stored was read %d times", n)
			}
		})
	}
}

// checkTaken wants an active image.
func checkTaken(t *testing.T, s formattest.Sample, img *image.Image, err error) {
	t.Helper()
	if err != nil || img.Status != image.Active || img.Checksum == "" || *img.Size != int64(len(s.Data)) {
		t.Errorf("%s: %v, the image is %+v", s.Name, err, img)
	}
	if looked := s.Format != "ploop"; (img.VirtualSize != nil) != looked || looked && *img.VirtualSize != s.VirtualSize {
		t.Errorf("%s: the virtual size is %v, want %d", s.Name, img.VirtualSize, s.VirtualSize)
	}
}

// checkRefused wants an image without data, or one out of use whose data was somewhere else before.
func (l *lab) checkRefused(s formattest.Sample, img *image.Image, err error) {
	l.t.Helper()
	if err != nil && !errors.Is(err, image.ErrUnsupportedContent) {
		l.t.Errorf("%s: %v", s.Name, err)
	}
	if img.Status != image.Queued && (img.Status != image.Deactivated || !img.Has("web")) {
		l.t.Errorf("%s: the image is %+v", s.Name, img)
	}
	member := l.svc.As(image.Caller{ProjectID: "p", Roles: []string{"member", "reader"}})
	if data, err := member.Open(l.t.Context(), img.ID, imageservice.OpenOptions{}); err == nil {
		data.Reader.Close()
		l.t.Errorf("%s: the data can be read", s.Name)
	}
}
