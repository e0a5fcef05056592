package importer

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/signature"
	"github.com/vitrine-image/vitrine/internal/signature/signaturetest"
)

const refused = "Signature verification for the image failed"

// createSigned makes a queued raw image whose data is signed.
func (l *lab) createSigned(data []byte) image.ID {
	l.t.Helper()
	id := l.create()
	l.edit(id, signaturetest.Default().Edits(l.t, data)...)
	return id
}

func (l *lab) edit(id image.ID, edits ...image.Edit) {
	l.t.Helper()
	if _, err := l.Edit(l.t.Context(), id, edits); err != nil {
		l.t.Fatal(err)
	}
}

// TestSignedImports brings data in every way, which is what was signed or is not, past plugins that change it or not.
func TestSignedImports(t *testing.T) {
	packed := packGzip(t, data)
	for _, sent := range [][]byte{data, packed} {
		for _, method := range []string{image.ImportStaged, image.ImportURL, image.ImportDownload} {
			for _, plugins := range [][]string{nil, {Injection, Decompression}} {
				for _, imp := range []image.Import{{}, {AllStores: true, AllowFailure: true}} {
					for _, good := range []bool{true, false} {
						t.Run(fmt.Sprint(len(sent), " ", method, " ", plugins, " ", imp.AllStores, " ", good), func(t *testing.T) {
							signedImport(t, sent, method, plugins, imp, good)
						})
					}
				}
			}
		}
	}
}

func signedImport(t *testing.T, sent []byte, method string, plugins []string, imp image.Import, good bool) {
	l := start(t)
	l.imp.plugins.Enabled, l.imp.plugins.Inject = plugins, map[string]string{"hw_disk_bus": "scsi"}
	signed := sent
	if !good {
		signed = append(bytes.Clone(sent), 0)
	}
	id := l.createSigned(signed)
	imp.Method = method
	switch method {
	case image.ImportStaged:
		if err := l.Stage(t.Context(), id, upload(sent)); err != nil {
			t.Fatal(err)
		}
	case image.ImportURL:
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(sent) }))
		t.Cleanup(srv.Close)
		imp.URL = srv.URL
	case image.ImportDownload:
		source := image.Image{ID: image.NewID(), Status: image.Active, DiskFormat: "raw", ContainerFormat: "bare"}
		l.imp.remote = &remote{t: t, img: source, data: bytes.NewReader(sent)}
		imp.Source, imp.Region = source.ID, "other"
		l.Session = l.svc.As(image.Caller{ProjectID: "p", Roles: []string{"admin"}, Token: "secret"})
	}
	l.do(id, imp)
	w := want{status: image.Active, stores: "first", task: image.TaskSuccess, data: sent}
	if imp.AllStores {
		w.stores = "first,second"
	}
	if slices.Contains(plugins, Decompression) {
		w.data = data
	}
	if !good {
		w = want{status: image.Queued, failed: w.stores, task: image.TaskFailure, message: refused}
	}
	l.check(id, w)
	if !good { // the right bytes may come now
		if err := l.Upload(t.Context(), id, upload(signed)); err != nil {
			t.Error(err)
		}
	}
}

// TestWhatWasSignedAtTheRequestCounts changes properties and certificates before the importer comes to its task.
func TestWhatWasSignedAtTheRequestCounts(t *testing.T) {
	url := web(t) + "/data"
	for _, good := range []bool{true, false} {
		l := start(t)
		now, later := data, []byte("other data")
		w := want{status: image.Active, stores: "first", task: image.TaskSuccess, data: data}
		if !good {
			now, later = later, now
			w = want{status: image.Queued, failed: "first", task: image.TaskFailure, message: refused}
		}
		id := l.createSigned(now)
		if err := l.Import(t.Context(), id, image.Import{Method: image.ImportURL, URL: url}); err != nil {
			t.Fatal(err)
		}
		l.edit(id, signaturetest.Default().Edits(t, later)...)
		l.work()
		l.check(id, w)
	}
}

// TestImportsAreAskedAboutSignatures refuses an import whose signature cannot be verified when it is asked for, and no copy.
func TestImportsAreAskedAboutSignatures(t *testing.T) {
	l := start(t)
	url := web(t) + "/data"
	id := l.createSigned(data)
	stranger := signaturetest.New(nil)
	l.edit(id, image.Edit{Op: image.EditReplace, Name: signature.CertificateID, Value: string(stranger.ID)})
	err := l.Import(t.Context(), id, image.Import{Method: image.ImportURL, URL: url})
	if !errors.Is(err, image.ErrInvalid) || !strings.Contains(err.Error(), string(stranger.ID)) {
		t.Errorf("Import = %v, want that the certificate is not there", err)
	}
	img, err := l.Get(t.Context(), id)
	if err != nil || img.Status != image.Queued {
		t.Errorf("the image is %+v, %v", img, err)
	}
	l.edit(id, signaturetest.Default().Edits(t, data)...)
	l.do(id, image.Import{Method: image.ImportURL, URL: url})
	l.edit(id, stranger.Edits(t, []byte("other data"))...)
	l.do(id, image.Import{Method: image.ImportCopy, Stores: []string{"second"}})
	l.check(id, want{status: image.Active, stores: "first,second", task: image.TaskSuccess, data: data})
}
