package api

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// The members of the fake: every image is shared with p2 and "a/b", and p2 has accepted.

func fakeMember(id image.ID, project, status string) image.Member {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC)
	return image.Member{ImageID: id, Project: project, Status: status, CreatedAt: at, UpdatedAt: at.Add(time.Hour)}
}

func (s *fakeSession) Members(_ context.Context, id image.ID) ([]image.Member, error) {
	return []image.Member{fakeMember(id, "a/b", "pending"), fakeMember(id, "p2", "accepted")}, s.fail
}

func (s *fakeSession) Member(ctx context.Context, id image.ID, project string) (image.Member, error) {
	members, err := s.Members(ctx, id)
	for _, m := range members {
		if m.Project == project {
			return m, err
		}
	}
	return image.Member{}, image.ErrNotFound
}

func (s *fakeSession) AddMember(_ context.Context, id image.ID, project string) (image.Member, error) {
	return fakeMember(id, project, "pending"), s.fail
}

func (s *fakeSession) SetMemberStatus(_ context.Context, id image.ID, project, status string) (image.Member, error) {
	return fakeMember(id, project, status), s.fail
}

func (s *fakeSession) RemoveMember(context.Context, image.ID, string) error { return s.fail }

func TestMembers(t *testing.T) {
	f := newFake()
	h := newHandler(t, f)
	const record = `"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T04:04:05Z","schema":"/v2/schemas/member"}`
	one := func(project, status string) string {
		return `{"member_id":"` + project + `","image_id":"` + anID + `","status":"` + status + `",` + record
	}
	const path = "/v2/images/" + anID + "/members"
	for _, tt := range []struct {
		request
		code  int
		want  string // the body of a success
		allow string
	}{
		{request{"GET", path, nil, ""}, 200, `{"members":[` + one("a/b", "pending") + "," + one("p2", "accepted") + `],"schema":"/v2/schemas/members"}`, ""},
		{request{"GET", path + "/p2", nil, ""}, 200, one("p2", "accepted"), ""},
		{request{"GET", path + "/a%2Fb", nil, ""}, 200, one("a/b", "pending"), ""},
		{request{"GET", path + "/p3", nil, ""}, 404, "", ""},
		{request{"POST", path, nil, `{"member":"p<3>"}`}, 200, one("p<3>", "pending"), ""},
		{request{"POST", path, nil, `{"member":"p3","more":[1]}`}, 200, one("p3", "pending"), ""},
		{request{"PUT", path + "/p2", nil, `{"status":"rejected"}`}, 200, one("p2", "rejected"), ""},
		{request{"DELETE", path + "/p2", nil, ""}, 204, "", ""},
		{request{"HEAD", path, nil, ""}, 405, "", "GET, POST"},
		{request{"PUT", path, nil, "{}"}, 405, "", "GET, POST"},
		{request{"POST", path + "/p2", nil, "{}"}, 405, "", "GET, PUT, DELETE"},
		{request{"DELETE", path + "/p2", nil, "{}"}, 400, "", ""},
		{request{"GET", "/v2/images/x/members", nil, ""}, 404, "", ""},
		{request{"POST", "/v2/images/x/members", nil, `{"member":"p"}`}, 404, "", ""},
		{request{"DELETE", "/v2/images/x/members/p", nil, ""}, 404, "", ""},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			res := do(h, tt.request)
			if res.Code != tt.code || tt.want != "" && res.Body.String() != tt.want || res.Header().Get("Allow") != tt.allow {
				t.Errorf("%d %s, Allow %q\nwant %d %s, %q", res.Code, res.Body, res.Header().Get("Allow"), tt.code, tt.want, tt.allow)
			}
		})
	}
	for _, bad := range []string{"", "[]", "null", `"p"`, "{}", `{"member":null,"status":null}`, `{"member":["p"],"status":{}}`, `{"member":5,"status":true}`, "{"} {
		for _, req := range []request{{"POST", path, nil, bad}, {"PUT", path + "/p2", nil, bad}} {
			if res := do(h, req); res.Code != http.StatusBadRequest {
				t.Errorf("%s %s with %q = %d %s", req.method, req.path, bad, res.Code, res.Body)
			}
		}
	}
	f.fail = &image.QuotaError{Resource: "image_member_quota", Limit: 128, Attempted: 129}
	if res := do(h, request{"POST", path, nil, `{"member":"p3"}`}); res.Code != 413 || !strings.Contains(res.Body.String(), "image_member_quota of 128") {
		t.Errorf("over the quota = %d %s", res.Code, res.Body)
	}
}

func TestMembersFollowTheirSchemas(t *testing.T) {
	h := newHandler(t, newFake())
	for name, path := range map[string]string{"members": "/v2/images/" + anID + "/members", "member": "/v2/images/" + anID + "/members/p2"} {
		checkDocument(t, compile(t, h, name), do(h, request{"GET", path, nil, ""}).Body.Bytes())
	}
}
