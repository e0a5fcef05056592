package servicetest

import (
	"context"
	"errors"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// Locating are the verbs about where data lies.
type Locating interface {
	Images
	Locations(ctx context.Context, id image.ID) ([]image.Location, error)
	AddLocation(ctx context.Context, id image.ID, add image.NewLocation) error
}

// LocationURLs are what RunLocations names: A and B are of the same data, Other of as much other data, Longer of more, all in the store
// "web" and acceptable as raw; for Shelf, in the store "shelf", only services are trusted, as for Pool, whose data goes with its image.
type LocationURLs struct{ A, B, Other, Longer, QCOW2, Shelf, Pool, Missing, Offline string }

// RunLocations runs what is done with locations, where edits of them are on. open returns a service without images, which is called
// once for each test; an image of which it gets a location has at most three of them, and its hash is sha512.
func RunLocations(t *testing.T, open func(t *testing.T) (as func(image.Caller) Locating, urls LocationURLs)) {
	for name, test := range map[string]func(t *testing.T, as func(image.Caller) Locating, urls LocationURLs){
		"AddLocation":        addLocation,
		"AddLocationRefuses": addLocationRefuses,
		"EditLocations":      editLocations,
		"EditRefuses":        editLocationsRefuses,
		"EditSums":           editSums,
		"ReplaceLocations":   replaceLocations,
		"LocationQuota":      locationQuota,
		"DataOfOthers":       dataOfOthers,
	} {
		t.Run(name, func(t *testing.T) {
			as, urls := open(t)
			test(t, as, urls)
		})
	}
}

func addLocation(t *testing.T, as func(image.Caller) Locating, urls LocationURLs) {
	for _, tt := range []struct {
		caller image.Caller
		url    string
	}{{Admin, urls.Shelf}, {Owner, urls.A}, {Admin, urls.A}} {
		id := create(t, as(tt.caller), raw("disk")...).ID
		if err := as(tt.caller).AddLocation(t.Context(), id, image.NewLocation{URL: tt.url}); err != nil {
			t.Errorf("AddLocation of %s as %s = %v", tt.url, tt.caller.ProjectID, err)
		}
		if img, err := as(tt.caller).Get(t.Context(), id); err != nil || img.Status != image.Importing {
			t.Errorf("the image is %+v, %v, want it %s", img, err, image.Importing)
		}
		wantErr(t, "adding another one", as(tt.caller).AddLocation(t.Context(), id, image.NewLocation{URL: tt.url}), image.ErrConflict)
	}
}

func addLocationRefuses(t *testing.T, as func(image.Caller) Locating, urls LocationURLs) {
	mine, blank, active := create(t, as(Owner), raw("disk")...).ID, create(t, as(Owner)).ID, create(t, as(Owner), raw("disk")...).ID
	upload(t, as(Owner), active, []byte("data"))
	bad := image.Sums{HashAlgo: "sha512", HashValue: "abc1"}
	for _, tt := range []struct {
		name   string
		caller image.Caller
		id     image.ID
		add    image.NewLocation
		want   error
	}{
		{"a hash that is none", Owner, mine, image.NewLocation{URL: urls.A, Sums: bad}, image.ErrInvalid},
		{"an unknown algorithm", Owner, mine, image.NewLocation{URL: urls.A, Sums: image.Sums{HashAlgo: "crc32", HashValue: "abc1"}}, image.ErrInvalid},
		{"an unknown image", Owner, image.NewID(), image.NewLocation{URL: urls.A}, image.ErrNotFound},
		{"an image of somebody else", Other, mine, image.NewLocation{URL: urls.A}, image.ErrNotFound},
		{"a URL for services", Owner, active, image.NewLocation{URL: urls.Shelf}, image.ErrForbidden},
		{"an unknown scheme, as a user", Owner, mine, image.NewLocation{URL: "gopher://info.cern.ch"}, image.ErrForbidden},
		{"a file of the server, as a user", Owner, mine, image.NewLocation{URL: "file:///etc/passwd"}, image.ErrForbidden},
		{"an image that has data", Owner, active, image.NewLocation{URL: urls.A}, image.ErrConflict},
		{"an image without formats", Owner, blank, image.NewLocation{URL: urls.A}, image.ErrInvalid},
		{"a URL that the store refuses", Owner, mine, image.NewLocation{URL: "http://refused/"}, image.ErrInvalid},
		{"an unknown scheme", Admin, mine, image.NewLocation{URL: "gopher://info.cern.ch"}, image.ErrInvalid},
		{"a file of the server", Admin, mine, image.NewLocation{URL: "file:///etc/passwd"}, image.ErrInvalid},
		{"a file of the server, in capitals", Admin, mine, image.NewLocation{URL: "FILE:///etc/passwd"}, image.ErrInvalid},
		{"the older name of files", Admin, mine, image.NewLocation{URL: "filesystem:///etc/passwd"}, image.ErrInvalid},
		{"a path", Admin, mine, image.NewLocation{URL: "/etc/passwd"}, image.ErrInvalid},
		{"a configured account", Admin, mine, image.NewLocation{URL: "swift+config://ref/container/object"}, image.ErrInvalid},
		{"no URL", Admin, mine, image.NewLocation{URL: "%zz:"}, image.ErrInvalid},
	} {
		wantErr(t, tt.name, as(tt.caller).AddLocation(t.Context(), tt.id, tt.add), tt.want)
	}
	if img, err := as(Owner).Get(t.Context(), mine); err != nil || img.Status != image.Queued {
		t.Errorf("the image is %+v, %v, want it as it was", img, err)
	}
}

// locate is an edit that adds a location; item says where.
func locate(item, url string, more ...any) image.Edit {
	doc := map[string]any{"url": url, "metadata": map[string]any{}}
	for i := 0; i < len(more); i += 2 {
		doc[more[i].(string)] = more[i+1]
	}
	return image.Edit{Op: image.EditAdd, Name: image.EditLocations, Item: item, Value: doc}
}

func removal(item string) image.Edit {
	return image.Edit{Op: image.EditRemove, Name: image.EditLocations, Item: item}
}

// wantLocations compares the URLs of an image's locations.
func wantLocations(t *testing.T, as func(image.Caller) Locating, id image.ID, want ...string) []image.Location {
	t.Helper()
	got, err := as(Admin).Locations(t.Context(), id)
	if err != nil || len(got) != len(want) {
		t.Fatalf("Locations = %v, %v, want %q", got, err, want)
	}
	for i, loc := range got {
		if loc.URL != want[i] {
			t.Errorf("location %d is %v, want %q", i, loc, want[i])
		}
	}
	return got
}

func editLocations(t *testing.T, as func(image.Caller) Locating, urls LocationURLs) {
	id := create(t, as(Owner), raw("disk")...).ID
	img, err := as(Owner).Edit(t.Context(), id, []image.Edit{
		{Op: image.EditReplace, Name: "name", Value: "named"}, locate("-", urls.A, "metadata", map[string]any{"foo": "bar"}),
		{Op: image.EditAdd, Name: "a", Value: "b"}})
	if err != nil || img.Status != image.Active || *img.Name != "named" || img.Properties["a"] != "b" || img.Size == nil {
		t.Fatalf("Edit = %+v, %v", img, err)
	}
	if got := wantLocations(t, as, id, urls.A); got[0].Store != "web" || got[0].Metadata["foo"] != "bar" {
		t.Errorf("the location is %+v", got[0])
	}
	if _, err := as(Owner).Edit(t.Context(), id, []image.Edit{locate("0", urls.B)}); err != nil {
		t.Fatal(err)
	}
	wantLocations(t, as, id, urls.B, urls.A)
	if _, err := as(Admin).Edit(t.Context(), id, []image.Edit{removal("0")}); err != nil {
		t.Fatal(err)
	}
	wantLocations(t, as, id, urls.A)
	_, err = as(Admin).Edit(t.Context(), id, []image.Edit{removal("0")})
	wantErr(t, "removing the last location", err, image.ErrForbidden)
}

func editLocationsRefuses(t *testing.T, as func(image.Caller) Locating, urls LocationURLs) {
	queued, active, deactivated := create(t, as(Owner), raw("disk")...).ID, create(t, as(Owner), raw("disk")...).ID, create(t, as(Owner), raw("disk")...).ID
	for _, id := range []image.ID{active, deactivated} {
		if _, err := as(Owner).Edit(t.Context(), id, []image.Edit{locate("-", urls.A), locate("-", urls.B)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := as(Owner).Deactivate(t.Context(), deactivated); err != nil {
		t.Fatal(err)
	}
	replace := func(value any) image.Edit {
		return image.Edit{Op: image.EditReplace, Name: image.EditLocations, Value: value}
	}
	for _, tt := range []struct {
		name   string
		caller image.Caller
		id     image.ID
		edit   image.Edit
		want   error
	}{
		{"somebody else", Other, queued, locate("-", urls.A), image.ErrNotFound},
		{"removing, as the owner", Owner, active, removal("0"), image.ErrForbidden},
		{"removing from a queued image", Admin, queued, removal("0"), image.ErrConflict},
		{"adding to a deactivated image", Owner, deactivated, locate("-", urls.Other), image.ErrConflict},
		{"removing from a deactivated image", Admin, deactivated, removal("0"), image.ErrConflict},
		{"replacing those of a deactivated image", Owner, deactivated, replace([]any{}), image.ErrConflict},
		{"the same location", Owner, active, locate("-", urls.A), image.ErrInvalid},
		{"no place", Owner, active, locate("x", urls.Other), image.ErrInvalid},
		{"a place too far", Owner, active, locate("3", urls.Other), image.ErrInvalid},
		{"a negative place", Owner, active, locate("-1", urls.Other), image.ErrInvalid},
		{"removing what is not there", Admin, active, removal("2"), image.ErrInvalid},
		{"a location that is none", Owner, queued, image.Edit{Op: image.EditAdd, Name: image.EditLocations, Item: "-", Value: "x"}, image.ErrInvalid},
		{"a location without a URL", Owner, queued, locate("-", ""), image.ErrInvalid},
		{"metadata that is none", Owner, queued, locate("-", urls.A, "metadata", "x"), image.ErrInvalid},
		{"metadata of the server", Owner, queued, locate("-", urls.A, "metadata", map[string]any{"os_glance_version": "x"}), image.ErrInvalid},
		{"another store", Owner, queued, locate("-", urls.A, "metadata", map[string]any{"store": "local"}), image.ErrInvalid},
		{"a file of the server", Admin, queued, locate("-", "file:///etc/passwd"), image.ErrInvalid},
		{"an unknown scheme", Owner, queued, locate("-", "gopher://info.cern.ch"), image.ErrInvalid},
		{"a URL for services", Owner, queued, locate("-", urls.Shelf), image.ErrForbidden},
		{"nothing there", Owner, queued, locate("-", urls.Missing), image.ErrInvalid},
		{"a server that is away", Owner, queued, locate("-", urls.Offline), image.ErrStoreOffline},
		{"another format", Owner, queued, locate("-", urls.QCOW2), image.ErrUnsupportedContent},
		{"more data", Owner, active, locate("-", urls.Longer), image.ErrInvalid},
		{"replacing by nothing", Owner, active, replace([]any{}), image.ErrForbidden},
		{"replacing by what is no list", Owner, active, replace("x"), image.ErrInvalid},
		{"replacing by another one", Owner, active, replace([]any{map[string]any{"url": urls.A}, map[string]any{"url": urls.Other}}), image.ErrInvalid},
		{"replacing by fewer", Owner, active, replace([]any{map[string]any{"url": urls.A}}), image.ErrInvalid},
		{"replacing by the same twice", Owner, active, replace([]any{map[string]any{"url": urls.A}, map[string]any{"url": urls.A}}), image.ErrInvalid},
	} {
		_, err := as(tt.caller).Edit(t.Context(), tt.id, []image.Edit{tt.edit})
		wantErr(t, tt.name, err, tt.want)
	}
	wantLocations(t, as, queued)
	wantLocations(t, as, active, urls.A, urls.B)
}

func editSums(t *testing.T, as func(image.Caller) Locating, urls LocationURLs) {
	sums := func(checksum, algo, value string) map[string]any {
		return map[string]any{"checksum": checksum, "os_hash_algo": algo, "os_hash_value": value}
	}
	repeat := func(s string, n int) (long string) {
		for range n {
			long += s
		}
		return long
	}
	one, dead := repeat("1", 32), repeat("deadbeef", 16)
	id := create(t, as(Owner), raw("disk")...).ID
	for name, wrong := range map[string]any{"another algorithm": sums(one, "sha256", repeat("deadbeef", 8)), "a hash cut short": sums(one, "sha512", "dead"),
		"a checksum that is none": sums("x", "sha512", dead), "no hash": map[string]any{"checksum": one}, "a number": map[string]any{"checksum": true},
		"a list": []any{}} {
		_, err := as(Owner).Edit(t.Context(), id, []image.Edit{locate("-", urls.A, "validation_data", wrong)})
		wantErr(t, name, err, image.ErrInvalid)
	}
	img, err := as(Owner).Edit(t.Context(), id, []image.Edit{locate("-", urls.A, "validation_data", sums(one, "sha512", dead))})
	if err != nil || img.Checksum != one || img.HashAlgo != "sha512" || img.HashValue != dead {
		t.Fatalf("Edit = %+v, %v", img, err)
	}
	for name, other := range map[string]any{"checksum": sums(repeat("2", 32), "sha512", dead), "value": sums(one, "sha512", repeat("beefdead", 16)),
		"algorithm": sums(one, "sha256", dead)} {
		_, err := as(Owner).Edit(t.Context(), id, []image.Edit{locate("-", urls.B, "validation_data", other)})
		wantErr(t, "another "+name, err, image.ErrConflict)
	}
	if _, err := as(Owner).Edit(t.Context(), id, []image.Edit{locate("-", urls.B, "validation_data", sums(one, "sha512", dead))}); err != nil {
		t.Errorf("the same sums again: %v", err)
	}
}

func replaceLocations(t *testing.T, as func(image.Caller) Locating, urls LocationURLs) {
	id := create(t, as(Owner), raw("disk")...).ID
	replace := func(list ...any) image.Edit {
		return image.Edit{Op: image.EditReplace, Name: image.EditLocations, Value: list}
	}
	a, b := map[string]any{"url": urls.A}, map[string]any{"url": urls.B}
	for _, tt := range []struct {
		list []any
		want []string
	}{{[]any{a, b}, []string{urls.A, urls.B}}, {[]any{a, b}, []string{urls.A, urls.B}}, {[]any{b, a}, []string{urls.B, urls.A}}} {
		if img, err := as(Owner).Edit(t.Context(), id, []image.Edit{replace(tt.list...)}); err != nil || img.Status != image.Active {
			t.Fatalf("Edit = %+v, %v", img, err)
		}
		wantLocations(t, as, id, tt.want...)
	}
	b["metadata"] = map[string]any{"date": "2015-10-15", "store": "web"}
	if _, err := as(Owner).Edit(t.Context(), id, []image.Edit{replace(b, a)}); err != nil {
		t.Fatal(err)
	}
	if got := wantLocations(t, as, id, urls.B, urls.A); got[0].Metadata["date"] != "2015-10-15" || got[0].Store != "web" {
		t.Errorf("the locations are %+v", got)
	}
}

func locationQuota(t *testing.T, as func(image.Caller) Locating, urls LocationURLs) {
	id := create(t, as(Owner), raw("disk")...).ID
	if _, err := as(Owner).Edit(t.Context(), id, []image.Edit{locate("-", urls.A), locate("-", urls.B), locate("-", urls.Other)}); err != nil {
		t.Fatal(err)
	}
	_, err := as(Owner).Edit(t.Context(), id, []image.Edit{locate("-", urls.A+"#4")})
	var quota *image.QuotaError
	if !errors.Is(err, image.ErrTooLarge) || errors.As(err, &quota) && quota.Resource != "image_location_quota" {
		t.Errorf("one location too many = %v, want %v", err, image.ErrTooLarge)
	}
}

// dataOfOthers makes data that others left an image's, and nobody else's as long as it is there.
func dataOfOthers(t *testing.T, as func(image.Caller) Locating, urls LocationURLs) {
	theirs, mine := create(t, as(Other), raw("disk")...).ID, create(t, as(Owner), raw("disk")...).ID
	adopt := func(c image.Caller, id image.ID) error {
		_, err := as(c).Edit(t.Context(), id, []image.Edit{locate("-", urls.Pool)})
		return err
	}
	wantErr(t, "adopting as a user", adopt(Owner, mine), image.ErrForbidden)
	if err := adopt(Admin, theirs); err != nil {
		t.Fatal(err)
	}
	before, err := as(Other).Download(t.Context(), theirs)
	if err != nil {
		t.Error(err)
	}
	refused := func() {
		t.Helper()
		wantErr(t, "adopting the data of an image", adopt(Admin, mine), image.ErrConflict)
		wantErr(t, "adding the data of an image", as(Admin).AddLocation(t.Context(), mine, image.NewLocation{URL: urls.Pool}), image.ErrConflict)
		wantErr(t, "adding it as a user", as(Owner).AddLocation(t.Context(), mine, image.NewLocation{URL: urls.Pool}), image.ErrForbidden)
		if img, err := as(Owner).Get(t.Context(), mine); err != nil || img.Status != image.Queued {
			t.Errorf("the image is %+v, %v, want it as it was", img, err)
		}
	}
	refused()
	if err := as(Owner).Delete(t.Context(), mine); err != nil {
		t.Error(err)
	}
	if after, err := as(Other).Download(t.Context(), theirs); err != nil || string(after) != string(before) {
		t.Errorf("Download = %q, %v, want %q", after, err, before)
	}
	mine = create(t, as(Owner), raw("disk")...).ID
	if err := as(Other).Delete(t.Context(), theirs); err != nil {
		t.Error(err)
	}
	wantErr(t, "adopting what was deleted with its image", adopt(Admin, mine), image.ErrInvalid)
}
