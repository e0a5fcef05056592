package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// TaskSession is what one caller can do with tasks.
type TaskSession interface {
	Tasks(ctx context.Context, q image.TaskQuery) ([]*image.Task, error)
	Task(ctx context.Context, id image.ID) (*image.Task, error)
	ImageTasks(ctx context.Context, id image.ID) ([]*image.Task, error)
	CreateTask(ctx context.Context, kind image.TaskType, input map[string]any) (*image.Task, error)
}

// listTasks serves GET /v2/tasks.
func (s *server) listTasks(w http.ResponseWriter, r *http.Request) error {
	params, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	q, err := taskQuery(params, s.cfg.Limits)
	if err != nil {
		return err
	}
	return s.answer(w, r, func() (any, error) {
		leave, err := s.enterLoading(r, q.Limit)
		if err != nil {
			return nil, err
		}
		defer leave()
		page, err := s.session(r).Tasks(r.Context(), q)
		if err != nil {
			return nil, err
		}
		next := ""
		if len(page) > 0 && len(page) == q.Limit {
			next = params.link(wire.TasksPath, string(page[len(page)-1].ID))
		}
		return wire.TasksOf(page, params.link(wire.TasksPath, ""), next), nil
	})
}

// taskQuery reads the parameters of a list. Those that mean nothing here are ignored.
func taskQuery(params parameters, limits Limits) (q image.TaskQuery, err error) {
	if q.Limit, err = parseLimit(params, limits); err != nil {
		return q, err
	}
	for _, p := range params {
		known := true
		switch p.key {
		case "status":
			q.Status = image.TaskStatus(p.value)
			known = slices.Contains(image.TaskStatuses(), q.Status)
		case "type":
			q.Type = image.TaskType(p.value)
			known = slices.Contains(image.TaskTypes(), q.Type)
		case "sort_key":
			q.Sort = p.value
			known = slices.Contains(image.TaskSortFields, q.Sort)
		case "sort_dir":
			q.Asc = p.value == "asc"
			known = q.Asc || p.value == "desc"
		case "marker":
			q.Marker, known = image.ParseID(p.value)
		}
		if !known {
			return q, image.Errorf(image.ErrInvalid, "Invalid %s value: %s", p.key, p.value)
		}
	}
	return q, nil
}

// showTask serves GET /v2/tasks/{task}.
func (s *server) showTask(w http.ResponseWriter, r *http.Request) error {
	text, err := param(r, "task")
	if err != nil {
		return err
	}
	id, ok := image.ParseID(text)
	return s.answer(w, r, func() (any, error) {
		if !ok {
			return nil, image.Errorf(image.ErrNotFound, "No task found with ID %s", text)
		}
		t, err := s.session(r).Task(r.Context(), id)
		if err != nil {
			return nil, err
		}
		return wire.TaskOf(t), nil
	})
}

// createTask serves POST /v2/tasks.
func (s *server) createTask(w http.ResponseWriter, r *http.Request) error {
	value, room, err := s.readJSON(r)
	defer room.release()
	if err != nil {
		return err
	}
	members, _ := value.(map[string]any)
	kind, isText := members["type"].(string)
	input, isObject := members["input"].(map[string]any)
	if !isText || !isObject {
		return image.Errorf(image.ErrInvalid, `The request body must be a JSON object with the string "type" and the object "input".`)
	}
	t, err := s.session(r).CreateTask(r.Context(), image.TaskType(kind), input)
	room.release() // before the answer waits for the client
	if err != nil {
		return err
	}
	w.Header().Set("Location", s.baseURL(r)+wire.TasksPath+"/"+string(t.ID))
	return s.writeDocument(w, r, http.StatusCreated, func() (document, error) {
		return newDocument(func(dst []byte) []byte { return wire.Append(dst, wire.TaskOf(t)) }), nil
	})
}

// listImageTasks serves GET /v2/images/{image}/tasks.
func (s *server) listImageTasks(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r)
	if err != nil {
		return err
	}
	return s.answer(w, r, func() (any, error) {
		tasks, err := s.session(r).ImageTasks(r.Context(), id)
		return wire.ImageTasksOf(tasks), err
	})
}

func taskSchema() object {
	text := func(description string) object { return object{"type": "string", "description": description} }
	document := func(description string) object {
		return object{"type": nullable("object"), "description": description}
	}
	return object{
		"name": "task",
		"properties": object{
			"id":         object{"type": "string", "pattern": uuidPattern, "description": "Identifier of the task, a UUID"},
			"type":       object{"type": "string", "enum": image.TaskTypes(), "description": "What the task does"},
			"status":     object{"type": "string", "enum": image.TaskStatuses(), "description": "How far the task has come"},
			"input":      document("What the task was told"),
			"result":     document("What the task has brought about"),
			"owner":      text("Project of who asked for it"),
			"message":    text("Progress, and why it failed"),
			"image_id":   object{"type": nullable("string"), "description": "Image that the task is about"},
			"request_id": text("Request that asked for it"),
			"user_id":    text("User who asked for it"),
			"expires_at": object{"type": nullable("string"), "description": "When the record goes, once the task has ended"},
			"created_at": text("When it was asked for"),
			"updated_at": text("When the record was changed last"),
			"self":       readOnly(object{"type": "string"}, "Path of the task"),
			"schema":     readOnly(object{"type": "string"}, "Path of the task's schema"),
		},
	}
}
