package wire

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

const (
	someID  = "09d71d45-7b61-42ad-b59c-0234ba01befe"
	otherID = "11111111-1111-4111-8111-111111111111"
)

var someTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestMembersComeBack(t *testing.T) {
	want := []image.Member{
		{ImageID: someID, Project: "a \"<project>\"", Status: image.MemberPending, CreatedAt: someTime, UpdatedAt: someTime},
		{ImageID: someID, Project: "b", Status: image.MemberAccepted, CreatedAt: someTime, UpdatedAt: someTime.Add(time.Hour)},
	}
	got, err := ParseMembers(Append(nil, MembersOf(want)))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseMembers = %+v, %v, want %+v", got, err, want)
	}
	if got := string(Append([]byte("before "), MembersOf(nil))); got != `before {"members":[],"schema":"/v2/schemas/members"}` {
		t.Errorf("no members are %s", got)
	}
}

func TestTasksComeBack(t *testing.T) {
	expires := someTime.Add(48 * time.Hour)
	want := []*image.Task{
		{ID: someID, Type: image.TaskImageImport, Status: image.TaskFailure, Owner: "p", UserID: "u", RequestID: "r", ImageID: otherID,
			Input: json.RawMessage(`{"a":"<"}`), Result: json.RawMessage(`{}`), Message: "m", CreatedAt: someTime, UpdatedAt: someTime, ExpiresAt: &expires},
		{ID: otherID, Type: image.TaskImport, Status: image.TaskPending, CreatedAt: someTime, UpdatedAt: someTime},
	}
	for _, task := range want {
		if got, err := ParseTask(Append(nil, TaskOf(task))); err != nil || !reflect.DeepEqual(got, task) {
			t.Errorf("ParseTask = %+v, %v, want %+v", got, err, task)
		}
	}
	if got, err := ParseImageTasks(Append(nil, ImageTasksOf(want))); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseImageTasks = %+v, %v", got, err)
	}
	got, more, err := ParseTasks(Append(nil, TasksOf(want, "/first", "/next")))
	if err != nil || !more || len(got) != 2 || got[0].ID != someID || got[0].Message != "" || got[0].Input != nil {
		t.Errorf("ParseTasks = %+v, %v, %v", got, more, err)
	}
}

// TestRecordsOfOtherServers: what a server may say wrongly is an error and no panic.
func TestRecordsOfOtherServers(t *testing.T) {
	member := `{"member_id":"p","image_id":"` + someID + `","created_at":"2026-01-02T03:04:05Z"}`
	task := `{"id":"` + someID + `"}`
	parsers := map[string]func(string) error{
		"member":      func(doc string) error { _, err := ParseMember([]byte(doc)); return err },
		"members":     func(doc string) error { _, err := ParseMembers([]byte(`{"members":[` + doc + `]}`)); return err },
		"task":        func(doc string) error { _, err := ParseTask([]byte(doc)); return err },
		"tasks":       func(doc string) error { _, _, err := ParseTasks([]byte(`{"tasks":[` + doc + `]}`)); return err },
		"image tasks": func(doc string) error { _, err := ParseImageTasks([]byte(`{"tasks":[` + doc + `]}`)); return err },
		"usage":       func(doc string) error { _, err := ParseUsage([]byte(doc)); return err },
	}
	for name, parse := range parsers {
		good := map[bool]string{true: member, false: task}[strings.HasPrefix(name, "member")]
		if err := parse(good); err != nil {
			t.Errorf("%s %s: %v", name, good, err)
		}
		for _, bad := range []string{"[", "5", `"text"`, `{"id":5,"image_id":5,"usage":5}`} {
			if parse(bad) == nil {
				t.Errorf("%s is taken for a %s", bad, name)
			}
		}
		if name == "usage" {
			continue
		}
		for _, bad := range []string{"{}", "null", strings.Replace(good, someID, "x", 1), strings.TrimSuffix(good, "}") + `,"updated_at":"yesterday"}`} {
			if parse(bad) == nil {
				t.Errorf("%s is taken for a %s", bad, name)
			}
		}
	}
}
