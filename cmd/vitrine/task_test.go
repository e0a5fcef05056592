package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

func TestTaskTables(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	expires := at.Add(48 * time.Hour)
	task := &image.Task{ID: "22222222-2222-4222-8222-222222222222", Type: image.TaskImageImport, Status: image.TaskFailure, Owner: "p1",
		ImageID: "33333333-3333-4333-8333-333333333333", Input: json.RawMessage(`{"a":1}`), Message: "no host\x1b[2J", CreatedAt: at, UpdatedAt: at,
		ExpiresAt: &expires}
	var b bytes.Buffer
	if err := printTasks(&b, []*image.Task{task, {ID: "1", Type: image.TaskImport, Status: image.TaskPending, CreatedAt: at}}); err != nil {
		t.Fatal(err)
	}
	if err := printTask(&b, task); err != nil {
		t.Fatal(err)
	}
	const want = `ID                                    TYPE              STATUS   PROJECT  CREATED
22222222-2222-4222-8222-222222222222  api_image_import  failure  p1       2026-01-02 03:04:05
1                                     import            pending  -        2026-01-02 03:04:05
id       22222222-2222-4222-8222-222222222222
type     api_image_import
status   failure
message  no host\x1b[2J
image    33333333-3333-4333-8333-333333333333
project  p1
user     -
request  -
input    {"a":1}
result   -
created  2026-01-02T03:04:05Z
updated  2026-01-02T03:04:05Z
expires  2026-01-04T03:04:05Z
`
	if b.String() != want {
		t.Errorf("tables are\n%s\nwant\n%s", b.String(), want)
	}
}
