package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

func TestListGoesThroughAllPages(t *testing.T) {
	var queries []url.Values
	id := func(i int) string { return fmt.Sprintf("%08d-0000-0000-0000-000000000000", i) }
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		queries = append(queries, r.URL.Query())
		first := 0
		if m := r.URL.Query().Get("marker"); m != "" {
			fmt.Sscanf(m, "%d-", &first)
			first++
		}
		var docs []string
		for i := first; i < min(first+2, 5); i++ {
			docs = append(docs, `{"id":"`+id(i)+`"}`)
		}
		next := ""
		if first+2 < 5 {
			next = `,"next":"/v2/images?of=no&use"`
		}
		fmt.Fprintf(w, `{"images":[%s],"first":"/v2/images"%s}`, strings.Join(docs, ","), next)
	}, Config{})
	var got []string
	for img, err := range c.List(t.Context(), image.Query{Limit: 2, Tags: []string{"a", "b"}}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(img.ID))
	}
	if want := []string{id(0), id(1), id(2), id(3), id(4)}; !slices.Equal(got, want) || len(queries) != 3 {
		t.Errorf("List = %v in %d requests", got, len(queries))
	}
	if q := queries[2]; q.Get("marker") != id(3) || q.Get("limit") != "2" || !slices.Equal(q["tag"], []string{"a", "b"}) {
		t.Errorf("the last page was asked for by %v", q)
	}
	for range c.List(t.Context(), image.Query{Limit: 2}) {
		break
	}
	if len(queries) != 4 {
		t.Errorf("leaving the loop took %d requests", len(queries)-3)
	}
}

func TestListTakesSmallerPagesOfLargeImages(t *testing.T) {
	var limits []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		limits = append(limits, r.URL.Query().Get("limit"))
		n, _ := strconv.Atoi(limits[len(limits)-1])
		doc := `{"id":"` + string(testID) + `","p":"` + strings.Repeat("x", 1000) + `"}`
		fmt.Fprintf(w, `{"images":[%s]}`, strings.TrimSuffix(strings.Repeat(doc+",", n), ","))
	}, Config{})
	c.limit = 20_000
	n := 0
	for _, err := range c.List(t.Context(), image.Query{Limit: 100}) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"100", "25", "6"}; n != 6 || !slices.Equal(limits, want) {
		t.Errorf("List gives %d images in pages of %v, want %v", n, limits, want)
	}
	c.limit = 100
	for _, err := range c.List(t.Context(), image.Query{}) {
		if !errors.Is(err, errTooLong) {
			t.Errorf("List of images that are too long = %v", err)
		}
	}
}

func TestListEndsWithTheFirstError(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "Invalid marker", http.StatusBadRequest)
	}, Config{})
	calls := 0
	for img, err := range c.List(t.Context(), image.Query{}) {
		if calls++; img != nil || !errors.Is(err, image.ErrInvalid) {
			t.Errorf("List gives %v, %v", img, err)
		}
	}
	if calls != 1 {
		t.Errorf("List goes on after an error: %d calls", calls)
	}
}

func TestQueryValues(t *testing.T) {
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		q    image.Query
		want string
	}{
		{image.Query{}, ""},
		{image.Query{Limit: 5, Marker: testID, Visibility: image.AnyVisibility, MemberStatus: "all", Hidden: true},
			"limit=5&marker=" + string(testID) + "&member_status=all&os_hidden=true&visibility=all"},
		{image.Query{Sort: []image.SortKey{{Field: image.FieldName}, {Field: image.FieldSize, Desc: true}}}, "sort=name:asc,size:desc"},
		{image.Query{Filters: []image.Filter{{Field: image.FieldName, Op: image.OpEqual, Strings: []string{"debian 12"}}}}, "name=debian 12"},
		{image.Query{Filters: []image.Filter{{Field: image.FieldName, Op: image.OpEqual, Strings: []string{`in:"a\`}}}}, `name=in:"in:\"a\\"`},
		{image.Query{Filters: []image.Filter{{Field: image.FieldStatus, Op: image.OpIn, Strings: []string{"active", "queued"}}}}, `status=in:"active","queued"`},
		{image.Query{Filters: []image.Filter{{Field: image.FieldOwner, Op: image.OpEqual, Strings: []string{"a:b"}}}}, "owner=a:b"},
		{image.Query{Filters: []image.Filter{{Field: image.FieldMinDisk, Op: image.OpEqual, Int: 3}}}, "min_disk=3"},
		{image.Query{Filters: []image.Filter{{Field: image.FieldSize, Op: image.OpAtLeast, Int: 3}, {Field: image.FieldSize, Op: image.OpAtMost, Int: 9}}},
			"size_max=9&size_min=3"},
		{image.Query{Filters: []image.Filter{{Field: image.FieldProtected, Op: image.OpEqual, Bool: true}}}, "protected=true"},
		{image.Query{Filters: []image.Filter{{Field: image.FieldCreatedAt, Op: image.OpGreater, Time: when}}}, "created_at=gt:2026-01-02T03:04:05Z"},
		{image.Query{Filters: []image.Filter{{Property: "os_distro", Op: image.OpEqual, Strings: []string{"debian"}}}}, "os_distro=debian"},
		{image.Query{Filters: []image.Filter{{Property: "hw_min", Op: image.OpEqual, Strings: []string{"1"}}}}, "hw_min=1"},
	} {
		values, err := queryValues(tt.q)
		if got, _ := url.QueryUnescape(values.Encode()); err != nil || got != tt.want {
			t.Errorf("queryValues(%+v) = %s, %v, want %s", tt.q, got, err, tt.want)
		}
	}
	if v, err := queryValues(image.Query{Filters: []image.Filter{{Field: image.FieldName, Op: image.OpIn}}}); !errors.Is(err, image.ErrInvalid) {
		t.Errorf("a list of no names = %v, %v, want ErrInvalid", v, err)
	}
	for _, property := range []string{"limit", "marker", "name", "tag", "visibility", "created_at", "deleted", "locations", "properties",
		"size_min", "min_ram_max"} {
		f := image.Filter{Property: property, Op: image.OpEqual, Strings: []string{"x"}}
		if v, err := queryValues(image.Query{Filters: []image.Filter{f}}); !errors.Is(err, image.ErrInvalid) {
			t.Errorf("a filter by a property called %s = %v, %v, want ErrInvalid", property, v, err)
		}
	}
}
