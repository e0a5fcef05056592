// Package servicetest is the contract of the verbs as a suite: it runs against the service itself, and against client,
// api and service in a row, so that HTTP loses nothing on the way.
package servicetest

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/vitrine-image/vitrine/image"
)

// Images are the verbs, asked by an admin of one project. Errors are told apart by their kind.
type Images interface {
	Create(ctx context.Context, id image.ID, edits []image.Edit) (*image.Image, error)
	Get(ctx context.Context, id image.ID) (*image.Image, error)
	List(ctx context.Context, q image.Query) ([]*image.Image, error)
	Edit(ctx context.Context, id image.ID, edits []image.Edit) (*image.Image, error)
	Delete(ctx context.Context, id image.ID) error
	AddTag(ctx context.Context, id image.ID, tag string) error
	RemoveTag(ctx context.Context, id image.ID, tag string) error
	Deactivate(ctx context.Context, id image.ID) error
	Reactivate(ctx context.Context, id image.ID) error
	// Upload sends body; size is -1 when it is not announced.
	Upload(ctx context.Context, id image.ID, body io.Reader, size int64) error
	// Stage is like Upload, for an import.
	Stage(ctx context.Context, id image.ID, body io.Reader, size int64) error
	// Download returns the whole data.
	Download(ctx context.Context, id image.ID) ([]byte, error)
	// DownloadAs returns it in a format, "" for its own.
	DownloadAs(ctx context.Context, id image.ID, format string) ([]byte, error)
	Extents(ctx context.Context, id image.ID, q image.ExtentQuery) (image.ExtentPage, error)
	Sums(ctx context.Context, id image.ID) ([]image.ContentSum, error)
}

// Run runs the suite. open returns a service without images that has the certificate of signaturetest.Default; it is called once
// for each test.
func Run(t *testing.T, open func(t *testing.T) Images) {
	for name, test := range map[string]func(t *testing.T, images Images){
		"CreateAndGet":            createAndGet,
		"CreateRefuses":           createRefuses,
		"DeletedIDsStayTaken":     deletedIDsStayTaken,
		"Edit":                    edit,
		"EditIsAllOrNothing":      editIsAllOrNothing,
		"EditKeepsTheQuotas":      editKeepsTheQuotas,
		"TextIsBounded":           textIsBounded,
		"Tags":                    tags,
		"UploadAndDownload":       uploadAndDownload,
		"UploadOfNothing":         uploadOfNothing,
		"UploadNeedsFormats":      uploadNeedsFormats,
		"UploadOnlyOnce":          uploadOnlyOnce,
		"UploadOfWrongSize":       uploadOfWrongSize,
		"UploadThatBreaksOff":     uploadThatBreaksOff,
		"UploadOfAnotherFormat":   uploadOfAnotherFormat,
		"DeletedWhileUploading":   deletedWhileUploading,
		"SignedUpload":            signedUpload,
		"SignedOddly":             signedOddly,
		"SignedByHalf":            signedByHalf,
		"SignedAnewMeanwhile":     signedAnewMeanwhile,
		"NoData":                  noData,
		"Deactivate":              deactivate,
		"Protected":               protected,
		"ListPages":               listPages,
		"ListFilters":             listFilters,
		"Stage":                   stage,
		"StageThatBreaksOff":      stageThatBreaksOff,
		"Convert":                 convert,
		"ConvertRefuses":          convertRefuses,
		"Extents":                 extents,
		"Sums":                    sums,
		"WhatIsNotThereIsMissing": whatIsNotThereIsMissing,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// add makes an edit.
func add(name string, value any) image.Edit {
	return image.Edit{Op: image.EditAdd, Name: name, Value: value}
}

// raw are the edits of an image that takes any bytes.
func raw(name string) []image.Edit {
	return []image.Edit{add("name", name), add("disk_format", "raw"), add("container_format", "bare")}
}

func create(t *testing.T, images Images, edits ...image.Edit) *image.Image {
	t.Helper()
	img, err := images.Create(t.Context(), "", edits)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func get(t *testing.T, images Images, id image.ID) *image.Image {
	t.Helper()
	img, err := images.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func upload(t *testing.T, images Images, id image.ID, data []byte) {
	t.Helper()
	if err := images.Upload(t.Context(), id, bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func createAndGet(t *testing.T, images Images) {
	id := image.NewID()
	made, err := images.Create(t.Context(), id, []image.Edit{add("name", "Debian 12 日本"), add("visibility", "public"),
		add("protected", true), add("os_hidden", true), add("min_ram", json.Number("512")), add("min_disk", json.Number("3")),
		add("disk_format", "qcow2"), add("container_format", "bare"), add("tags", []any{"lts", "a/b"}),
		add("os_distro", "debian"), add("empty", "")})
	if err != nil {
		t.Fatal(err)
	}
	for _, img := range []*image.Image{made, get(t, images, id)} {
		if img.ID != id || *img.Name != "Debian 12 日本" || img.Visibility != image.Public || !img.Protected || !img.Hidden ||
			img.MinRAM != 512 || img.MinDisk != 3 || img.DiskFormat != "qcow2" || img.ContainerFormat != "bare" ||
			img.Status != image.Queued || img.Owner == "" || img.Size != nil || img.Checksum != "" || img.CreatedAt.IsZero() {
			t.Errorf("image = %+v", img)
		}
		if want := []string{"a/b", "lts"}; !slices.Equal(slices.Sorted(slices.Values(img.Tags)), want) {
			t.Errorf("tags = %q, want %q", img.Tags, want)
		}
		if want := map[string]string{"os_distro": "debian", "empty": ""}; !maps.Equal(img.Properties, want) {
			t.Errorf("properties = %q, want %q", img.Properties, want)
		}
	}
	blank := get(t, images, create(t, images).ID)
	if blank.Name != nil || blank.Visibility != image.Shared || blank.DiskFormat != "" || len(blank.Tags) != 0 {
		t.Errorf("an image of nothing = %+v", blank)
	}
}

func createRefuses(t *testing.T, images Images) {
	_, err := images.Create(t.Context(), "", []image.Edit{add("status", "active")})
	wantErr(t, "a read-only field", err, image.ErrForbidden)
	_, err = images.Create(t.Context(), "", []image.Edit{add("min_ram", json.Number("-1"))})
	wantErr(t, "a negative number", err, image.ErrInvalid)
	_, err = images.Create(t.Context(), "", []image.Edit{add("name", "\U0001F600")})
	wantErr(t, "four bytes of UTF-8", err, image.ErrInvalid)
	var many []any
	for i := range 129 {
		many = append(many, fmt.Sprint(i))
	}
	_, err = images.Create(t.Context(), "", []image.Edit{add("tags", many)})
	wantErr(t, "129 tags", err, image.ErrTooLarge)
}

func deletedIDsStayTaken(t *testing.T, images Images) {
	img := create(t, images)
	_, err := images.Create(t.Context(), img.ID, nil)
	wantErr(t, "an id that exists", err, image.ErrConflict)
	if err := images.Delete(t.Context(), img.ID); err != nil {
		t.Fatal(err)
	}
	_, err = images.Create(t.Context(), img.ID, nil)
	wantErr(t, "an id that existed", err, image.ErrConflict)
}

func edit(t *testing.T, images Images) {
	id := create(t, images, add("name", "a"), add("color", "red"), add("shape", "round")).ID
	img, err := images.Edit(t.Context(), id, []image.Edit{
		{Op: image.EditReplace, Name: "name", Value: nil},
		{Op: image.EditReplace, Name: "color", Value: "blue"},
		{Op: image.EditRemove, Name: "shape"},
		{Op: image.EditAdd, Name: "weight/kg ~", Value: "3"},
		{Op: image.EditReplace, Name: "tags", Value: []any{"x"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, img := range []*image.Image{img, get(t, images, id)} {
		if want := map[string]string{"color": "blue", "weight/kg ~": "3"}; img.Name != nil || !maps.Equal(img.Properties, want) ||
			!slices.Equal(img.Tags, []string{"x"}) {
			t.Errorf("image = %+v, want properties %q", img, want)
		}
	}
	if _, err := images.Edit(t.Context(), id, nil); err != nil {
		t.Errorf("no edits at all: %v", err)
	}
}

func editIsAllOrNothing(t *testing.T, images Images) {
	id := create(t, images, add("name", "a")).ID
	_, err := images.Edit(t.Context(), id, []image.Edit{
		{Op: image.EditReplace, Name: "name", Value: "b"}, {Op: image.EditRemove, Name: "missing"}})
	wantErr(t, "a property that is missing", err, image.ErrConflict)
	if img := get(t, images, id); *img.Name != "a" {
		t.Errorf("name = %q after a failed edit", *img.Name)
	}
}

func editKeepsTheQuotas(t *testing.T, images Images) {
	var edits []image.Edit
	for i := range 128 {
		edits = append(edits, add(fmt.Sprintf("p%d", i), "x"))
	}
	id := create(t, images, edits...).ID
	_, err := images.Edit(t.Context(), id, []image.Edit{add("one_more", "x")})
	wantErr(t, "129 properties", err, image.ErrTooLarge)
	_, err = images.Edit(t.Context(), id, []image.Edit{{Op: image.EditRemove, Name: "p0"}, add("one_more", "x")})
	wantErr(t, "an exchange", err, nil)
}

func textIsBounded(t *testing.T, images Images) {
	id := create(t, images).ID
	value := strings.Repeat("v", 60_000)
	var err error
	for n := 0; err == nil && n <= image.MaxTextBytes; n += len("p00") + len(value) {
		_, err = images.Edit(t.Context(), id, []image.Edit{add(fmt.Sprintf("p%02d", n/len(value)), value)})
	}
	wantErr(t, "another property", err, image.ErrTooLarge)
	rest := image.MaxTextBytes - get(t, images, id).TextBytes()
	_, err = images.Edit(t.Context(), id, []image.Edit{add("p", strings.Repeat("v", rest-1))})
	wantErr(t, "as much as there can be", err, nil)
	wantErr(t, "a tag more", images.AddTag(t.Context(), id, "t"), image.ErrTooLarge)
}

func tags(t *testing.T, images Images) {
	id := create(t, images).ID
	for _, tag := range []string{"b", "a b/c?&#%", "b"} {
		if err := images.AddTag(t.Context(), id, tag); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"a b/c?&#%", "b"}; !slices.Equal(slices.Sorted(slices.Values(get(t, images, id).Tags)), want) {
		t.Errorf("tags = %q, want %q", get(t, images, id).Tags, want)
	}
	wantErr(t, "removing a tag", images.RemoveTag(t.Context(), id, "a b/c?&#%"), nil)
	wantErr(t, "removing it again", images.RemoveTag(t.Context(), id, "a b/c?&#%"), image.ErrNotFound)
	wantErr(t, "a long tag", images.AddTag(t.Context(), id, string(bytes.Repeat([]byte("t"), 256))), image.ErrInvalid)
}

func uploadAndDownload(t *testing.T, images Images) {
	data := bytes.Repeat([]byte("0123456789abcde\n"), 100_000)
	for _, announced := range []bool{true, false} {
		id := create(t, images, raw("disk")...).ID
		size := int64(-1)
		if announced {
			size = int64(len(data))
		}
		if err := images.Upload(t.Context(), id, io.MultiReader(bytes.NewReader(data)), size); err != nil {
			t.Fatal(err)
		}
		img := get(t, images, id)
		md, sha := md5.Sum(data), sha512.Sum512(data)
		if img.Status != image.Active || img.Size == nil || *img.Size != int64(len(data)) || img.VirtualSize == nil ||
			*img.VirtualSize != int64(len(data)) || img.Checksum != hex.EncodeToString(md[:]) || img.HashAlgo != "sha512" ||
			img.HashValue != hex.EncodeToString(sha[:]) {
			t.Errorf("image = %+v", img)
		}
		got, err := images.Download(t.Context(), id)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("Download gave %d bytes, %v", len(got), err)
		}
	}
}

func uploadOfNothing(t *testing.T, images Images) {
	id := create(t, images, raw("empty")...).ID
	upload(t, images, id, nil)
	if img := get(t, images, id); img.Status != image.Active || *img.Size != 0 {
		t.Errorf("image = %+v", img)
	}
	if got, err := images.Download(t.Context(), id); err != nil || len(got) != 0 {
		t.Errorf("Download = %q, %v", got, err)
	}
}

func uploadNeedsFormats(t *testing.T, images Images) {
	id := create(t, images, add("disk_format", "raw")).ID
	wantErr(t, "no container format", images.Upload(t.Context(), id, bytes.NewReader([]byte("x")), 1), image.ErrInvalid)
	wantQueued(t, images, id)
}

// wantQueued checks that nothing of a failed upload is left, and that the next one works. A server may need a moment to
// notice that the client is gone.
func wantQueued(t *testing.T, images Images, id image.ID) {
	t.Helper()
	img := wantNoData(t, images, id)
	edits := []image.Edit{}
	if img.ContainerFormat == "" {
		edits = append(edits, add("container_format", "bare"))
	}
	edits = append(edits, image.Edit{Op: image.EditReplace, Name: "disk_format", Value: "raw"})
	if _, err := images.Edit(t.Context(), id, edits); err != nil {
		t.Error(err)
	}
	upload(t, images, id, []byte("second try"))
}

// wantNoData checks that nothing is left of a failed upload.
func wantNoData(t *testing.T, images Images, id image.ID) *image.Image {
	t.Helper()
	img := get(t, images, id)
	for img.Uploading() && t.Context().Err() == nil {
		img = get(t, images, id)
	}
	if img.Status != image.Queued || img.Size != nil || img.VirtualSize != nil || img.Checksum != "" || img.HashValue != "" {
		t.Errorf("after a failed upload image = %+v", img)
	}
	_, err := images.Download(t.Context(), id)
	wantErr(t, "download after a failed upload", err, image.ErrNoData)
	return img
}

func uploadOnlyOnce(t *testing.T, images Images) {
	id := create(t, images, raw("disk")...).ID
	upload(t, images, id, []byte("first"))
	wantErr(t, "a second upload", images.Upload(t.Context(), id, bytes.NewReader([]byte("again")), 5), image.ErrConflict)
	if got, err := images.Download(t.Context(), id); err != nil || string(got) != "first" {
		t.Errorf("Download = %q, %v", got, err)
	}
	_, err := images.Edit(t.Context(), id, []image.Edit{{Op: image.EditReplace, Name: "disk_format", Value: "qcow2"}})
	wantErr(t, "another format for an active image", err, image.ErrForbidden)
}

func uploadOfWrongSize(t *testing.T, images Images) {
	id := create(t, images, raw("disk")...).ID
	body := io.MultiReader(bytes.NewReader([]byte("three")), onceSaving{t, images, id})
	if err := images.Upload(t.Context(), id, body, 7); err == nil {
		t.Error("an upload of less than was announced succeeded")
	}
	wantQueued(t, images, id)
}

func uploadThatBreaksOff(t *testing.T, images Images) {
	id := create(t, images, raw("disk")...).ID
	body := io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), onceSaving{t, images, id}, iotest.ErrReader(errors.New("the network is gone")))
	if err := images.Upload(t.Context(), id, body, -1); err == nil {
		t.Error("an upload that broke off succeeded")
	}
	wantQueued(t, images, id)
}

// onceSaving is an empty body that ends when the upload has begun, so that a client cannot fail before its server knows.
type onceSaving struct {
	t      *testing.T
	images Images
	id     image.ID
}

func (o onceSaving) Read([]byte) (int, error) {
	for !get(o.t, o.images, o.id).Uploading() && o.t.Context().Err() == nil {
	}
	return 0, io.EOF
}

func uploadOfAnotherFormat(t *testing.T, images Images) {
	id := create(t, images, add("disk_format", "qcow2"), add("container_format", "bare")).ID
	err := images.Upload(t.Context(), id, bytes.NewReader(bytes.Repeat([]byte("no qcow2"), 1000)), 8000)
	wantErr(t, "raw bytes declared as qcow2", err, image.ErrUnsupportedContent)
	wantQueued(t, images, id)
}

func deletedWhileUploading(t *testing.T, images Images) {
	id := create(t, images, raw("disk")...).ID
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- images.Upload(context.Background(), id, r, -1) }()
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	for get(t, images, id).Status != image.Saving && t.Context().Err() == nil {
	}
	if err := images.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	go func() { // the service may stop reading anywhere in it
		w.Write(make([]byte, 1<<20))
		w.Close()
	}()
	wantErr(t, "the upload", <-done, image.ErrGone)
	r.Close()
	_, err := images.Get(t.Context(), id)
	wantErr(t, "the image", err, image.ErrNotFound)
}

func stage(t *testing.T, images Images) {
	for _, data := range []string{"staged", ""} {
		id := create(t, images).ID // formats are not needed yet
		wantErr(t, "staging", images.Stage(t.Context(), id, strings.NewReader(data), int64(len(data))), nil)
		if img := get(t, images, id); img.Status != image.Uploading || img.Size == nil || *img.Size != int64(len(data)) || img.Checksum != "" {
			t.Errorf("image = %+v", img)
		}
		_, err := images.Download(t.Context(), id)
		wantErr(t, "download of staged data", err, image.ErrNoData)
		wantErr(t, "staging again", images.Stage(t.Context(), id, strings.NewReader(data), -1), image.ErrConflict)
		wantErr(t, "uploading", images.Upload(t.Context(), id, strings.NewReader(data), -1), image.ErrConflict)
		wantErr(t, "deleting", images.Delete(t.Context(), id), nil)
	}
	id := create(t, images, raw("disk")...).ID
	upload(t, images, id, []byte("data"))
	wantErr(t, "staging for an active image", images.Stage(t.Context(), id, strings.NewReader("x"), 1), image.ErrConflict)
}

func stageThatBreaksOff(t *testing.T, images Images) {
	id := create(t, images, raw("disk")...).ID
	body := io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), onceSaving{t, images, id}, iotest.ErrReader(errors.New("the network is gone")))
	if err := images.Stage(t.Context(), id, body, -1); err == nil {
		t.Error("data was staged that broke off")
	}
	wantQueued(t, images, id)
}

func noData(t *testing.T, images Images) {
	id := create(t, images, raw("disk")...).ID
	_, err := images.Download(t.Context(), id)
	wantErr(t, "download of a queued image", err, image.ErrNoData)
}

func deactivate(t *testing.T, images Images) {
	id := create(t, images, raw("disk")...).ID
	wantErr(t, "deactivating a queued image", images.Deactivate(t.Context(), id), image.ErrForbidden)
	upload(t, images, id, []byte("data"))
	for range 2 { // the second time changes nothing
		wantErr(t, "deactivating", images.Deactivate(t.Context(), id), nil)
		if img := get(t, images, id); img.Status != image.Deactivated {
			t.Errorf("status = %s", img.Status)
		}
	}
	if got, err := images.Download(t.Context(), id); err != nil || string(got) != "data" {
		t.Errorf("an admin's download of a deactivated image = %q, %v", got, err)
	}
	for range 2 {
		wantErr(t, "reactivating", images.Reactivate(t.Context(), id), nil)
		if img := get(t, images, id); img.Status != image.Active {
			t.Errorf("status = %s", img.Status)
		}
	}
}

func protected(t *testing.T, images Images) {
	id := create(t, images, add("protected", true)).ID
	wantErr(t, "deleting a protected image", images.Delete(t.Context(), id), image.ErrForbidden)
	if _, err := images.Edit(t.Context(), id, []image.Edit{{Op: image.EditReplace, Name: "protected", Value: false}}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "deleting it when it is not", images.Delete(t.Context(), id), nil)
}

func listPages(t *testing.T, images Images) {
	var want []image.ID
	for i := range 7 {
		want = append(want, create(t, images, add("name", fmt.Sprint("n", i/3))).ID)
	}
	slices.Reverse(want)
	var got []image.ID
	for marker := image.ID(""); ; {
		page, err := images.List(t.Context(), image.Query{Limit: 3, Marker: marker})
		if err != nil {
			t.Fatal(err)
		}
		for _, img := range page {
			got = append(got, img.ID)
			marker = img.ID
		}
		if len(page) < 3 {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages = %q, want newest first: %q", got, want)
	}
	page, err := images.List(t.Context(), image.Query{Limit: 100, Sort: []image.SortKey{{Field: image.FieldName}, {Field: image.FieldID}}})
	if err != nil || !slices.IsSortedFunc(page, func(a, b *image.Image) int {
		return bytes.Compare([]byte(*a.Name+string(a.ID)), []byte(*b.Name+string(b.ID)))
	}) || len(page) != 7 {
		t.Errorf("sorted by name and id: %d images, %v", len(page), err)
	}
	_, err = images.List(t.Context(), image.Query{Limit: 3, Marker: image.NewID()})
	wantErr(t, "an unknown marker", err, image.ErrInvalid)
}

func listFilters(t *testing.T, images Images) {
	a := create(t, images, add("name", "a, b"), add("tags", []any{"x", "y"}), add("os_distro", "debian"), add("min_ram", json.Number("64"))).ID
	b := create(t, images, add("name", "b"), add("tags", []any{"x"}), add("os_distro", "fedora"), add("visibility", "public")).ID
	c := create(t, images, add("name", "c"), add("os_hidden", true)).ID
	for _, tt := range []struct {
		name string
		q    image.Query
		want []image.ID
	}{
		{"all", image.Query{}, []image.ID{b, a}},
		{"hidden", image.Query{Hidden: true}, []image.ID{c}},
		{"one tag", image.Query{Tags: []string{"x"}}, []image.ID{b, a}},
		{"two tags", image.Query{Tags: []string{"x", "y"}}, []image.ID{a}},
		{"visibility", image.Query{Visibility: image.Public}, []image.ID{b}},
		{"property", image.Query{Filters: []image.Filter{{Property: "os_distro", Op: image.OpEqual, Strings: []string{"debian"}}}}, []image.ID{a}},
		{"name", image.Query{Filters: []image.Filter{{Field: image.FieldName, Op: image.OpEqual, Strings: []string{"a, b"}}}}, []image.ID{a}},
		{"names", image.Query{Filters: []image.Filter{{Field: image.FieldName, Op: image.OpIn, Strings: []string{"a, b", "b", "z"}}}}, []image.ID{b, a}},
		{"at least", image.Query{Filters: []image.Filter{{Field: image.FieldMinRAM, Op: image.OpAtLeast, Int: 64}}}, []image.ID{a}},
		{"status", image.Query{Filters: []image.Filter{{Field: image.FieldStatus, Op: image.OpEqual, Strings: []string{"active"}}}}, nil},
	} {
		tt.q.Limit = 100
		page, err := images.List(t.Context(), tt.q)
		var got []image.ID
		for _, img := range page {
			got = append(got, img.ID)
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

func whatIsNotThereIsMissing(t *testing.T, images Images) {
	id := image.NewID()
	_, err := images.Get(t.Context(), id)
	wantErr(t, "Get", err, image.ErrNotFound)
	_, err = images.Edit(t.Context(), id, []image.Edit{add("a", "b")})
	wantErr(t, "Edit", err, image.ErrNotFound)
	_, err = images.Download(t.Context(), id)
	wantErr(t, "Download", err, image.ErrNotFound)
	for what, err := range map[string]error{
		"Delete":     images.Delete(t.Context(), id),
		"AddTag":     images.AddTag(t.Context(), id, "x"),
		"RemoveTag":  images.RemoveTag(t.Context(), id, "x"),
		"Deactivate": images.Deactivate(t.Context(), id),
		"Reactivate": images.Reactivate(t.Context(), id),
		"Upload":     images.Upload(t.Context(), id, bytes.NewReader([]byte("x")), 1),
		"Stage":      images.Stage(t.Context(), id, bytes.NewReader([]byte("x")), 1),
	} {
		wantErr(t, what, err, image.ErrNotFound)
	}
}
