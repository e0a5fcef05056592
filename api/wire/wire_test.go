package wire

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/vitrine-image/vitrine/image"
)

var update = flag.Bool("update", false, "write the golden files")

func example() *image.Image {
	size, virtual := int64(3), int64(512)
	name := "demo \"quoted\" \n naïve 日本"
	return &image.Image{
		ID: "09d71d45-7b61-42ad-b59c-0234ba01befe", Name: &name, Owner: "11111111111111111111111111111111",
		Status: image.Active, Visibility: image.Shared, DiskFormat: "raw", ContainerFormat: "bare", MinDisk: 1, MinRAM: 256,
		Size: &size, VirtualSize: &virtual, Checksum: "900150983cd24fb0d6963f7d28e17f72", HashAlgo: "sha512",
		HashValue: strings.Repeat("dd", 64), Tags: []string{"a,b", "lts"},
		Properties: map[string]string{"os_distro": "debian", "hw/odd key": "", "os_glance_failed_import": ""},
		CreatedAt:  time.Date(2026, 11, 20, 18, 10, 26, 0, time.UTC), UpdatedAt: time.Date(2026, 11, 20, 18, 10, 27, 0, time.UTC),
		Locations: []image.Location{
			{Store: "fast", URL: "file:///srv/09d7", Metadata: map[string]string{"note": "first"}},
			{Store: "slow", URL: "file:///slow/09d7"},
		},
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(want)) != string(got) {
		t.Errorf("%s:\n got %s\nwant %s", name, got, want)
	}
}

func TestAppendImage(t *testing.T) {
	everything := Options{MultiStore: true, DirectURL: true, Locations: true}
	queued := &image.Image{ID: "09d71d45-7b61-42ad-b59c-0234ba01befe", Status: image.Queued, Visibility: image.Shared,
		CreatedAt: time.Unix(0, 0), UpdatedAt: time.Unix(0, 999_999_000)}
	for _, tt := range []struct {
		file string
		img  *image.Image
		opts Options
	}{
		{"active.json", example(), Options{}},
		{"active-everything.json", example(), everything},
		{"queued.json", queued, Options{MultiStore: true, DirectURL: true}},
		{"queued-locations.json", queued, everything},
	} {
		got := AppendImage(nil, tt.img, tt.opts)
		if !json.Valid(got) {
			t.Errorf("%s is no JSON: %s", tt.file, got)
		}
		golden(t, tt.file, got)
	}
}

// TestWhoMayLocate shows places to who may know them, and never what the server notes with them.
func TestWhoMayLocate(t *testing.T) {
	img := example()
	img.Locations[0].Metadata = map[string]string{image.MetadataVersion: "secret"}
	for _, may := range []bool{true, false} {
		got := string(AppendImage(nil, img, Options{MultiStore: true, DirectURL: true, Locations: true, MayLocate: func(*image.Image) bool { return may }}))
		if strings.Contains(got, `"locations"`) != may || strings.Contains(got, `"direct_url"`) != may || !strings.Contains(got, `"stores"`) ||
			strings.Contains(got, "secret") {
			t.Errorf("who may locate it (%v) is shown %s", may, got)
		}
	}
}

func TestPropertiesCannotImitateFields(t *testing.T) {
	img := example()
	for _, name := range append(hidden, baseFields...) {
		img.Properties[name] = "false"
	}
	if got, want := AppendImage(nil, img, Options{}), AppendImage(nil, example(), Options{}); string(got) != string(want) {
		t.Errorf("properties named like fields are shown:\n got %s\nwant %s", got, want)
	}
}

func TestNullProperties(t *testing.T) {
	img := example()
	img.Properties = map[string]string{"kernel_id": "", "ramdisk_id": string(img.ID), "other": ""}
	document := AppendImage(nil, img, Options{})
	if want := `"kernel_id":null,"other":"","ramdisk_id":"` + string(img.ID) + `"}`; !strings.HasSuffix(string(document), want) {
		t.Errorf("%s, want %s", document, want)
	}
	if got, err := ParseImage(document); err != nil || !reflect.DeepEqual(got.Properties, img.Properties) {
		t.Errorf("read again: %v, %v", got.Properties, err)
	}
}

func TestParseImageReadsWhatAppendImageWrote(t *testing.T) {
	want := example()
	got, err := ParseImage(AppendImage(nil, want, Options{Locations: true}))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseImage = %+v, %v, want %+v", got, err, want)
	}
	got, err = ParseImage(AppendImage(nil, want, Options{MultiStore: true}))
	want.Locations = []image.Location{{Store: "fast"}, {Store: "slow"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseImage with stores = %+v, %v, want %+v", got, err, want)
	}
}

// TestPropertiesThatLookLikeFields: names differ by case, so a property must not replace the field that it resembles.
func TestPropertiesThatLookLikeFields(t *testing.T) {
	want := example()
	for _, name := range baseFields {
		want.Properties[strings.ToUpper(name)] = "of the property"
	}
	got, err := ParseImage(AppendImage(nil, want, Options{Locations: true}))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseImage = %+v, %v, want %+v", got, err, want)
	}
}

func TestParseImageOfOtherServers(t *testing.T) {
	img, err := ParseImage([]byte(`{"id":"09D71D45-7B61-42AD-B59C-0234BA01BEFE","created_at":"2026-11-20T18:10:26.123456Z",
		"legacy":null,"traits":{"a":1},"tags":["b","a"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if img.ID != "09d71d45-7b61-42ad-b59c-0234ba01befe" || img.Tags[0] != "a" ||
		!reflect.DeepEqual(img.Properties, map[string]string{"legacy": "", "traits": `{"a":1}`}) {
		t.Errorf("ParseImage = %+v", img)
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"id":"x"}`, `{"id":"09d71d45-7b61-42ad-b59c-0234ba01befe","created_at":"yesterday"}`} {
		if _, err := ParseImage([]byte(bad)); err == nil {
			t.Errorf("ParseImage(%s) succeeds", bad)
		}
	}
}

func TestPages(t *testing.T) {
	page := Page{Images: []*image.Image{example(), example()}, First: "/v2/images?limit=2", Next: "/v2/images?limit=2&marker=x"}
	w := NewPageWriter([]byte("before "), Options{Locations: true})
	for _, img := range page.Images {
		w.Add(img)
	}
	if n, want := w.Len(), len(`{"images":[,`)+2*len(AppendImage(nil, example(), Options{Locations: true})); n != want {
		t.Errorf("%d bytes were written, want %d", n, want)
	}
	document, ok := strings.CutPrefix(string(w.End(page.First, page.Next)), "before ")
	got, err := ParseImages([]byte(document))
	if !ok || err != nil || !reflect.DeepEqual(got, page) {
		t.Errorf("ParseImages = %+v, %v, want %+v", got, err, page)
	}
	last := string(NewPageWriter(nil, Options{}).End("/v2/images", ""))
	if want := `{"images":[],"first":"/v2/images","schema":"/v2/schemas/images"}`; last != want {
		t.Errorf("an empty page = %s, want %s", last, want)
	}
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"", "a", "\x00\x1f\"\\/", "\xff\xfe", "naïve 日本 \u2028", strings.Repeat("é\n", 50), "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if want := string([]rune(s)); got != want || utf8.ValidString(s) && got != s {
			t.Errorf("%q comes back as %q", s, got)
		}
	})
}

func BenchmarkAppendImage(b *testing.B) {
	img := example()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendImage(buf[:0], img, Options{MultiStore: true})
	}
	b.SetBytes(int64(len(buf)))
}
