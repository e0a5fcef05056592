package image

import "time"

// A Query asks for a page of images, newest first unless Sort says otherwise.
type Query struct {
	Caller Caller // decides what is visible; an admin sees everything but others' community images unless asked

	Visibility   Visibility // "" for what the caller sees by default, AnyVisibility for all that he may see
	MemberStatus string     // of images shared with the caller: "accepted" (also for ""), "pending", "rejected" or "all"
	Hidden       bool       // list the hidden images instead of the others
	Tags         []string   // an image must have them all
	Filters      []Filter   // an image must pass them all

	Sort   []SortKey // then created_at desc and id desc as tie-breakers, as far as they are not named
	Limit  int       // at most this many; 0 gives none; see PageBytes
	Marker ID        // start after this image; "" starts at the beginning. Unknown or invisible: ErrInvalid
}

// AnyVisibility lists what the caller may see, community images included.
const AnyVisibility Visibility = "all"

// A Field names a base field by which images can be filtered or sorted; the text is the API's.
type Field string

// The base fields. Those of SortFields can be sorted by.
const (
	FieldID              Field = "id"
	FieldName            Field = "name"
	FieldStatus          Field = "status"
	FieldOwner           Field = "owner"
	FieldProtected       Field = "protected"
	FieldDiskFormat      Field = "disk_format"
	FieldContainerFormat Field = "container_format"
	FieldMinDisk         Field = "min_disk"
	FieldMinRAM          Field = "min_ram"
	FieldSize            Field = "size"
	FieldVirtualSize     Field = "virtual_size"
	FieldChecksum        Field = "checksum"
	FieldHashAlgo        Field = "os_hash_algo"
	FieldHashValue       Field = "os_hash_value"
	FieldCreatedAt       Field = "created_at"
	FieldUpdatedAt       Field = "updated_at"
)

// Fields returns every field.
func Fields() []Field {
	return []Field{FieldID, FieldName, FieldStatus, FieldOwner, FieldProtected, FieldDiskFormat, FieldContainerFormat,
		FieldMinDisk, FieldMinRAM, FieldSize, FieldVirtualSize, FieldChecksum, FieldHashAlgo, FieldHashValue, FieldCreatedAt,
		FieldUpdatedAt}
}

// IntegerFields returns the fields that can be compared with bounds: size_min, size_max.
func IntegerFields() []Field { return []Field{FieldSize, FieldVirtualSize, FieldMinDisk, FieldMinRAM} }

// SortFields returns the fields by which a list can be sorted.
func SortFields() []Field {
	return []Field{FieldName, FieldStatus, FieldContainerFormat, FieldDiskFormat, FieldSize, FieldID, FieldCreatedAt, FieldUpdatedAt}
}

// A SortKey orders by one field; null sorts as the empty string or 0.
type SortKey struct {
	Field Field
	Desc  bool
}

// An Op compares a field with a value.
type Op string

// The operators. A property and a string field know OpEqual and OpIn; times know all but OpIn; integers know
// OpEqual, OpAtLeast and OpAtMost.
const (
	OpEqual    Op = "eq"
	OpNotEqual Op = "neq"
	OpGreater  Op = "gt"
	OpAtLeast  Op = "gte"
	OpLess     Op = "lt"
	OpAtMost   Op = "lte"
	OpIn       Op = "in"
)

// A Filter compares one field or property. Exactly one of Field and Property is set, and exactly the values that the
// field's type demands: Strings (several only with OpIn), Int, Bool or Time.
type Filter struct {
	Field    Field
	Property string
	Op       Op
	Strings  []string
	Int      int64
	Bool     bool
	Time     time.Time // compared in whole seconds, as the API shows times
}
