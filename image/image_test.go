package image

import (
	"errors"
	"fmt"
	"testing"
)

func TestParseID(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want ID
		ok   bool
	}{
		{"1b4e28ba-2fa1-11d2-883f-0016d3cca427", "1b4e28ba-2fa1-11d2-883f-0016d3cca427", true},
		{"1B4E28BA-2FA1-11D2-883F-0016D3CCA427", "1b4e28ba-2fa1-11d2-883f-0016d3cca427", true},
		{"1b4e28ba2fa111d2883f0016d3cca427", "", false},
		{"1b4e28ba-2fa1-11d2-883f-0016d3cca42g", "", false},
		{"", "", false},
	} {
		if got, ok := ParseID(tt.in); got != tt.want || ok != tt.ok {
			t.Errorf("ParseID(%q) = %q, %v, want %q, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
	if id, ok := ParseID(string(NewID())); !ok || id == NewID() {
		t.Errorf("NewID gives no fresh UUIDs: %q", id)
	}
}

func TestSetStatus(t *testing.T) {
	for _, tt := range []struct {
		from, to Status
		want     error
	}{
		{Queued, Saving, nil},
		{Saving, Queued, nil}, // a failed upload may be tried again
		{Saving, Active, nil},
		{Active, Deactivated, nil},
		{Deactivated, Active, nil},
		{PendingDelete, Active, nil},
		{Queued, Deactivated, ErrConflict},
		{Active, Queued, ErrConflict},
		{Deactivated, PendingDelete, ErrConflict},
		{Deleted, Active, ErrConflict},
	} {
		t.Run(fmt.Sprintf("%s to %s", tt.from, tt.to), func(t *testing.T) {
			img := &Image{Status: tt.from, DiskFormat: "raw", ContainerFormat: "bare"}
			if err := img.SetStatus(tt.to); !errors.Is(err, tt.want) {
				t.Errorf("SetStatus = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestSetStatusNeedsFormats(t *testing.T) {
	img := &Image{Status: Queued, DiskFormat: "raw"}
	if err := img.SetStatus(Saving); !errors.Is(err, ErrInvalid) || img.Status != Queued {
		t.Errorf("SetStatus without a container format = %v, status %s", err, img.Status)
	}
}

func TestGoingBackToQueuedForgetsTheData(t *testing.T) {
	size := int64(3)
	img := &Image{Status: Saving, Size: &size, VirtualSize: &size, Checksum: "x", HashAlgo: "sha512", HashValue: "y"}
	if err := img.SetStatus(Queued); err != nil {
		t.Fatal(err)
	}
	if img.Size != nil || img.VirtualSize != nil || img.Checksum != "" || img.HashAlgo != "" || img.HashValue != "" {
		t.Errorf("a queued image still knows of its data: %+v", img)
	}
}

func TestCanSee(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	admin := Caller{ProjectID: "ops", Roles: []string{"Admin"}}
	owner, other := Caller{ProjectID: "p1"}, Caller{ProjectID: "p2"}
	for _, tt := range []struct {
		name   string
		caller Caller
		img    Image
		member func() bool
		want   bool
	}{
		{"admin, private", admin, Image{Owner: "p1", Visibility: Private}, no, true},
		{"owner, private", owner, Image{Owner: "p1", Visibility: Private}, no, true},
		{"other, private", other, Image{Owner: "p1", Visibility: Private}, yes, false},
		{"other, shared", other, Image{Owner: "p1", Visibility: Shared}, no, false},
		{"member, shared", other, Image{Owner: "p1", Visibility: Shared}, yes, true},
		{"other, community", other, Image{Owner: "p1", Visibility: Community}, no, true},
		{"other, nobody's", other, Image{Visibility: Private}, no, true},
		{"anonymous, public", Caller{Anonymous: true}, Image{Owner: "p1", Visibility: Public}, no, true},
		{"anonymous, nobody's", Caller{Anonymous: true}, Image{Visibility: Private}, no, false},
	} {
		tt.img.Status = Active
		if got := tt.caller.CanSee(&tt.img, tt.member); got != tt.want {
			t.Errorf("%s: CanSee = %v, want %v", tt.name, got, tt.want)
		}
		tt.img.Status = PendingDelete
		if tt.caller.CanSee(&tt.img, tt.member) {
			t.Errorf("%s: sees an image that is pending_delete", tt.name)
		}
	}
}

func TestErrorsKeepTheirKind(t *testing.T) {
	for _, err := range Errors() {
		if wrapped := fmt.Errorf("open: %w", Errorf(err, "text")); !errors.Is(wrapped, err) {
			t.Errorf("Errorf loses %q", err)
		}
	}
	if !errors.Is(&InUseError{}, ErrInUse) || !errors.Is(&QuotaError{}, ErrTooLarge) {
		t.Error("an error type lost its sentinel")
	}
}

func TestLocationsHideCredentials(t *testing.T) {
	for _, tt := range []struct{ url, want string }{
		{"file:///srv/images/1b/x", "s: file:///srv/images/1b/x"},
		{"s3+https://key:secret@host/bucket/x", "s: s3+https://redacted@host/bucket/x"},
		{"swift+https://user%3Atenant:pass@host/x", "s: swift+https://redacted@host/x"},
		{"http://user:pa%zz@host", "s: a location that is no URL"},
	} {
		if got := (Location{Store: "s", URL: tt.url}).String(); got != tt.want {
			t.Errorf("String of %s = %s, want %s", tt.url, got, tt.want)
		}
	}
}

func TestEncrypted(t *testing.T) {
	for key, want := range map[string]bool{"": false, "7d2f2a3c-4f0e-4a57-8f0e-2c4f2d0e9a11": true} {
		img := &Image{Properties: map[string]string{"cinder_encryption_key_id": key}}
		if img.Encrypted() != want || (&Image{}).Encrypted() {
			t.Errorf("Encrypted with the key %q = %v, want %v", key, img.Encrypted(), want)
		}
	}
}

func TestIsIn(t *testing.T) {
	for _, tt := range []struct {
		disk, container, format string
		want                    bool
	}{
		{"raw", "bare", "raw", true},
		{"gpt", "bare", "raw", true},
		{"gpt", "bare", "gpt", true},
		{"qcow2", "bare", "qcow2", true},
		{"iso", "bare", "iso", true},
		{"ami", "ami", "ami", true},
		{"raw", "bare", "qcow2", false},
		{"iso", "bare", "raw", false},
		{"raw", "compressed", "raw", false},
		{"vmdk", "ova", "vmdk", false},
		{"", "", "", false},
	} {
		img := &Image{DiskFormat: tt.disk, ContainerFormat: tt.container}
		if got := img.IsIn(tt.format); got != tt.want {
			t.Errorf("%s in %s is in %q: %v, want %v", tt.disk, tt.container, tt.format, got, tt.want)
		}
	}
}
