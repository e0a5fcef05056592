package policy

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// A Target is what an operation works on, as rules see it: %(visibility)s is its field visibility. The zero Target has no
// fields. It refers to what it was made of, and nothing else, so that it costs nothing to make.
type Target struct {
	kind       targetKind
	img        *image.Image // of an image
	member     string       // of an image
	id, name   string       // of a task, of a namespace
	project    string
	visibility string // of a namespace
	status     string // of a task
	taskType   string // of a task
}

type targetKind int

const (
	ofNothing targetKind = iota
	ofProjectOnly
	ofImage
	ofNamespace
	ofTask
)

// ForProject returns the target of operations without an object, such as lists: the caller's own project.
func ForProject(project string) Target { return Target{kind: ofProjectOnly, project: project} }

// ForImage returns the target of operations on an image, also one that is still to be created. member is the project of
// the member's record that is asked for, else the caller's project if the image is shared with it, "" for neither.
func ForImage(img *image.Image, member string) Target {
	return Target{kind: ofImage, img: img, member: member}
}

// ForNamespace returns the target of operations on a namespace of metadata definitions and on what it holds.
func ForNamespace(name, owner string, visibility image.Visibility) Target {
	return Target{kind: ofNamespace, name: name, project: owner, visibility: string(visibility)}
}

// ForTask returns the target of operations on a task.
func ForTask(id, taskType, status, owner string) Target {
	return Target{kind: ofTask, id: id, taskType: taskType, status: status, project: owner}
}

// A state says whether a target has a field.
type state int

const (
	absent state = iota
	null         // there, without a value
	present
)

// A field is a base field of a target. Custom properties are reached by other names only, so that nobody can give an
// image an owner by a property of that name.
type field int

const (
	noField field = iota
	fieldProperty
	fieldID
	fieldName
	fieldProject
	fieldVisibility
	fieldMember
	fieldStatus
	fieldProtected
	fieldHidden
	fieldDiskFormat
	fieldContainerFormat
	fieldMinDisk
	fieldMinRAM
	fieldSize
	fieldVirtualSize
	fieldChecksum
	fieldHashAlgo
	fieldHashValue
	fieldCreatedAt
	fieldUpdatedAt
	fieldNamespace
	fieldTaskType
)

var fields = map[string]field{
	"id": fieldID, "image_id": fieldID, "name": fieldName, "namespace": fieldNamespace,
	"project_id": fieldProject, "owner": fieldProject, "visibility": fieldVisibility,
	"member_id": fieldMember, "member": fieldMember, "status": fieldStatus, "protected": fieldProtected, "os_hidden": fieldHidden,
	"disk_format": fieldDiskFormat, "container_format": fieldContainerFormat, "min_disk": fieldMinDisk, "min_ram": fieldMinRAM,
	"size": fieldSize, "virtual_size": fieldVirtualSize, "checksum": fieldChecksum,
	"os_hash_algo": fieldHashAlgo, "os_hash_value": fieldHashValue,
	"created_at": fieldCreatedAt, "updated_at": fieldUpdatedAt, "type": fieldTaskType,
}

// fieldNamed returns what a name stands for in rules, fieldProperty if it is no base field's.
func fieldNamed(name string) field {
	if f, ok := fields[name]; ok {
		return f
	}
	return fieldProperty
}

// none is how Python writes null.
const none = "None"

// field returns the text of the field of that name: booleans as True and False, null as None. f is fieldNamed(name).
func (t *Target) field(f field, name string) (string, state) {
	if t.kind == ofImage {
		return t.imageField(f, name)
	}
	switch {
	case t.kind == ofNothing:
	case f == fieldProject:
		return text(t.project)
	case t.kind == ofNamespace && (f == fieldName || f == fieldNamespace):
		return text(t.name)
	case t.kind == ofNamespace && f == fieldVisibility:
		return text(t.visibility)
	case t.kind == ofTask && f == fieldID:
		return text(t.id)
	case t.kind == ofTask && f == fieldStatus:
		return text(t.status)
	case t.kind == ofTask && f == fieldTaskType:
		return text(t.taskType)
	}
	return "", absent
}

func (t *Target) imageField(f field, name string) (string, state) {
	img := t.img
	switch f {
	case fieldProperty, fieldNamespace, fieldTaskType: // images have no base fields of these names
		value, ok := img.Properties[name]
		if !ok {
			return "", absent
		}
		return value, present
	case fieldID:
		return text(string(img.ID))
	case fieldName:
		if img.Name == nil {
			return none, null
		}
		return *img.Name, present
	case fieldProject:
		return text(img.Owner)
	case fieldVisibility:
		return text(string(img.Visibility))
	case fieldMember:
		return text(t.member)
	case fieldStatus:
		return text(string(img.Status))
	case fieldProtected:
		return boolean(img.Protected), present
	case fieldHidden:
		return boolean(img.Hidden), present
	case fieldDiskFormat:
		return text(img.DiskFormat)
	case fieldContainerFormat:
		return text(img.ContainerFormat)
	case fieldMinDisk:
		return strconv.FormatInt(img.MinDisk, 10), present
	case fieldMinRAM:
		return strconv.FormatInt(img.MinRAM, 10), present
	case fieldSize:
		return integer(img.Size)
	case fieldVirtualSize:
		return integer(img.VirtualSize)
	case fieldChecksum:
		return text(img.Checksum)
	case fieldHashAlgo:
		return text(img.HashAlgo)
	case fieldHashValue:
		return text(img.HashValue)
	case fieldCreatedAt:
		return date(img.CreatedAt)
	case fieldUpdatedAt:
		return date(img.UpdatedAt)
	}
	return "", absent
}

func text(s string) (string, state) {
	if s == "" {
		return none, null
	}
	return s, present
}

func boolean(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

func integer(n *int64) (string, state) {
	if n == nil {
		return none, null
	}
	return strconv.FormatInt(*n, 10), present
}

func date(t time.Time) (string, state) {
	if t.IsZero() {
		return none, null
	}
	return t.UTC().Format(time.RFC3339), present
}

// document returns the target as servers are told of it.
func (t *Target) document() map[string]any {
	all := make(map[string]any)
	if t.kind == ofImage {
		for name, value := range t.img.Properties {
			all[name] = value
		}
		all["tags"] = append([]string{}, t.img.Tags...)
	}
	for name, f := range fields {
		value, state := t.field(f, name)
		switch {
		case state == absent:
		case state == null:
			all[name] = nil
		case f == fieldProtected, f == fieldHidden:
			all[name] = value == "True"
		case f == fieldMinDisk, f == fieldMinRAM, f == fieldSize, f == fieldVirtualSize:
			all[name] = json.Number(value)
		default:
			all[name] = value
		}
	}
	return all
}
