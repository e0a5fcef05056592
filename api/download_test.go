package api

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

func TestDownloads(t *testing.T) {
	const data = "0123456789"
	f := newFake()
	id := f.add(image.Image{Owner: "p1"}, data)
	empty := f.add(image.Image{Owner: "p1"}, "")
	h := newHandler(t, f)
	sum, etag := f.images[id].Checksum, `"`+f.images[id].HashValue+`"`
	for _, tt := range []struct {
		name   string
		header http.Header
		code   int
		body   string
		part   string // Content-Range
	}{
		{"everything", nil, 200, data, ""},
		{"first bytes", header("Range", "bytes=0-3"), 206, "0123", "bytes 0-3/10"},
		{"one byte", header("Range", "bytes=9-9"), 206, "9", "bytes 9-9/10"},
		{"from a byte on", header("Range", "bytes=7-"), 206, "789", "bytes 7-9/10"},
		{"last bytes", header("Range", "bytes=-3"), 206, "789", "bytes 7-9/10"},
		{"too many last bytes", header("Range", "bytes=-30"), 206, data, "bytes 0-9/10"},
		{"end beyond the data", header("Range", "bytes=8-99999999999999999999"), 206, "89", "bytes 8-9/10"},
		{"unit in capitals", header("Range", "Bytes=0-0"), 206, "0", "bytes 0-0/10"},
		{"spaces", header("Range", "bytes = 0 - 1"), 206, "01", "bytes 0-1/10"},
		{"beyond the data", header("Range", "bytes=10-"), 416, "", "bytes */10"},
		{"far beyond", header("Range", "bytes=99999999999999999999-"), 416, "", "bytes */10"},
		{"no last bytes", header("Range", "bytes=-0"), 416, "", "bytes */10"},
		{"backwards", header("Range", "bytes=4-2"), 416, "", "bytes */10"},
		{"other unit", header("Range", "lines=0-1"), 416, "", "bytes */10"},
		{"no numbers", header("Range", "bytes=a-b"), 416, "", "bytes */10"},
		{"negative", header("Range", "bytes=--5"), 416, "", "bytes */10"},
		{"no dash", header("Range", "bytes=5"), 416, "", "bytes */10"},
		{"only a dash", header("Range", "bytes=-"), 416, "", "bytes */10"},
		{"no unit", header("Range", "0-4"), 416, "", "bytes */10"},
		{"empty", header("Range", ""), 416, "", "bytes */10"},
		{"two ranges", header("Range", "bytes=0-1,3-4"), 400, "", ""},
		{"two headers", header("Range", "bytes=0-1", "Range", "bytes=3-4"), 400, "", ""},

		{"historic", header("Content-Range", "bytes 2-4/10"), 206, "234", "bytes 2-4/10"},
		{"historic, size unknown", header("Content-Range", "bytes 8-20/*"), 206, "89", "bytes 8-9/10"},
		{"historic, beyond the data", header("Content-Range", "bytes 10-11/*"), 416, "", "bytes */10"},
		{"historic, cut short", header("Content-Range", "bytes 2-4"), 416, "", "bytes */10"},
		{"historic, no numbers", header("Content-Range", "bytes */10"), 416, "", "bytes */10"},
		{"both", header("Range", "bytes=0-0", "Content-Range", "bytes 2-4/10"), 206, "0", "bytes 0-0/10"},

		{"unchanged", header("If-None-Match", etag), 304, "", ""},
		{"unchanged among others", header("If-None-Match", `"x", W/`+etag), 304, "", ""},
		{"anything", header("If-None-Match", "*"), 304, "", ""},
		{"changed", header("If-None-Match", `"x"`), 200, data, ""},
		{"unchanged before range", header("If-None-Match", etag, "Range", "bytes=0-1"), 304, "", ""},
		{"rest of the same", header("If-Range", etag, "Range", "bytes=5-"), 206, "56789", "bytes 5-9/10"},
		{"rest of something else", header("If-Range", `"x"`, "Range", "bytes=5-"), 200, data, ""},
		{"rest since a time", header("If-Range", "Fri, 02 Jan 2026 03:04:05 GMT", "Range", "bytes=5-"), 200, data, ""},
		{"rest by a weak tag", header("If-Range", "W/"+etag, "Range", "bytes=5-"), 200, data, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := do(h, request{"GET", "/v2/images/" + string(id) + "/file", tt.header, ""})
			head := res.Header()
			if res.Code != tt.code || head.Get("Content-Range") != tt.part {
				t.Fatalf("%d %q, want %d %q: %s", res.Code, head.Get("Content-Range"), tt.code, tt.part, res.Body)
			}
			switch tt.code {
			case 200, 206:
				if res.Body.String() != tt.body || head.Get("Content-Length") != strconv.Itoa(len(tt.body)) {
					t.Errorf("body %q, length %s, want %q", res.Body, head.Get("Content-Length"), tt.body)
				}
				if head.Get("Content-MD5") != sum || head.Get("ETag") != etag || head.Get("Content-Type") != dataType || head.Get("Accept-Ranges") != "bytes" {
					t.Errorf("headers %v", head)
				}
			case 304:
				if head.Get("ETag") != etag || res.Body.Len() != 0 {
					t.Errorf("headers %v, body %q", head, res.Body)
				}
			default:
				if head.Get("ETag") != "" || head.Get("Content-MD5") != "" {
					t.Errorf("an error has the tag of the data: %v", head)
				}
			}
		})
	}
	for _, tt := range []struct {
		header http.Header
		code   int
	}{{nil, 200}, {header("Range", "bytes=0-"), 416}, {header("Range", "bytes=-5"), 416}} {
		if res := do(h, request{"GET", "/v2/images/" + string(empty) + "/file", tt.header, ""}); res.Code != tt.code || tt.code == 200 && res.Header().Get("Content-Length") != "0" {
			t.Errorf("an empty image, %v = %d %v", tt.header, res.Code, res.Header())
		}
	}
}

func TestEntityTagsOfOldImages(t *testing.T) {
	for _, tt := range []struct {
		img  image.Image
		want string
	}{
		{image.Image{HashAlgo: "sha512", HashValue: "aa", Checksum: "bb"}, `"aa"`},
		{image.Image{Checksum: "bb"}, `"bb"`},
		{image.Image{}, ""},
	} {
		if got := entityTag(&imageservice.Data{Image: &tt.img}); got != tt.want {
			t.Errorf("entityTag(%+v) = %s, want %s", tt.img, got, tt.want)
		}
	}
}

func TestCacheControl(t *testing.T) {
	everybody := "public, max-age=3600, immutable"
	for _, tt := range []struct {
		img   image.Image
		token string
		want  string
	}{
		{image.Image{Visibility: image.Public, Owner: "p1"}, "", everybody},
		{image.Image{Visibility: image.Public, Owner: "p1"}, "t", everybody},
		{image.Image{Visibility: image.Public, Owner: "p1", Status: image.Deactivated}, "root", privateCache},
		{image.Image{Visibility: image.Community, Owner: "p1"}, "t", privateCache},
		{image.Image{Visibility: image.Shared, Owner: "p1"}, "t", privateCache},
		{image.Image{Visibility: image.Private, Owner: "p1"}, "t", privateCache},
	} {
		f := newFake()
		id := f.add(tt.img, "data")
		h := newHandler(t, f, func(c *Config) {
			c.Auth = tokens{"t": {ProjectID: "p1"}, "root": {ProjectID: "p0", Roles: []string{"admin"}}}
		})
		head := http.Header{}
		if tt.token != "" {
			head.Set("X-Auth-Token", tt.token)
		}
		res := do(h, request{"GET", "/v2/images/" + string(id) + "/file", head, ""})
		if got := res.Header().Get("Cache-Control"); res.Code != 200 || got != tt.want {
			t.Errorf("%s, %s, token %q: %d, Cache-Control %q, want %q", tt.img.Visibility, tt.img.Status, tt.token, res.Code, got, tt.want)
		}
	}
}

// TestDownloadThatCannotBegin is answered with an error, and not cut off, when the first read fails.
func TestDownloadThatCannotBegin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFake()
	id := f.add(image.Image{Owner: "p1"}, "data")
	f.opened = func() (*fileReader, error) {
		r, err := openFile(path)
		r.Close() // so that every read fails
		return r, err
	}
	res := do(newHandler(t, f), request{"GET", "/v2/images/" + string(id) + "/file", http.Header{"Range": {"bytes=1-2"}}, ""})
	for _, name := range []string{"Content-Range", "Accept-Ranges", "ETag", "Content-MD5"} {
		if got := res.Header().Get(name); got != "" {
			t.Errorf("%s: %s stands beside the error", name, got)
		}
	}
	if res.Code != 500 {
		t.Errorf("a download whose first read fails = %d, want 500", res.Code)
	}
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-5", "bytes=5-", "bytes 1-2/3", "bytes=99999999999999999999-", "bytes=-", "", "=-/"} {
		f.Add(s, int64(10))
		f.Add(s, int64(0))
	}
	f.Fuzz(func(t *testing.T, s string, size int64) {
		if size < 0 {
			return
		}
		for _, name := range []string{"Range", "Content-Range"} {
			r := &http.Request{Header: header(name, s)}
			got, err := requestedRange(r, size, "")
			if err != nil {
				if code := statusOf(err); code != 400 && code != 416 {
					t.Errorf("%s %q of %d: %v", name, s, size, err)
				}
				continue
			}
			if got.offset < 0 || got.length < 0 || got.offset+got.length > size || got.partial && got.length == 0 {
				t.Errorf("%s %q of %d = %+v", name, s, size, got)
			}
		}
	})
}
