package api

import (
	"context"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

func (s *fakeSession) Users(context.Context, image.ID) (image.Users, error) {
	return image.Users{Opens: 2, Processes: []image.Process{{PID: 7, Command: "qemu", Unit: "q.scope", Guest: "web"}, {PID: 8}}}, s.fail
}

func TestUsers(t *testing.T) {
	const id = "71c675ab-d94f-49cd-a114-e12490b328d9"
	for _, tt := range []struct {
		path string
		fail error
		code int
		want string
	}{
		{id, nil, 200, `{"opens":2,"processes":[{"pid":7,"command":"qemu","unit":"q.scope","guest":"web"},{"pid":8}],"downloads":0,"clones":[],"pins":[]}`},
		{id, image.ErrForbidden, 403, ""},
		{"web", nil, 404, ""},
	} {
		f := newFake()
		f.fail = tt.fail
		res := do(newHandler(t, f), request{"GET", "/vitrine/v1/images/" + tt.path + "/users", nil, ""})
		if res.Code != tt.code || tt.want != "" && res.Body.String() != tt.want {
			t.Errorf("%s: %d %s, want %d %s", tt.path, res.Code, res.Body, tt.code, tt.want)
		}
	}
}
