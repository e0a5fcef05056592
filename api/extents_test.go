package api

import (
	"cmp"
	"context"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// Extents tells of two in a page.
func (s *fakeSession) Extents(_ context.Context, id image.ID, q image.ExtentQuery) (image.ExtentPage, error) {
	page := image.ExtentPage{Format: cmp.Or(q.Format, "qcow2"), Size: 1000, Next: min(q.Offset+200, 1000)}
	page.Extents = []image.Extent{{Offset: q.Offset, Length: 100, Data: true}, {Offset: q.Offset + 100, Length: 100}}
	return page, s.fail
}

func TestExtents(t *testing.T) {
	const path = "/vitrine/v1/images/71c675ab-d94f-49cd-a114-e12490b328d9/extents"
	for _, tt := range []struct {
		path string
		fail error
		code int
		want string
	}{
		{path, nil, 200, `{"format":"qcow2","size":1000,"extents":[{"offset":0,"length":100,"data":true},{"offset":100,"length":100,"data":false}],"next":"` + path + `?marker=200"}`},
		{path + "?format=raw&marker=600", nil, 200, `{"format":"raw","size":1000,"extents":[{"offset":600,"length":100,"data":true},{"offset":700,"length":100,"data":false}],` +
			`"next":"` + path + `?format=raw&marker=800"}`},
		{path + "?marker=800", nil, 200, `{"format":"qcow2","size":1000,"extents":[{"offset":800,"length":100,"data":true},{"offset":900,"length":100,"data":false}]}`},
		{path + "?format=", nil, 400, ""},
		{path + "?marker=-1", nil, 400, ""},
		{path + "?marker=x", nil, 400, ""},
		{"/vitrine/v1/images/web/extents", nil, 404, ""},
		{path, image.ErrNoData, 204, ""},
		{path, image.ErrUnsupportedContent, 415, ""},
		{path, image.ErrCorrupt, 503, ""},
	} {
		f := newFake()
		f.fail = tt.fail
		res := do(newHandler(t, f), request{"GET", tt.path, nil, ""})
		if res.Code != tt.code || tt.want != "" && res.Body.String() != tt.want {
			t.Errorf("%s: %d %s, want %d %s", tt.path, res.Code, res.Body, tt.code, tt.want)
		}
	}
}
