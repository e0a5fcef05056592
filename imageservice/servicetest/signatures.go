package servicetest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/signature"
	"github.com/vitrine-image/vitrine/internal/signature/signaturetest"
)

// signed are the edits of an image that takes the data that is signed.
func signed(t *testing.T, data []byte, more ...image.Edit) []image.Edit {
	return slices.Concat(raw("signed"), signaturetest.Default().Edits(t, data), more)
}

// signedUpload takes what was signed, after other bytes were refused.
func signedUpload(t *testing.T, images Images) {
	data := bytes.Repeat([]byte("signed "), 100_000)
	other := slices.Concat(data[:len(data)-1], []byte("!"))
	id := create(t, images, signed(t, data)...).ID
	for _, size := range []int64{-1, int64(len(other))} {
		err := images.Upload(t.Context(), id, bytes.NewReader(other), size)
		wantErr(t, "other bytes", err, image.ErrInvalid)
		if err == nil || !strings.Contains(err.Error(), "Signature verification for the image failed") {
			t.Errorf("the upload of other bytes is told %v", err)
		}
		wantNoData(t, images, id)
	}
	broken := io.MultiReader(bytes.NewReader(data), onceSaving{t, images, id}, iotest.ErrReader(errors.New("the network is gone")))
	if err := images.Upload(t.Context(), id, broken, -1); err == nil {
		t.Error("an upload that broke off succeeded")
	}
	wantNoData(t, images, id)
	upload(t, images, id, data)
	if got, err := images.Download(t.Context(), id); err != nil || !bytes.Equal(got, data) {
		t.Errorf("Download = %d bytes, %v", len(got), err)
	}
	if img := get(t, images, id); img.HashAlgo != image.DefaultHashAlgo || img.Properties[signature.Value] == "" {
		t.Errorf("image = %+v", img)
	}
}

// signedOddly takes properties as any others, and judges them when data is to come, before a byte is taken.
func signedOddly(t *testing.T, images Images) {
	data := []byte("signed")
	stranger := signaturetest.New(nil)
	for _, tt := range []struct{ property, value, want string }{
		{signature.HashMethod, "MD5", "SHA-256"},
		{signature.KeyType, "ECC_SECT571K1", "binary fields"},
		{signature.KeyType, "RSA-PSS", "does not fit"},
		{signature.Value, "no Base64!", "Base64"},
		{signature.CertificateID, "../../etc/passwd", "UUID"},
		{signature.CertificateID, string(stranger.ID), "no certificate"},
	} {
		id := create(t, images, signed(t, data, add(tt.property, tt.value))...).ID
		for what, send := range map[string]func() error{
			"Upload": func() error { return images.Upload(t.Context(), id, bytes.NewReader(data), int64(len(data))) },
			"Stage":  func() error { return images.Stage(t.Context(), id, bytes.NewReader(data), int64(len(data))) },
		} {
			if err := send(); !errors.Is(err, image.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s with %s = %s: %v, want %q", what, tt.property, tt.value, err, tt.want)
			}
		}
		wantNoData(t, images, id)
		right := signaturetest.Default().Properties(t, data)
		if _, err := images.Edit(t.Context(), id, []image.Edit{{Op: image.EditReplace, Name: tt.property, Value: right[tt.property]}}); err != nil {
			t.Fatal(err)
		}
		upload(t, images, id, data)
	}
}

// signedByHalf verifies nothing unless all four properties are there.
func signedByHalf(t *testing.T, images Images) {
	for _, name := range []string{signature.Value, signature.HashMethod, signature.KeyType, signature.CertificateID} {
		id := create(t, images, signed(t, []byte("signed"))...).ID
		if _, err := images.Edit(t.Context(), id, []image.Edit{{Op: image.EditRemove, Name: name}}); err != nil {
			t.Fatal(err)
		}
		upload(t, images, id, []byte("not what was signed"))
	}
}

// signedAnewMeanwhile changes the signature during the upload: that of the beginning counts.
func signedAnewMeanwhile(t *testing.T, images Images) {
	data := bytes.Repeat([]byte("signed "), 100_000)
	for _, tt := range []struct {
		sent []byte
		want error
	}{{data, nil}, {[]byte("what is signed later"), image.ErrInvalid}} {
		id := create(t, images, signed(t, data)...).ID
		edit := func() error {
			later := signaturetest.Default().Properties(t, []byte("what is signed later"))[signature.Value]
			_, err := images.Edit(t.Context(), id, []image.Edit{{Op: image.EditReplace, Name: signature.Value, Value: later}})
			return err
		}
		var edited error
		body := io.MultiReader(bytes.NewReader(tt.sent), onceSaving{t, images, id}, readerFunc(func([]byte) (int, error) {
			edited = edit()
			return 0, io.EOF
		}))
		wantErr(t, "the upload", images.Upload(t.Context(), id, body, -1), tt.want)
		wantErr(t, "the edit", edited, nil)
	}
}

type readerFunc func([]byte) (int, error)

func (fn readerFunc) Read(p []byte) (int, error) { return fn(p) }
