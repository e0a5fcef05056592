package image

import (
	"encoding/json"
	"slices"
	"time"
)

// A Task is stored work that survives a restart.
type Task struct {
	ID        ID
	Type      TaskType
	Status    TaskStatus
	Owner     string // project id
	UserID    string
	RequestID string          // of the request that asked for it
	ImageID   ID              // "" when it concerns none
	Input     json.RawMessage // an object, as the API shows it
	Result    json.RawMessage // an object, nil until there is one
	Message   string          // progress, then why it failed
	State     json.RawMessage // what the importer needs to take it up again; nobody else sees it
	Instance  string          // the process instance that works on it, "" while none does
	CreatedAt time.Time
	UpdatedAt time.Time
	ExpiresAt *time.Time // nil until it has ended
}

// A TaskType says what a task does.
type TaskType string

// The types of tasks.
const (
	TaskImport         TaskType = "import"           // of the tasks API: makes the image as well
	TaskImageImport    TaskType = "api_image_import" // of an image's import
	TaskLocationImport TaskType = "location_import"  // of a location that was added
)

// TaskTypes returns every type.
func TaskTypes() []TaskType { return []TaskType{TaskImport, TaskImageImport, TaskLocationImport} }

// Planned reports whether a task has an ImportPlan, which is so for all that this release knows.
func (t TaskType) Planned() bool { return slices.Contains(TaskTypes(), t) }

// A TaskStatus says how far a task has come.
type TaskStatus string

// The statuses of tasks.
const (
	TaskPending    TaskStatus = "pending"
	TaskProcessing TaskStatus = "processing"
	TaskSuccess    TaskStatus = "success"
	TaskFailure    TaskStatus = "failure"
)

// TaskStatuses returns every status.
func TaskStatuses() []TaskStatus {
	return []TaskStatus{TaskPending, TaskProcessing, TaskSuccess, TaskFailure}
}

// Ended reports whether nothing follows.
func (s TaskStatus) Ended() bool { return s == TaskSuccess || s == TaskFailure }

var taskTransitions = map[TaskStatus][]TaskStatus{
	TaskPending:    {TaskProcessing, TaskFailure},
	TaskProcessing: {TaskSuccess, TaskFailure},
}

// SetStatus moves the task to the status next; one that ends expires after keep. Errors: ErrConflict.
func (t *Task) SetStatus(next TaskStatus, now time.Time, keep time.Duration) error {
	if !slices.Contains(taskTransitions[t.Status], next) {
		return Errorf(ErrConflict, "Task status transition from %s to %s is not allowed", t.Status, next)
	}
	t.Status, t.UpdatedAt = next, now
	if next.Ended() {
		at := now.Add(keep)
		t.ExpiresAt = &at
	}
	return nil
}

// A TaskQuery asks for a page of tasks, newest first unless Sort says otherwise.
type TaskQuery struct {
	Owner  string     // "" for those of every project
	Type   TaskType   // "" for every type
	Status TaskStatus // "" for every status
	Sort   string     // one of TaskSortFields, "" for created_at
	Asc    bool
	Limit  int // at most this many; 0 gives none
	Marker ID  // start after this task; unknown: ErrInvalid
}

// TaskSortFields are the fields by which tasks can be sorted; ids break ties.
var TaskSortFields = []string{"created_at", "updated_at", "expires_at", "id", "status", "type"}
