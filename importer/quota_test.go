package importer

import (
	"errors"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/metadata"
)

func (l *lab) checkUsage(want image.Usage) {
	l.t.Helper()
	err := l.db.View(l.t.Context(), func(tx metadata.Tx) error {
		got, err := tx.Usage("p")
		if got != want {
			l.t.Errorf("usage %+v, want %+v", got, want)
		}
		return err
	})
	if err != nil {
		l.t.Error(err)
	}
}

func wantQuota(t *testing.T, what string, err error, resource string) {
	t.Helper()
	var full *image.QuotaError
	if !errors.As(err, &full) || full.Resource != resource {
		t.Errorf("%s = %v, want no room in %s", what, err, resource)
	}
}

// TestImportsKeepTheQuota fetches and stages data for which the project has too little room, and then enough.
func TestImportsKeepTheQuota(t *testing.T) {
	size := int64(len(data))
	url := web(t)
	for name, path := range map[string]string{"a size": "/data", "no size": "/chunks"} {
		t.Run("fetched, with "+name, func(t *testing.T) {
			l := start(t)
			id := l.create()
			l.quota.now = imageservice.Quota{Size: -1, Staged: -1, Images: -1, Uploading: 0}
			imp := image.Import{Method: image.ImportURL, URL: url + path, AllStores: true}
			wantQuota(t, "Import", l.Import(t.Context(), id, imp), image.QuotaUploading)
			for _, q := range []imageservice.Quota{
				{Size: size - 1, Images: -1, Uploading: 1},
				{Size: 2*size - 1, Images: -1, Uploading: 1},
			} {
				l.quota.now = q
				l.do(id, imp)
				l.check(id, want{status: image.Queued, failed: "first,second", task: image.TaskFailure, message: "has been exceeded"})
				l.checkUsage(image.Usage{Images: 1})
			}
			l.quota.now = imageservice.Quota{Size: 2 * size, Images: 1, Uploading: 1}
			l.do(id, imp)
			l.check(id, want{status: image.Active, stores: "first,second", task: image.TaskSuccess, data: data})
			l.checkUsage(image.Usage{Images: 1, Bytes: 2 * size})
			l.checkNothingLeft(2)
		})
	}
	t.Run("staged", func(t *testing.T) {
		l := start(t)
		id := l.create()
		l.quota.now = imageservice.Quota{Size: 0, Staged: size - 1, Images: -1, Uploading: 1}
		wantQuota(t, "Stage", l.Stage(t.Context(), id, upload(data)), image.QuotaStaged)
		l.checkUsage(image.Usage{Images: 1})
		l.quota.now.Staged = size
		unknown := upload(data)
		unknown.ContentLength = -1
		if err := l.Stage(t.Context(), id, unknown); err != nil {
			t.Fatal(err)
		}
		l.checkUsage(image.Usage{Images: 1, Staged: size, Uploading: 1})
		l.do(id, image.Import{Method: image.ImportStaged})
		l.check(id, want{status: image.Queued, failed: "first", task: image.TaskFailure, message: "image_size_total"})
		l.checkUsage(image.Usage{Images: 1})
		l.checkNothingLeft(0)
	})
}

// TestCopiesKeepTheQuota: each copy counts.
func TestCopiesKeepTheQuota(t *testing.T) {
	size := int64(len(data))
	l := start(t)
	id := l.create()
	l.quota.now = imageservice.Quota{Size: 2*size - 1, Staged: 0, Images: 1, Uploading: 1}
	if err := l.Upload(t.Context(), id, upload(data)); err != nil {
		t.Fatal(err)
	}
	imp := image.Import{Method: image.ImportCopy, AllStores: true}
	wantQuota(t, "Import", l.Import(t.Context(), id, imp), image.QuotaSize)
	l.quota.now.Size++
	l.do(id, imp)
	l.check(id, want{status: image.Active, stores: "first,second", task: image.TaskSuccess, data: data})
	l.checkUsage(image.Usage{Images: 1, Bytes: 2 * size})
}
