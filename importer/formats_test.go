package importer

import (
	"context"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// meanwhile is a store that calls a function before it stores.
type meanwhile struct {
	imagestore.Writer
	do func()
}

func (m meanwhile) Put(ctx context.Context, obj imagestore.Object, src imagestore.Source) (image.Location, error) {
	m.do()
	return m.Writer.Put(ctx, obj, src)
}

// TestAFormatThatChanges declares data to be something else after it was judged: it must not become active as that.
func TestAFormatThatChanges(t *testing.T) {
	for _, change := range []image.Edit{
		{Op: image.EditReplace, Name: "disk_format", Value: "raw"},
		{Op: image.EditReplace, Name: "disk_format", Value: nil},
		{Op: image.EditReplace, Name: "container_format", Value: "ova"},
	} {
		for _, allow := range []bool{false, true} {
			var l *lab
			var id image.ID
			l = newLab(t, openDB(t), t.TempDir(), func(store string, w imagestore.Writer) imagestore.Writer {
				if store != "second" {
					return w
				}
				return meanwhile{w, func() {
					if _, err := l.Edit(t.Context(), id, []image.Edit{change}); err != nil {
						t.Error(err)
					}
				}}
			})
			img, err := l.Create(t.Context(), "", []image.Edit{{Op: image.EditAdd, Name: "disk_format", Value: "qcow2"},
				{Op: image.EditAdd, Name: "container_format", Value: "bare"}})
			if err != nil {
				t.Fatal(err)
			}
			id = img.ID
			if err := l.Stage(t.Context(), id, upload(qemuImage(t, "qcow2"))); err != nil {
				t.Fatal(err)
			}
			stores := []string{"first", "second"}
			if allow {
				stores = []string{"second"}
			}
			l.do(id, image.Import{Method: image.ImportStaged, Stores: stores, AllowFailure: allow})
			failed := "first,second"
			if allow {
				failed = "second"
			}
			l.check(id, want{status: image.Queued, failed: failed, task: image.TaskFailure, message: "format of the image was changed"})
		}
	}
}
