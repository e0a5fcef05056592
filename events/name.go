package events

// A Name is what an event is called.
type Name string

// The names of all events.
const (
	ImageCreate   Name = "image.create"
	ImagePrepare  Name = "image.prepare"
	ImageUpload   Name = "image.upload"
	ImageActivate Name = "image.activate"
	ImageSend     Name = "image.send"
	ImageUpdate   Name = "image.update"
	ImageDelete   Name = "image.delete"

	MemberCreate Name = "image.member.create"
	MemberUpdate Name = "image.member.update"
	MemberDelete Name = "image.member.delete"

	TaskCreate     Name = "task.create"
	TaskRun        Name = "task.run"
	TaskProcessing Name = "task.processing"
	TaskSuccess    Name = "task.success"
	TaskFailure    Name = "task.failure"
	TaskDelete     Name = "task.delete"

	NamespaceCreate           Name = "metadef_namespace.create"
	NamespaceUpdate           Name = "metadef_namespace.update"
	NamespaceDelete           Name = "metadef_namespace.delete"
	NamespaceDeleteObjects    Name = "metadef_namespace.delete_objects"
	NamespaceDeleteProperties Name = "metadef_namespace.delete_properties"
	NamespaceDeleteTags       Name = "metadef_namespace.delete_tags"

	ObjectCreate Name = "metadef_object.create"
	ObjectUpdate Name = "metadef_object.update"
	ObjectDelete Name = "metadef_object.delete"

	PropertyCreate Name = "metadef_property.create"
	PropertyUpdate Name = "metadef_property.update"
	PropertyDelete Name = "metadef_property.delete"

	TagCreate Name = "metadef_tag.create"
	TagUpdate Name = "metadef_tag.update"
	TagDelete Name = "metadef_tag.delete"

	ResourceTypeCreate Name = "metadef_resource_type.create"
	ResourceTypeDelete Name = "metadef_resource_type.delete"
)

// A Priority says how serious an event is.
type Priority string

// The priorities that are in use.
const (
	InfoPriority  Priority = "INFO"
	ErrorPriority Priority = "ERROR"
)

// A Definition describes one event.
type Definition struct {
	Name     Name
	Priority Priority // as a rule
	Failure  string   // when the priority is ErrorPriority instead, "" for never
	Payload  string   // its name in the reference
	When     string
}

// Definitions returns all events, in the order of the reference.
func Definitions() []Definition { return definitions }

var definitions = []Definition{
	{ImageCreate, InfoPriority, "", "image", "an image was created"},
	{ImagePrepare, InfoPriority, "", "image data", "data of an image begins to come in"},
	{ImageUpload, InfoPriority, "the data could not be taken; the payload is a text", "image data", "data of an image is stored"},
	{ImageActivate, InfoPriority, "", "image", "an image has become active"},
	{ImageSend, InfoPriority, "the transfer broke off", "send", "data of an image was downloaded"},
	{ImageUpdate, InfoPriority, "", "image", "an image was changed"},
	{ImageDelete, InfoPriority, "", "image", "an image was deleted"},

	{MemberCreate, InfoPriority, "", "member", "an image was shared with a project"},
	{MemberUpdate, InfoPriority, "", "member", "the project accepted or rejected the image"},
	{MemberDelete, InfoPriority, "", "member", "an image is not shared with a project any more"},

	{TaskCreate, InfoPriority, "", "task", "a task was created"},
	{TaskRun, InfoPriority, "", "task", "a task was taken up"},
	{TaskProcessing, InfoPriority, "", "task", "work on a task has begun"},
	{TaskSuccess, InfoPriority, "", "task", "a task has succeeded"},
	{TaskFailure, InfoPriority, "", "task", "a task has failed"},
	{TaskDelete, InfoPriority, "", "task", "a task was deleted"},

	{NamespaceCreate, InfoPriority, "", "namespace", "a namespace of metadata definitions was created"},
	{NamespaceUpdate, InfoPriority, "", "namespace", "a namespace was changed"},
	{NamespaceDelete, InfoPriority, "", "namespace", "a namespace was deleted"},
	{NamespaceDeleteObjects, InfoPriority, "", "namespace", "all objects of a namespace were deleted"},
	{NamespaceDeleteProperties, InfoPriority, "", "namespace", "all properties of a namespace were deleted"},
	{NamespaceDeleteTags, InfoPriority, "", "namespace", "all tags of a namespace were deleted"},

	{ObjectCreate, InfoPriority, "", "object", "an object was defined"},
	{ObjectUpdate, InfoPriority, "", "object", "the definition of an object was changed"},
	{ObjectDelete, InfoPriority, "", "object", "the definition of an object was deleted"},

	{PropertyCreate, InfoPriority, "", "property", "a property was defined"},
	{PropertyUpdate, InfoPriority, "", "property", "the definition of a property was changed"},
	{PropertyDelete, InfoPriority, "", "property", "the definition of a property was deleted"},

	{TagCreate, InfoPriority, "", "tag", "a tag was defined"},
	{TagUpdate, InfoPriority, "", "tag", "the definition of a tag was changed"},
	{TagDelete, InfoPriority, "", "tag", "the definition of a tag was deleted"},

	{ResourceTypeCreate, InfoPriority, "", "resource type", "a namespace was associated with a resource type"},
	{ResourceTypeDelete, InfoPriority, "", "resource type", "a namespace is not associated with a resource type any more"},
}
