package api

import (
	"context"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

func (s *fakeSession) Clone(_ context.Context, id image.ID, want image.NewClone) (image.Clone, error) {
	return image.Clone{Store: want.Store, Location: "rbd:" + want.Pool + "/" + want.Name, Size: want.Size, Parent: "images/" + string(id) + "@snap"}, s.fail
}

func TestClones(t *testing.T) {
	const id = "71c675ab-d94f-49cd-a114-e12490b328d9"
	for _, tt := range []struct {
		path, body string
		fail       error
		code       int
		want       string
	}{
		{id, `{"pool":"vms","name":"web","store":"ceph","size":1024}`, nil, 201,
			`{"store":"ceph","location":"rbd:vms/web","size":1024,"parent":"images/` + id + `@snap"}`},
		{id, `{"pool":"vms","name":"a/b"}`, nil, 400, ""},
		{id, `{"pool":"vms","name":"web","force":true}`, nil, 400, ""},
		{id, ``, nil, 400, ""},
		{"web", `{"pool":"vms","name":"web"}`, nil, 404, ""},
		{id, `{"pool":"vms","name":"web"}`, image.ErrConflict, 409, ""},
		{id, `{"pool":"vms","name":"web"}`, image.ErrStoreOffline, 503, ""},
	} {
		f := newFake()
		f.fail = tt.fail
		res := do(newHandler(t, f), request{"POST", "/vitrine/v1/images/" + tt.path + "/clones", nil, tt.body})
		if res.Code != tt.code || tt.want != "" && res.Body.String() != tt.want {
			t.Errorf("%s to %s: %d %s, want %d %s", tt.body, tt.path, res.Code, res.Body, tt.code, tt.want)
		}
	}
}
