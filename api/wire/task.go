package wire

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/vitrine-image/vitrine/image"
)

// Paths of tasks.
const (
	TasksPath   = "/v2/tasks"
	TaskSchema  = "/v2/schemas/task"
	TasksSchema = "/v2/schemas/tasks"
)

// A Task is the document of a task.
type Task struct {
	taskFields
	*TaskDetails        // nil in lists
	Self         string `json:"self"`
	Schema       string `json:"schema"`
}

type taskFields struct {
	ID        string           `json:"id"`
	Type      image.TaskType   `json:"type"`
	Status    image.TaskStatus `json:"status"`
	Owner     string           `json:"owner"`
	ExpiresAt *string          `json:"expires_at"`
	CreatedAt string           `json:"created_at"`
	UpdatedAt string           `json:"updated_at"`
}

// TaskDetails is what lists leave out.
type TaskDetails struct {
	Input     json.RawMessage `json:"input"`
	Result    json.RawMessage `json:"result"`
	Message   string          `json:"message"`
	ImageID   *string         `json:"image_id"`
	UserID    string          `json:"user_id"`
	RequestID string          `json:"request_id"`
}

// Tasks is the document of a list. First and Next are paths with a query; Next is empty on the last page.
type Tasks struct {
	Tasks  []Task `json:"tasks"`
	First  string `json:"first"`
	Next   string `json:"next,omitempty"`
	Schema string `json:"schema"`
}

// An ImageTask is a task as the list of an image's tasks has it, with the columns of a database that clients know.
type ImageTask struct {
	taskFields
	TaskDetails
	DeletedAt *string `json:"deleted_at"`
	Deleted   bool    `json:"deleted"`
}

// ImageTasks is the document of the tasks of an image.
type ImageTasks struct {
	Tasks []ImageTask `json:"tasks"`
}

// TaskOf returns the whole document of a task.
func TaskOf(t *image.Task) Task {
	doc := taskStub(t)
	doc.TaskDetails = taskDetails(t)
	return doc
}

// TasksOf returns the document of a page.
func TasksOf(tasks []*image.Task, first, next string) Tasks {
	doc := Tasks{Tasks: make([]Task, len(tasks)), First: first, Next: next, Schema: TasksSchema}
	for i, t := range tasks {
		doc.Tasks[i] = taskStub(t)
	}
	return doc
}

// ImageTasksOf returns the document of the tasks of an image.
func ImageTasksOf(tasks []*image.Task) ImageTasks {
	doc := ImageTasks{Tasks: make([]ImageTask, len(tasks))}
	for i, t := range tasks {
		doc.Tasks[i] = ImageTask{taskFields: taskFieldsOf(t), TaskDetails: *taskDetails(t)}
	}
	return doc
}

func taskStub(t *image.Task) Task {
	return Task{taskFields: taskFieldsOf(t), Self: TasksPath + "/" + string(t.ID), Schema: TaskSchema}
}

func taskFieldsOf(t *image.Task) taskFields {
	doc := taskFields{ID: string(t.ID), Type: t.Type, Status: t.Status, Owner: t.Owner,
		CreatedAt: formatTime(t.CreatedAt), UpdatedAt: formatTime(t.UpdatedAt)}
	if t.ExpiresAt != nil {
		at := formatTime(*t.ExpiresAt)
		doc.ExpiresAt = &at
	}
	return doc
}

func taskDetails(t *image.Task) *TaskDetails {
	doc := &TaskDetails{Input: orNull(t.Input), Result: orNull(t.Result), Message: t.Message, UserID: t.UserID, RequestID: t.RequestID}
	if id := string(t.ImageID); id != "" {
		doc.ImageID = &id
	}
	return doc
}

func orNull(doc json.RawMessage) json.RawMessage {
	if len(doc) == 0 {
		return json.RawMessage("null")
	}
	return doc
}

// ParseTask reads the whole document of a task, as far as documents go: State and Instance are nobody's business.
func ParseTask(data []byte) (*image.Task, error) {
	var doc Task
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("parse a task: %w", err)
	}
	return doc.taskFields.task(doc.TaskDetails)
}

// ParseTasks reads the document of a list, and reports whether there is a next page.
func ParseTasks(data []byte) (tasks []*image.Task, more bool, err error) {
	var doc Tasks
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, false, fmt.Errorf("parse a list of tasks: %w", err)
	}
	for _, d := range doc.Tasks {
		t, err := d.taskFields.task(d.TaskDetails)
		if err != nil {
			return nil, false, err
		}
		tasks = append(tasks, t)
	}
	return tasks, doc.Next != "", nil
}

// ParseImageTasks reads the document of the tasks of an image.
func ParseImageTasks(data []byte) ([]*image.Task, error) {
	var doc ImageTasks
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("parse a list of tasks: %w", err)
	}
	var tasks []*image.Task
	for _, d := range doc.Tasks {
		t, err := d.taskFields.task(&d.TaskDetails)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

func (doc taskFields) task(details *TaskDetails) (*image.Task, error) {
	t := &image.Task{Type: doc.Type, Status: doc.Status, Owner: doc.Owner}
	var ok bool
	if t.ID, ok = image.ParseID(doc.ID); !ok {
		return nil, fmt.Errorf("parse a task: %q is no id of a task", doc.ID)
	}
	var errs [3]error
	t.CreatedAt, errs[0] = parseTime(doc.CreatedAt)
	t.UpdatedAt, errs[1] = parseTime(doc.UpdatedAt)
	if doc.ExpiresAt != nil {
		at, err := parseTime(*doc.ExpiresAt)
		t.ExpiresAt, errs[2] = &at, err
	}
	if details != nil {
		t.Input, t.Result, t.Message = notNull(details.Input), notNull(details.Result), details.Message
		t.UserID, t.RequestID = details.UserID, details.RequestID
		if details.ImageID != nil {
			if t.ImageID, ok = image.ParseID(*details.ImageID); !ok {
				return nil, fmt.Errorf("parse a task: %q is no image id", *details.ImageID)
			}
		}
	}
	return t, cmp.Or(errs[:]...)
}

func notNull(doc json.RawMessage) json.RawMessage {
	if string(doc) == "null" {
		return nil
	}
	return doc
}
