package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/auth"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/metadef"
)

// fakeImages is a service in memory that knows just enough of the rules for the tests of this package.
type fakeImages struct {
	mu          sync.Mutex
	images      map[image.ID]*image.Image
	data        map[image.ID][]byte
	queries     []image.Query               // of every List
	uploads     []imageservice.Upload       // without their bodies
	broken      chan error                  // of uploads whose body could not be read
	opens       int                         // of data
	fail        error                       // what every verb returns, if not nil
	onRead      func(n int)                 // called after each read of an upload, if not nil
	refuseAfter int                         // bytes of an upload, 0 for never
	opened      func() (*fileReader, error) // has the data of every image, if not nil
	disk        *fakeDisk                   // of every image, nil when none has one
}

func newFake() *fakeImages {
	return &fakeImages{images: make(map[image.ID]*image.Image), data: make(map[image.ID][]byte), broken: make(chan error, 100)}
}

func (f *fakeImages) as(c image.Caller) Session { return &fakeSession{fakeImages: f, caller: c} }

// add puts an active image with data beside what the API made.
func (f *fakeImages) add(img image.Image, data string) image.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	if img.ID == "" {
		img.ID = image.NewID()
	}
	img.Status = cmp.Or(img.Status, image.Active)
	img.Visibility = cmp.Or(img.Visibility, image.Shared)
	img.DiskFormat, img.ContainerFormat = "raw", "bare"
	img.CreatedAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	img.UpdatedAt = img.CreatedAt
	img.Locations = []image.Location{{Store: "fast", URL: "file:///fast/" + string(img.ID)}}
	f.images[img.ID] = &img
	f.setData(&img, []byte(data))
	return img.ID
}

func (f *fakeImages) setData(img *image.Image, data []byte) {
	md, sha, size := md5.Sum(data), sha512.Sum512(data), int64(len(data))
	img.Checksum, img.HashAlgo, img.HashValue, img.Size = hex.EncodeToString(md[:]), "sha512", hex.EncodeToString(sha[:]), &size
	f.data[img.ID] = data
}

type fakeSession struct {
	*fakeImages
	caller        image.Caller
	ImportSession // nil: tested with the service, as the next
	metadef.Catalog
}

func (s *fakeSession) find(id image.ID) (*image.Image, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	img := s.images[id]
	if img == nil || !s.caller.CanSee(img, func() bool { return false }) {
		return nil, image.Errorf(image.ErrNotFound, "No image found with ID %s", id)
	}
	return img, nil
}

func (s *fakeSession) Create(_ context.Context, id image.ID, edits []image.Edit) (*image.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	if id == "" {
		id = image.NewID()
	}
	if s.images[id] != nil {
		return nil, image.Errorf(image.ErrConflict, "Image ID %s already exists!", id)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	img := &image.Image{ID: id, Status: image.Queued, Visibility: image.Shared, Owner: s.caller.ProjectID, CreatedAt: now, UpdatedAt: now}
	if err := img.Apply(edits); err != nil {
		return nil, err
	}
	s.images[id] = img
	return img.Clone(), nil
}

func (s *fakeSession) Get(_ context.Context, id image.ID) (*image.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	img, err := s.find(id)
	if err != nil {
		return nil, err
	}
	return img.Clone(), nil
}

func (s *fakeSession) List(_ context.Context, q image.Query) ([]*image.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	s.queries = append(s.queries, q)
	var page []*image.Image
	for _, img := range s.images {
		if s.caller.CanSee(img, func() bool { return false }) {
			page = append(page, img.Clone())
		}
	}
	slices.SortFunc(page, func(a, b *image.Image) int { return strings.Compare(string(a.ID), string(b.ID)) })
	for len(page) > 0 && page[0].ID <= q.Marker {
		page = page[1:]
	}
	return page[:min(q.Limit, len(page))], nil
}

func (s *fakeSession) Edit(_ context.Context, id image.ID, edits []image.Edit) (*image.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	img, err := s.find(id)
	if err != nil {
		return nil, err
	}
	changed := img.Clone()
	if err := changed.Apply(edits); err != nil {
		return nil, err
	}
	s.images[id] = changed
	return changed.Clone(), nil
}

func (s *fakeSession) change(id image.ID, fn func(*image.Image) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	img, err := s.find(id)
	if err != nil {
		return err
	}
	return fn(img)
}

func (s *fakeSession) Delete(_ context.Context, id image.ID) error {
	return s.change(id, func(*image.Image) error {
		delete(s.images, id)
		return nil
	})
}

func (s *fakeSession) AddTag(_ context.Context, id image.ID, tag string) error {
	return s.change(id, func(img *image.Image) error {
		img.Tags = append(img.Tags, tag)
		return image.CheckTag(tag)
	})
}

func (s *fakeSession) RemoveTag(_ context.Context, id image.ID, tag string) error {
	return s.change(id, func(img *image.Image) error {
		at := slices.Index(img.Tags, tag)
		if at < 0 {
			return image.ErrNotFound
		}
		img.Tags = slices.Delete(img.Tags, at, at+1)
		return nil
	})
}

func (s *fakeSession) Deactivate(_ context.Context, id image.ID) error {
	return s.change(id, func(img *image.Image) error { img.Status = image.Deactivated; return nil })
}

func (s *fakeSession) Reactivate(_ context.Context, id image.ID) error {
	return s.change(id, func(img *image.Image) error { img.Status = image.Active; return nil })
}

func (s *fakeSession) Upload(_ context.Context, id image.ID, up imageservice.Upload) error {
	if err := s.change(id, func(img *image.Image) error {
		if img.Status != image.Queued {
			return image.Errorf(image.ErrConflict, "Image status transition from %s to saving is not allowed", img.Status)
		}
		return nil
	}); err != nil {
		return err
	}
	var data bytes.Buffer
	buf := make([]byte, 64<<10)
	for {
		n, err := up.Body.Read(buf)
		data.Write(buf[:n])
		if s.onRead != nil {
			s.onRead(n)
		}
		if err == io.EOF {
			break
		}
		if s.refuseAfter > 0 && data.Len() >= s.refuseAfter {
			return image.Errorf(image.ErrUnsupportedContent, "this cannot be stored")
		}
		if err != nil {
			s.broken <- err
			return err
		}
	}
	return s.change(id, func(img *image.Image) error {
		up.Body = nil
		s.uploads = append(s.uploads, up)
		img.Status = image.Active
		s.setData(img, data.Bytes())
		return nil
	})
}

func (s *fakeSession) Open(_ context.Context, id image.ID, opts imageservice.OpenOptions) (*imageservice.Data, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	img, err := s.find(id)
	if err != nil {
		return nil, err
	}
	if img.Status == image.Queued {
		return nil, image.ErrNoData
	}
	if img.Status == image.Deactivated && !s.caller.IsAdmin() {
		return nil, image.Errorf(image.ErrForbidden, "The requested image has been deactivated.")
	}
	s.opens++
	if s.opened != nil {
		r, err := s.opened()
		return &imageservice.Data{Image: img.Clone(), Reader: r}, err
	}
	data := &imageservice.Data{Image: img.Clone(), Reader: memoryReader(s.data[id])}
	if opts.Format != "" && opts.Format != img.DiskFormat {
		return data, s.convert(data, opts.Format)
	}
	return data, nil
}

// memoryReader is an imagestore.Reader over bytes.
type memoryReader []byte

func (m memoryReader) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return bytes.NewReader(m).ReadAt(p, off)
}
func (m memoryReader) Size() int64  { return int64(len(m)) }
func (m memoryReader) Close() error { return nil }

// fileReader is an imagestore.FileReader.
type fileReader struct {
	f    *os.File
	size int64
	lent atomic.Bool // somebody asked for the file itself
}

func openFile(path string) (*fileReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &fileReader{f: f, size: info.Size()}, nil
}

func (r *fileReader) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return r.f.ReadAt(p, off)
}
func (r *fileReader) Size() int64  { return r.size }
func (r *fileReader) Close() error { return r.f.Close() }

func (r *fileReader) File() *os.File {
	r.lent.Store(true)
	return r.f
}

// newHandler returns the API over the fake, without authentication unless change says otherwise.
func newHandler(t testing.TB, f *fakeImages, change ...func(*Config)) http.Handler {
	t.Helper()
	cfg := Config{Images: f.as, Auth: auth.NewNone("p1"), CacheMaxAge: time.Hour,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
	for _, fn := range change {
		fn(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// serve runs the handler behind a real listener with the timeouts of production.
func serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config = NewServer(h, nil, 0).Server
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

// A request for the tables of tests.
type request struct {
	method, path string
	header       http.Header
	body         string
}

// do sends a request to the handler without a network.
func do(h http.Handler, req request) *httptest.ResponseRecorder {
	r := httptest.NewRequest(req.method, "http://127.0.0.1:9292"+req.path, strings.NewReader(req.body))
	if req.body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	for k, v := range req.header {
		r.Header[http.CanonicalHeaderKey(k)] = v
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// doHost asks for a list under a host name.
func doHost(h http.Handler, host string, head http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "http://"+host+"/v2/images", nil)
	for k, v := range head {
		r.Header[k] = v
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}
