package image

// An Edit changes one field, property or the tags of an image; a PATCH is a list of them, and so is the body of a
// creation. Names and value types are the API's: Value is what encoding/json gives with UseNumber (nil, bool, string,
// json.Number, []any, map[string]any).
type Edit struct {
	Op    EditOp
	Name  string // of the field or property, unescaped
	Value any    // of EditAdd and EditReplace
	// Strict refuses to add a property that exists, as the older of the two PATCH types does.
	Strict bool
}

// An EditOp says what an Edit does.
type EditOp string

// The operations.
const (
	EditAdd     EditOp = "add"
	EditReplace EditOp = "replace"
	EditRemove  EditOp = "remove"
)
