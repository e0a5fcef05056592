package imageservice_test

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/faultstore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
)

// openPool returns a service whose default store others use, too.
func openPool(t *testing.T, pool *storetest.Pool, db *fullDB) *imageservice.Service {
	t.Helper()
	dir := t.TempDir()
	db.DB = openDB(t, dir)
	return openWith(t, imageservice.Config{DB: db, Locations: imageservice.LocationConfig{Edit: true}},
		imagestore.Entry{ID: "pool", Store: pool, Default: true},
		imagestore.Entry{ID: "local", Store: openFiles(t, "local", filepath.Join(dir, "images")), Local: true})
}

func relocated(op image.EditOp, item string, value any) []image.Edit {
	return []image.Edit{{Op: op, Name: image.EditLocations, Item: item, Value: value}}
}

// TestUploadMeetsDataOfOthers under its image's name, and leaves it; then it is made the image's.
func TestUploadMeetsDataOfOthers(t *testing.T) {
	pool := storetest.NewPool("pool")
	svc := openPool(t, pool, &fullDB{})
	s := session{svc.As(admin)}
	id := queued(t, s).ID
	url := pool.Publish(string(id), "theirs")
	err := send(t, s, id, "ours")
	var written *image.Error
	if !errors.Is(err, image.ErrConflict) || !errors.As(err, &written) || !strings.Contains(written.Text, "keeps it") {
		t.Errorf("Upload = %v, want what is in the way", err)
	}
	if err := svc.Sweep(t.Context(), anyStore); err != nil {
		t.Error(err)
	}
	checkStatus(t, s, id, image.Queued)
	if got := pool.URLs(); !slices.Equal(got, []string{url}) {
		t.Fatalf("the store holds %v, want %s", got, url)
	}
	if _, err := s.Edit(t.Context(), id, relocated(image.EditAdd, "-", map[string]any{"url": url})); err != nil {
		t.Fatal(err)
	}
	checkData(t, s, id, "theirs")
	adopted, err := s.Get(t.Context(), id)
	if uploaded := active(t, s, "uploaded", "ours"); err != nil || svc.Judged(adopted) || !svc.Judged(uploaded) {
		t.Errorf("Judged = %v for data of others, %v for what was uploaded", svc.Judged(adopted), svc.Judged(uploaded))
	} else if err := s.Delete(t.Context(), uploaded.ID); err != nil {
		t.Error(err)
	}
	if err := s.Delete(t.Context(), id); err != nil || len(pool.URLs()) > 0 {
		t.Errorf("Delete = %v, and %v is left", err, pool.URLs())
	}
}

// TestSweepRemovesWhatAnUploadLeft between the end of its bytes and its record.
func TestSweepRemovesWhatAnUploadLeft(t *testing.T) {
	pool, db := storetest.NewPool("pool"), &fullDB{}
	svc := openPool(t, pool, db)
	s := session{svc.As(admin)}
	id := queued(t, s).ID
	body := io.MultiReader(strings.NewReader("ours"), readerFunc(func([]byte) (int, error) {
		db.full = true
		return 0, io.EOF
	}))
	if err := s.Upload(t.Context(), id, body, -1); !errors.Is(err, image.ErrUnavailable) || len(pool.URLs()) != 1 {
		t.Fatalf("Upload = %v, and the store holds %v", err, pool.URLs())
	}
	db.full = false
	if err := svc.Sweep(t.Context(), anyStore); err != nil || len(pool.URLs()) > 0 {
		t.Errorf("Sweep = %v, and %v is left", err, pool.URLs())
	}
	checkStatus(t, s, id, image.Queued)
}

// TestFaultsBesideDataOfOthers fails every single step of an upload whose object's name is taken, or is not, and then sweeps.
func TestFaultsBesideDataOfOthers(t *testing.T) {
	for _, theirs := range []bool{true, false} {
		for _, when := range []faultstore.When{faultstore.Before, faultstore.After} {
			for n, fired := 1, true; fired; n++ {
				pool, dir := storetest.NewPool("pool"), t.TempDir()
				faulty := faultstore.New(pool, n, when)
				svc := openWith(t, imageservice.Config{DB: openDB(t, dir)}, imagestore.Entry{ID: "pool", Store: faulty, Default: true})
				s := session{svc.As(admin)}
				id := queued(t, s).ID
				var want []string
				if theirs {
					want = append(want, pool.Publish(string(id), "theirs"))
				}
				if err := send(t, s, id, "ours"); err == nil && !theirs {
					want = append(want, "pool://"+string(id))
				}
				for range 2 { // the fault may be in the first one
					_ = svc.Sweep(t.Context(), anyStore)
				}
				if got := pool.URLs(); !slices.Equal(got, want) {
					t.Errorf("call %d of the store fails, %v, data of others: %v: it holds %v, want %v", n, when, theirs, got, want)
				}
				fired = faulty.Fired()
			}
		}
	}
}

// TestClonesKeepALocation that an edit would remove.
func TestClonesKeepALocation(t *testing.T) {
	pool := storetest.NewPool("pool")
	s := session{openPool(t, pool, &fullDB{}).As(admin)}
	id := queued(t, s).ID
	var urls []string
	for _, name := range []string{"one", "two"} {
		urls = append(urls, pool.Publish(name, "data"))
		if _, err := s.Edit(t.Context(), id, relocated(image.EditAdd, "-", map[string]any{"url": urls[len(urls)-1]})); err != nil {
			t.Fatal(err)
		}
	}
	pool.Clone(urls[0], "cloned as vms/one")
	_, err := s.Edit(t.Context(), id, relocated(image.EditRemove, "0", nil))
	var inUse *image.InUseError
	if !errors.As(err, &inUse) || !slices.Equal(inUse.Users, []string{"cloned as vms/one"}) {
		t.Errorf("Edit = %v, want that it is cloned", err)
	}
	if _, err := s.Edit(t.Context(), id, relocated(image.EditRemove, "1", nil)); err != nil {
		t.Errorf("Edit = %v", err)
	}
	if got := pool.URLs(); !slices.Equal(got, urls[:1]) {
		t.Errorf("the store holds %v, want %v", got, urls[:1])
	}
	checkData(t, s, id, "data")
}
