package api

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

func text(field image.Field, values ...string) image.Filter {
	op := image.OpEqual
	if len(values) > 1 {
		op = image.OpIn
	}
	return image.Filter{Field: field, Op: op, Strings: values}
}

func number(field image.Field, op image.Op, n int64) image.Filter {
	return image.Filter{Field: field, Op: op, Int: n}
}

func moment(field image.Field, op image.Op, t time.Time) image.Filter {
	return image.Filter{Field: field, Op: op, Time: t}
}

func TestListParameters(t *testing.T) {
	f := newFake()
	h := newHandler(t, f)
	day := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	filters := func(list ...image.Filter) image.Query { return image.Query{Limit: 25, Filters: list} }
	sorted := func(keys ...image.SortKey) image.Query { return image.Query{Limit: 25, Sort: keys} }
	for _, tt := range []struct {
		query string
		want  image.Query
	}{
		{"", image.Query{Limit: 25}},
		{"limit=0", image.Query{}},
		{"limit=7&marker=" + strings.ToUpper(anID), image.Query{Limit: 7, Marker: anID}},
		{"limit=+7+", image.Query{Limit: 7}},
		{"limit=1001", image.Query{Limit: 1000}},
		{"limit=99999999999999999999", image.Query{Limit: 1000}},
		{"limit=5&limit=6", image.Query{Limit: 6}},
		{"visibility=all", image.Query{Limit: 25, Visibility: image.AnyVisibility}},
		{"visibility=community", image.Query{Limit: 25, Visibility: image.Community}},
		{"member_status=pending", image.Query{Limit: 25, MemberStatus: "pending"}},
		{"os_hidden=true", image.Query{Limit: 25, Hidden: true}},
		{"os_hidden=True", image.Query{Limit: 25, Hidden: true}},
		{"os_hidden=false", image.Query{Limit: 25}},
		{"tag=a&tag=b%2Cc", image.Query{Limit: 25, Tags: []string{"a", "b,c"}}},
		{"deleted=true", image.Query{Limit: 25}},

		{"sort=name:asc,created_at:desc,size", sorted(image.SortKey{Field: "name"}, image.SortKey{Field: "created_at", Desc: true}, image.SortKey{Field: "size", Desc: true})},
		{"sort=name:asc,name:desc", sorted(image.SortKey{Field: "name"})},
		{"sort_key=name&sort_key=size&sort_dir=asc", sorted(image.SortKey{Field: "name"}, image.SortKey{Field: "size"})},
		{"sort_key=name&sort_key=size&sort_dir=asc&sort_dir=desc", sorted(image.SortKey{Field: "name"}, image.SortKey{Field: "size", Desc: true})},
		{"sort_key=disk_format", sorted(image.SortKey{Field: "disk_format", Desc: true})},
		{"sort_dir=asc", sorted(image.SortKey{Field: "created_at"})},

		{"name=Debian+12", filters(text("name", "Debian 12"))},
		{"name=", filters(text("name", ""))},
		{"name=ubuntu:24.04", filters(text("name", "ubuntu:24.04"))},
		{"name=eq:in:a", filters(text("name", "in:a"))},
		{`name=in:a,"b,%20\"c\"\\",,d`, filters(text("name", "a", `b, "c"\`, "", "d"))},
		{"name=in:a", filters(image.Filter{Field: "name", Op: image.OpIn, Strings: []string{"a"}})},
		{"status=in:active,queued", filters(text("status", "active", "queued"))},
		{"id=in:" + strings.ToUpper(anID) + ",x", filters(text("id", anID, "x"))},
		{"disk_format=raw&container_format=bare", filters(text("disk_format", "raw"), text("container_format", "bare"))},
		{"owner=p:1&checksum=x&os_hash_algo=y&os_hash_value=z", filters(text("owner", "p:1"), text("checksum", "x"), text("os_hash_algo", "y"), text("os_hash_value", "z"))},
		{"protected=true", filters(image.Filter{Field: "protected", Op: image.OpEqual, Bool: true})},
		{"size_min=1&size_max=2&size=3", filters(number("size", image.OpAtLeast, 1), number("size", image.OpAtMost, 2), number("size", image.OpEqual, 3))},
		{"min_ram_max=5&min_disk_min=6&virtual_size_max=7", filters(number("min_ram", image.OpAtMost, 5), number("min_disk", image.OpAtLeast, 6), number("virtual_size", image.OpAtMost, 7))},
		{"size=+3+", filters(number("size", image.OpEqual, 3))},
		{"name=%F0%9F%98%80&tag=%F0%9F%98%80", image.Query{Limit: 25, Tags: []string{"\U0001f600"}, Filters: []image.Filter{text("name", "\U0001f600")}}},
		{"min_ram=1&min_disk=2", filters(number("min_ram", image.OpEqual, 1), number("min_disk", image.OpEqual, 2))},
		{"created_at=gte:2026-01-02T03:04:05Z&created_at=lt:2026-01-02T05:04:05%2B02:00", filters(moment("created_at", image.OpAtLeast, day), moment("created_at", image.OpLess, day))},
		{"updated_at=2026-01-02T05:04:05+02:00", filters(moment("updated_at", image.OpEqual, day))},
		{"updated_at=neq:2026-01-02T03:04:05.999", filters(moment("updated_at", image.OpNotEqual, day))},
		{"updated_at=gt:2026-01-02", filters(moment("updated_at", image.OpGreater, day.Truncate(24*time.Hour)))},
		{"updated_at=gt:20260102", filters(moment("updated_at", image.OpGreater, day.Truncate(24*time.Hour)))},
		{"updated_at=gt:2026-01&created_at=gt:2026", filters(moment("updated_at", image.OpGreater, day.Truncate(24*time.Hour).AddDate(0, 0, -1)),
			moment("created_at", image.OpGreater, day.Truncate(24*time.Hour).AddDate(0, 0, -1)))},
		{"os_distro=debian&hw_min=gt:5&is_public=True", filters(image.Filter{Property: "os_distro", Op: image.OpEqual, Strings: []string{"debian"}},
			image.Filter{Property: "hw_min", Op: image.OpEqual, Strings: []string{"gt:5"}}, image.Filter{Property: "is_public", Op: image.OpEqual, Strings: []string{"True"}})},
	} {
		t.Run(tt.query, func(t *testing.T) {
			f.queries = nil
			if res := do(h, request{"GET", "/v2/images?" + tt.query, nil, ""}); res.Code != http.StatusOK {
				t.Fatalf("%d %s", res.Code, res.Body)
			}
			if got := f.queries[0]; !reflect.DeepEqual(got, tt.want) {
				t.Errorf("asked for %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestBadListParameters(t *testing.T) {
	h := newHandler(t, newFake())
	for _, query := range []string{
		"limit=-1", "limit=x", "limit=", "limit=1.5", "marker=x", "marker=", "visibility=secret", "visibility=", "member_status=x",
		"os_hidden=1", "os_hidden=", "protected=yes", "protected=True", "changes-since=2026-01-01", "locations=x", "properties=x",
		"sort=x", "sort=name:up", "sort=", "sort=tags", "sort=name&sort_key=name", "sort=name&sort_dir=asc", "sort_key=x", "sort_dir=up",
		"sort_key=name&sort_dir=asc&sort_dir=desc", "sort_key=name&sort_key=size&sort_key=id&sort_dir=asc&sort_dir=asc",
		"name=neq:a", "status=gt:active", "disk_format=lte:raw", `name=in:a,"b`, `name=in:"a"b`, `name=in:a"b",c`, `name=in:"a\"`,
		"name=in:" + strings.Repeat("a,", maxListed), strings.Repeat("p=x&", maxFilters+1),
		"size_min=x", "size=1k", "min_ram_max=", "created_at=yesterday", "created_at=in:2026-01-01", "created_at=foo:2026-01-01", "updated_at=gt:", "updated_at=",
		"%zz=x", "name=%zz", "=x", "=", "name=%FF", "%FF=x", "tag=%FF",
	} {
		if res := do(h, request{"GET", "/v2/images?" + query, nil, ""}); res.Code != http.StatusBadRequest {
			t.Errorf("%s = %d %s", query, res.Code, res.Body)
		}
	}
}

func TestEveryFieldHasAFilter(t *testing.T) {
	for _, field := range image.Fields() {
		if filterFields[field] == nil {
			t.Errorf("%s is taken for a property", field)
		}
	}
	if len(filterFields) != len(image.Fields()) {
		t.Errorf("%d fields have a filter, of %d", len(filterFields), len(image.Fields()))
	}
}

func TestPaging(t *testing.T) {
	f := newFake()
	for range 5 {
		f.add(image.Image{Owner: "p1"}, "")
	}
	h := newHandler(t, f)
	const query = "limit=2&tag=b&tag=a&name=x%26y+z&sort_key=name"
	path, seen := "/v2.3/images?"+query, 0
	for pages := 1; ; pages++ {
		res := do(h, request{"GET", path, nil, ""})
		page, err := wire.ParseImages(res.Body.Bytes())
		if err != nil {
			t.Fatalf("%d %s: %v", res.Code, res.Body, err)
		}
		seen += len(page.Images)
		if page.First != "/v2/images?"+query {
			t.Errorf("first is %s", page.First)
		}
		if page.Next == "" {
			if pages != 3 || seen != 5 {
				t.Errorf("%d images on %d pages", seen, pages)
			}
			break
		}
		if want := page.First + "&marker=" + string(page.Images[1].ID); page.Next != want {
			t.Fatalf("next is %s, want %s", page.Next, want)
		}
		path = page.Next
	}
	for _, q := range f.queries {
		if !reflect.DeepEqual(q.Tags, []string{"b", "a"}) || q.Filters[0].Strings[0] != "x&y z" {
			t.Errorf("a page lost its filters: %+v", q)
		}
	}
	if got := do(h, request{"GET", "/v2/images?limit=0", nil, ""}).Body.String(); got != `{"images":[],"first":"/v2/images?limit=0","schema":"/v2/schemas/images"}` {
		t.Errorf("an empty page = %s", got)
	}
}

// TestPagesOfLargeImages checks that a page that ended before its limit leads to the next one.
func TestPagesOfLargeImages(t *testing.T) {
	f := newFake()
	for range 3 {
		f.add(image.Image{Owner: "p1", Properties: map[string]string{"k": strings.Repeat("v", image.PageBytes/3+1)}}, "")
	}
	page, err := wire.ParseImages(do(newHandler(t, f), request{"GET", "/v2/images", nil, ""}).Body.Bytes())
	if err != nil || len(page.Images) != 3 || page.Next != "/v2/images?marker="+string(page.Images[2].ID) {
		t.Errorf("%d images, next is %q, %v", len(page.Images), page.Next, err)
	}
}

// TestPagesOfImagesThatGrowInJSON checks that a page ends with the image that makes its document too long.
func TestPagesOfImagesThatGrowInJSON(t *testing.T) {
	f := newFake()
	for range 5 {
		f.add(image.Image{Owner: "p1", Properties: map[string]string{"k": strings.Repeat("\x01", maxPageJSON/6/2)}}, "")
	}
	h := newHandler(t, f)
	path, seen := "/v2/images?limit=5", []int{}
	for path != "" && len(seen) < 5 {
		page, err := wire.ParseImages(do(h, request{"GET", path, nil, ""}).Body.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		path, seen = page.Next, append(seen, len(page.Images))
	}
	if want := []int{2, 2, 1}; !reflect.DeepEqual(seen, want) {
		t.Errorf("pages of %v images, want %v", seen, want)
	}
}

// FuzzList checks that no query is too strange to be answered, and that links to further pages ask for the same.
func FuzzList(f *testing.F) {
	for _, s := range []string{"", "limit=1&marker=" + anID, `name=in:"a,b",c&tag=x&tag=y`, "created_at=gt:2026-01-01&size_min=3", "sort=name:asc,id", "a=%25&=&b", "%zz"} {
		f.Add(s)
	}
	limits := Limits{PageSize: 25, MaxPage: 1000}
	f.Fuzz(func(t *testing.T, raw string) {
		params, err := parseQuery(raw)
		if err != nil {
			return
		}
		q, err := imageQuery(params, limits)
		if err != nil {
			if statusOf(err) != http.StatusBadRequest {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		link, err := url.Parse(params.link("/v2/images", anID))
		if err != nil {
			t.Fatalf("%q: link: %v", raw, err)
		}
		again, err := parseQuery(link.RawQuery)
		if err != nil {
			t.Fatalf("%q: link: %v", raw, err)
		}
		next, err := imageQuery(again, limits)
		q.Marker = anID
		if err != nil || !reflect.DeepEqual(next, q) {
			t.Errorf("%q leads to %q: %+v, %v, want %+v", raw, link, next, err, q)
		}
	})
}

func FuzzSplitList(f *testing.F) {
	for _, s := range []string{"", "a", `a,"b,c",d`, `"\"\\"`, `"a`, `a"b`, ",,"} {
		f.Add(s)
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, s string) {
		values, err := splitList(s)
		if err != nil {
			return
		}
		for i, v := range values {
			values[i] = `"` + quote.Replace(v) + `"`
		}
		again, err := splitList(strings.Join(values, ","))
		for i, v := range again {
			again[i] = `"` + quote.Replace(v) + `"`
		}
		if err != nil || !reflect.DeepEqual(again, values) {
			t.Errorf("%q = %v, quoted again %v, %v", s, values, again, err)
		}
	})
}
