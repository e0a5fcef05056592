package api

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// The tasks of the fake: one that goes on, about no image, and one that has ended.

func fakeTasks() []*image.Task {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC)
	expires := at.Add(48 * time.Hour)
	return []*image.Task{
		{ID: "11111111-1111-4111-8111-111111111111", Type: image.TaskImport, Status: image.TaskPending, Owner: "p1", CreatedAt: at, UpdatedAt: at},
		{ID: "22222222-2222-4222-8222-222222222222", Type: image.TaskImageImport, Status: image.TaskFailure, Owner: "p1", UserID: "u1",
			RequestID: "req-1", ImageID: anID, Input: json.RawMessage(`{"method":{"name":"web-download"}}`), Result: json.RawMessage(`{}`),
			Message: "no <host>", State: json.RawMessage(`{"secret":1}`), Instance: "i", CreatedAt: at, UpdatedAt: at, ExpiresAt: &expires},
	}
}

func (s *fakeSession) Tasks(_ context.Context, q image.TaskQuery) ([]*image.Task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tasks := fakeTasks()
	return tasks[:min(q.Limit, len(tasks))], s.fail
}

func (s *fakeSession) Task(_ context.Context, id image.ID) (*image.Task, error) {
	for _, t := range fakeTasks() {
		if t.ID == id {
			return t, s.fail
		}
	}
	return nil, image.Errorf(image.ErrNotFound, "No task found with ID %s", id)
}

func (s *fakeSession) ImageTasks(context.Context, image.ID) ([]*image.Task, error) {
	return fakeTasks(), s.fail
}

func (s *fakeSession) CreateTask(_ context.Context, kind image.TaskType, input map[string]any) (*image.Task, error) {
	t := fakeTasks()[0]
	t.Type, t.Input = kind, wire.Append(nil, input)
	return t, s.fail
}

func TestTasks(t *testing.T) {
	h := newHandler(t, newFake())
	const (
		times  = `"expires_at":null,"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:05Z"`
		ended  = `"expires_at":"2026-01-04T03:04:05Z","created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:05Z"`
		head1  = `{"id":"11111111-1111-4111-8111-111111111111","type":"import","status":"pending","owner":"p1",` + times
		head2  = `{"id":"22222222-2222-4222-8222-222222222222","type":"api_image_import","status":"failure","owner":"p1",` + ended
		self1  = `"self":"/v2/tasks/11111111-1111-4111-8111-111111111111","schema":"/v2/schemas/task"}`
		self2  = `"self":"/v2/tasks/22222222-2222-4222-8222-222222222222","schema":"/v2/schemas/task"}`
		whole1 = `,"input":null,"result":null,"message":"","image_id":null,"user_id":"","request_id":""`
		whole2 = `,"input":{"method":{"name":"web-download"}},"result":{},"message":"no <host>","image_id":"` + anID + `","user_id":"u1","request_id":"req-1"`
		gone   = `,"deleted_at":null,"deleted":false}`
	)
	for _, tt := range []struct {
		request
		code  int
		want  string // the body of a success
		allow string
	}{
		{request{"GET", "/v2/tasks", nil, ""}, 200,
			`{"tasks":[` + head1 + "," + self1 + "," + head2 + "," + self2 + `],"first":"/v2/tasks","schema":"/v2/schemas/tasks"}`, ""},
		{request{"GET", "/v2/tasks?limit=1&type=import&status=pending&sort_key=id&sort_dir=asc&x=y&marker=" + anID, nil, ""}, 200,
			`{"tasks":[` + head1 + "," + self1 + `],"first":"/v2/tasks?limit=1&type=import&status=pending&sort_key=id&sort_dir=asc&x=y",` +
				`"next":"/v2/tasks?limit=1&type=import&status=pending&sort_key=id&sort_dir=asc&x=y&marker=11111111-1111-4111-8111-111111111111",` +
				`"schema":"/v2/schemas/tasks"}`, ""},
		{request{"GET", "/v2/tasks?limit=0", nil, ""}, 200, `{"tasks":[],"first":"/v2/tasks?limit=0","schema":"/v2/schemas/tasks"}`, ""},
		{request{"GET", "/v2/tasks/11111111-1111-4111-8111-111111111111", nil, ""}, 200, head1 + whole1 + "," + self1, ""},
		{request{"GET", "/v2/tasks/22222222-2222-4222-8222-222222222222", nil, ""}, 200, head2 + whole2 + "," + self2, ""},
		{request{"GET", "/v2/images/" + anID + "/tasks", nil, ""}, 200,
			`{"tasks":[` + head1 + whole1 + gone + "," + head2 + whole2 + gone + `]}`, ""},
		{request{"POST", "/v2/tasks", nil, `{"type":"import","input":{"b":[1],"a":"<"}}`}, 201,
			strings.Replace(head1+whole1, `"input":null`, `"input":{"a":"<","b":[1]}`, 1) + "," + self1, ""},
		{request{"DELETE", "/v2/tasks/" + anID, nil, ""}, 405, "", "GET"},
		{request{"HEAD", "/v2/tasks", nil, ""}, 405, "", "GET, POST"},
		{request{"GET", "/v2/tasks/" + anID, nil, ""}, 404, "", ""},
		{request{"GET", "/v2/tasks/x", nil, ""}, 404, "", ""},
		{request{"GET", "/v2/images/x/tasks", nil, ""}, 404, "", ""},
		{request{"GET", "/v2/tasks?status=lost", nil, ""}, 400, "", ""},
		{request{"GET", "/v2/tasks?type=clean", nil, ""}, 400, "", ""},
		{request{"GET", "/v2/tasks?sort_key=owner", nil, ""}, 400, "", ""},
		{request{"GET", "/v2/tasks?sort_dir=up", nil, ""}, 400, "", ""},
		{request{"GET", "/v2/tasks?marker=x", nil, ""}, 400, "", ""},
		{request{"GET", "/v2/tasks?limit=-1", nil, ""}, 400, "", ""},
		{request{"POST", "/v2/tasks", nil, "[]"}, 400, "", ""},
		{request{"POST", "/v2/tasks", nil, `{"type":"import"}`}, 400, "", ""},
		{request{"POST", "/v2/tasks", nil, `{"type":"import","input":null}`}, 400, "", ""},
		{request{"POST", "/v2/tasks", nil, `{"type":5,"input":{}}`}, 400, "", ""},
	} {
		t.Run(tt.method+" "+tt.path+" "+tt.body, func(t *testing.T) {
			res := do(h, tt.request)
			if res.Code != tt.code || tt.want != "" && res.Body.String() != tt.want || res.Header().Get("Allow") != tt.allow {
				t.Errorf("%d %s, Allow %q\nwant %d %s, %q", res.Code, res.Body, res.Header().Get("Allow"), tt.code, tt.want, tt.allow)
			}
			if at := res.Header().Get("Location"); (at == "http://127.0.0.1:9292/v2/tasks/11111111-1111-4111-8111-111111111111") != (tt.code == 201) {
				t.Errorf("Location %q", at)
			}
		})
	}
	for name, path := range map[string]string{"tasks": "/v2/tasks", "task": "/v2/tasks/22222222-2222-4222-8222-222222222222"} {
		checkDocument(t, compile(t, h, name), do(h, request{"GET", path, nil, ""}).Body.Bytes())
	}
}
