package imageservice_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
)

// limited returns a quota with one limit.
func limited(resource string, limit int64) imageservice.Quota {
	q := imageservice.NoQuota
	switch resource {
	case image.QuotaSize:
		q.Size = limit
	case image.QuotaStaged:
		q.Staged = limit
	case image.QuotaImages:
		q.Images = limit
	case image.QuotaUploading:
		q.Uploading = limit
	}
	return q
}

// openQuota returns a service in which project p1 has a quota and no other has one, and its database.
func openQuota(t *testing.T, q imageservice.Quota) (*imageservice.Service, metadata.DB) {
	t.Helper()
	dir := t.TempDir()
	db := openDB(t, dir)
	return openFrom(t, dir, imageservice.Config{DB: db, Quotas: quotasOf(q)}), db
}

func quotasOf(q imageservice.Quota) imageservice.Quotas {
	return imageservice.Quotas{Default: imageservice.NoQuota, Projects: map[string]imageservice.Quota{"p1": q}}
}

func usageOf(t *testing.T, db metadata.DB, project string) (u image.Usage) {
	t.Helper()
	if err := db.View(context.Background(), func(tx metadata.Tx) (err error) {
		u, err = tx.Usage(project)
		return err
	}); err != nil {
		t.Error(err)
	}
	return u
}

// wantQuota checks that an error refuses more of a resource, and counts those that do not.
func wantQuota(t *testing.T, errs []error, resource string) (succeeded int) {
	t.Helper()
	for _, err := range errs {
		var full *image.QuotaError
		switch {
		case err == nil:
			succeeded++
		case !errors.As(err, &full) || full.Resource != resource:
			t.Errorf("refused with %v", err)
		}
	}
	return succeeded
}

// atOnce calls do many times at once.
func atOnce(n int, do func(i int) error) []error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	return errs
}

const mega = 1 << 20

func writeAndClose(w *io.PipeWriter, n int) {
	w.Write(make([]byte, n)) // as far as it is read
	w.Close()
}

// TestQuotaOfManyUploads sends 50 images at once to a project that has room for 10.
func TestQuotaOfManyUploads(t *testing.T) {
	svc, db := openQuota(t, limited(image.QuotaSize, 10*mega))
	s := session{svc.As(owner)}
	var images []*image.Image
	for range 50 {
		images = append(images, queued(t, s))
	}
	errs := atOnce(len(images), func(i int) error {
		return s.Upload(t.Context(), images[i].ID, bytes.NewReader(make([]byte, mega)), mega)
	})
	if n := wantQuota(t, errs, image.QuotaSize); n != 10 {
		t.Errorf("%d uploads succeeded", n)
	}
	if got, want := usageOf(t, db, "p1"), (image.Usage{Images: 50, Bytes: 10 * mega}); got != want {
		t.Errorf("usage %+v, want %+v", got, want)
	}
	for i, img := range images {
		want := image.Active
		if errs[i] != nil {
			want = image.Queued
		}
		checkStatus(t, s, img.ID, want)
	}
}

// TestQuotaOfManyStreams does the same with images whose size nobody says. Which of them fit depends on who is first; that
// none of them takes more than there is does not.
func TestQuotaOfManyStreams(t *testing.T) {
	const limit = 10*mega + 5
	svc, db := openQuota(t, limited(image.QuotaSize, limit))
	s := session{svc.As(owner)}
	var most atomic.Int64
	errs := atOnce(30, func(i int) error {
		img, err := s.Create(t.Context(), "", rawFormats)
		if err != nil {
			return err
		}
		body := &watched{Reader: bytes.NewReader(make([]byte, 3*mega)), onRead: func() {
			if now := usageOf(t, db, "p1").Bytes; now > most.Load() {
				most.Store(now)
			}
		}}
		return s.Upload(t.Context(), img.ID, body, -1)
	})
	succeeded := wantQuota(t, errs, image.QuotaSize)
	if succeeded > 3 || most.Load() > limit {
		t.Errorf("%d uploads succeeded, and %d bytes were used", succeeded, most.Load())
	}
	if got, want := usageOf(t, db, "p1"), (image.Usage{Images: 30, Bytes: int64(succeeded) * 3 * mega}); got != want {
		t.Errorf("usage %+v, want %+v", got, want)
	}
	left := 0
	for err := error(nil); err == nil; left++ { // what is left can be used up
		err = s.Upload(t.Context(), queued(t, s).ID, &watched{Reader: bytes.NewReader(make([]byte, mega))}, -1)
	}
	if left--; succeeded*3+left != 10 {
		t.Errorf("%d images of 3 MiB and %d of 1 MiB fit into 10 MiB", succeeded, left)
	}
	if err := s.Upload(t.Context(), queued(t, s).ID, bytes.NewReader(make([]byte, 5)), -1); err != nil {
		t.Errorf("the last 5 bytes: %v", err)
	}
}

// watched is a body that calls onRead, unless nil, before each read, and says nothing of its size.
type watched struct {
	io.Reader
	onRead func()
}

func (w *watched) Read(p []byte) (int, error) {
	if w.onRead != nil {
		w.onRead()
	}
	return w.Reader.Read(p)
}

// TestQuotaTakesBackWhatIsAhead: what a stream has reserved and not used is there for others.
func TestQuotaTakesBackWhatIsAhead(t *testing.T) {
	for _, size := range []int64{12 * mega, -1} {
		svc, db := openQuota(t, limited(image.QuotaSize, 16*mega))
		s := session{svc.As(owner)}
		slow, quick := queued(t, s), queued(t, s)
		r, w := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- s.Upload(context.Background(), slow.ID, r, -1) }()
		if _, err := w.Write(make([]byte, 4*mega-1)); err != nil {
			t.Fatal(err)
		}
		if err := s.Upload(t.Context(), quick.ID, bytes.NewReader(make([]byte, 12*mega)), size); err != nil {
			t.Errorf("what there is room for (announced: %d) is refused: %v", size, err)
		}
		if used := usageOf(t, db, "p1").Bytes; used > 16*mega {
			t.Errorf("%d bytes are used", used)
		}
		if _, err := w.Write(make([]byte, 1)); err != nil { // all of it
			t.Fatal(err)
		}
		go writeAndClose(w, 16*mega) // and more
		if n := wantQuota(t, []error{<-done}, image.QuotaSize); n != 0 {
			t.Error("a stream went beyond the quota")
		}
		r.Close()
		if got, want := usageOf(t, db, "p1"), (image.Usage{Images: 2, Bytes: 12 * mega}); got != want {
			t.Errorf("usage %+v, want %+v", got, want)
		}
	}
}

func TestQuotaOfImages(t *testing.T) {
	svc, db := openQuota(t, limited(image.QuotaImages, 10))
	s := session{svc.As(owner)}
	errs := atOnce(50, func(int) error {
		_, err := s.Create(t.Context(), "", nil)
		return err
	})
	if n := wantQuota(t, errs, image.QuotaImages); n != 10 {
		t.Errorf("%d images were created", n)
	}
	page, err := s.List(t.Context(), image.Query{Limit: 100})
	if err != nil || len(page) != 10 {
		t.Fatalf("%d images, %v", len(page), err)
	}
	if err := s.Delete(t.Context(), page[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), "", nil); err != nil {
		t.Errorf("an image in the place of a deleted one: %v", err)
	}
	if _, err := svc.As(other).Create(t.Context(), "", nil); err != nil {
		t.Errorf("an image of a project without a quota: %v", err)
	}
	if got := usageOf(t, db, "p1"); got.Images != 10 {
		t.Errorf("usage %+v", got)
	}
}

func TestQuotaOfUploads(t *testing.T) {
	svc, db := openQuota(t, limited(image.QuotaUploading, 1))
	s := session{svc.As(owner)}
	first, second := queued(t, s), queued(t, s)
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- s.Upload(context.Background(), first.ID, r, -1) }()
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if wantQuota(t, []error{send(t, s, second.ID, "y")}, image.QuotaUploading) != 0 {
		t.Error("two uploads at once")
	}
	checkStatus(t, s, second.ID, image.Queued)
	w.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := send(t, s, second.ID, "y"); err != nil {
		t.Errorf("an upload after the other: %v", err)
	}
	if got, want := usageOf(t, db, "p1"), (image.Usage{Images: 2, Bytes: 2}); got != want {
		t.Errorf("usage %+v, want %+v", got, want)
	}
}

// TestQuotaIsReleased ends uploads in every way and looks at what is left of them.
func TestQuotaIsReleased(t *testing.T) {
	for _, size := range []int64{3 * mega, -1} {
		for name, end := range map[string]func(t *testing.T, s session, id image.ID, w *io.PipeWriter){
			"broken": func(t *testing.T, s session, id image.ID, w *io.PipeWriter) { w.CloseWithError(errors.New("gone")) },
			"deleted": func(t *testing.T, s session, id image.ID, w *io.PipeWriter) {
				if err := s.Delete(t.Context(), id); err != nil {
					t.Error(err)
				}
				w.Close()
			},
			"too long": func(t *testing.T, s session, id image.ID, w *io.PipeWriter) {
				writeAndClose(w, 9*mega)
			},
		} {
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				svc, db := openQuota(t, limited(image.QuotaSize, 10*mega))
				s := session{svc.As(owner)}
				id := queued(t, s).ID
				r, w := io.Pipe()
				done := make(chan error, 1)
				go func() { done <- s.Upload(context.Background(), id, r, size) }()
				if _, err := w.Write(make([]byte, 2*mega)); err != nil {
					t.Fatal(err)
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					end(t, s, id, w)
				}()
				if err := <-done; err == nil {
					t.Error("the upload succeeded")
				}
				r.Close()
				<-ended
				if got := usageOf(t, db, "p1"); got.Bytes != 0 || got.Uploading != 0 || got.Staged != 0 {
					t.Errorf("usage %+v", got)
				}
				if got := usageOf(t, db, ""); got != (image.Usage{}) {
					t.Errorf("usage of nobody %+v", got)
				}
				if err := s.Upload(t.Context(), queued(t, s).ID, bytes.NewReader(make([]byte, 10*mega)), -1); err != nil {
					t.Errorf("all that there is room for: %v", err)
				}
			})
		}
	}
}

// TestQuotaFollowsTheOwner gives an image away while its data comes: from then on it counts for its new project.
func TestQuotaFollowsTheOwner(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	quotas := quotasOf(limited(image.QuotaSize, 100*mega))
	quotas.Projects["p3"] = limited(image.QuotaSize, 5*mega)
	svc := openFrom(t, dir, imageservice.Config{DB: db, Quotas: quotas})
	s := session{svc.As(callers["admin"])}
	img := queued(t, s)
	if err := patch("owner", "p1")(t.Context(), s.Session, img.ID); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- s.Upload(context.Background(), img.ID, r, -1) }()
	if _, err := w.Write(make([]byte, 2*mega)); err != nil {
		t.Fatal(err)
	}
	if err := patch("owner", "p3")(t.Context(), s.Session, img.ID); err != nil {
		t.Fatal(err)
	}
	go writeAndClose(w, 90*mega)
	if wantQuota(t, []error{<-done}, image.QuotaSize) != 0 {
		t.Error("an image is larger than the quota of its project")
	}
	r.Close()
	for _, project := range []string{"p1", "p3"} {
		if got := usageOf(t, db, project); got.Bytes != 0 {
			t.Errorf("usage of %s %+v", project, got)
		}
	}
}

func TestUsage(t *testing.T) {
	svc, _ := openQuota(t, imageservice.Quota{Size: 10*mega + 5, Staged: -1, Images: 3, Uploading: 0})
	s := svc.As(owner)
	if _, err := s.Create(t.Context(), "", nil); err != nil {
		t.Fatal(err)
	}
	got, err := s.Usage(t.Context())
	want := []image.Quota{{Resource: image.QuotaSize, Limit: 10}, {Resource: image.QuotaStaged, Limit: -1},
		{Resource: image.QuotaImages, Used: 1, Limit: 3}, {Resource: image.QuotaUploading}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Usage = %+v, %v, want %+v", got, err, want)
	}
	for _, caller := range []image.Caller{other, nobody} {
		if got, err := svc.As(caller).Usage(t.Context()); err != nil || got != nil {
			t.Errorf("Usage without a quota = %+v, %v", got, err)
		}
	}
}

// TestQuotasThatCannotBeAsked: what may not be known to be allowed is not done.
func TestQuotasThatCannotBeAsked(t *testing.T) {
	svc := openWithStore(t, imageservice.Config{Quotas: brokenQuotas{}})
	s := session{svc.As(owner)}
	if _, err := s.Create(t.Context(), "", nil); !errors.Is(err, image.ErrUnavailable) {
		t.Errorf("Create = %v", err)
	}
	if _, err := s.Usage(t.Context()); !errors.Is(err, image.ErrUnavailable) {
		t.Errorf("Usage = %v", err)
	}
}

type brokenQuotas struct{}

func (brokenQuotas) Quota(context.Context, string) (imageservice.Quota, error) {
	return imageservice.NoQuota, image.ErrUnavailable
}

// openFrom returns a service on a store in dir.
func openFrom(t *testing.T, dir string, cfg imageservice.Config) *imageservice.Service {
	t.Helper()
	return openWith(t, cfg, imagestore.Entry{ID: "local", Store: openFiles(t, "local", filepath.Join(dir, "images")), Default: true, Local: true})
}
