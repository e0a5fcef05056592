package image

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// An Edit changes one field, one property or the tags of an image; a PATCH is a list of them, and so is the body of a
// creation. Names and value types are the API's: Value is what encoding/json gives with UseNumber (nil, bool, string,
// json.Number, []any, map[string]any).
type Edit struct {
	Op    EditOp
	Name  string // of the field or property, unescaped
	Item  string // of locations: which one, counted from 0, or "-" for the end; "" for the whole field
	Value any    // of EditAdd and EditReplace
	// Strict refuses to add what exists already, as the older of the two PATCH types does.
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

// Limits of single values, and of all that TextBytes counts. MaxInteger is that of the databases that clients were written
// against.
const (
	MaxNameLength     = 255   // characters, of names, tags and property names
	MaxPropertyLength = 65535 // bytes, of a property's value
	MaxTextBytes      = 1 << 20
	MaxInteger        = 1<<31 - 1
)

// readOnly fields are the server's. Reserved ones are nobody's.
var (
	readOnly = []string{"id", "status", "checksum", "size", "virtual_size", "os_hash_algo", "os_hash_value", "created_at",
		"updated_at", "direct_url", "self", "file", "schema", "stores"}
	reserved = []string{"location", "locations", "deleted", "deleted_at"}
)

// setters are the base fields that clients set, and how.
var setters = map[string]func(img *Image, value any) error{
	"name":       setName,
	"owner":      setOwner,
	"visibility": setVisibility,
	"protected":  func(img *Image, v any) error { return setBool(&img.Protected, "protected", v) },
	"os_hidden":  func(img *Image, v any) error { return setBool(&img.Hidden, "os_hidden", v) },
	"min_ram":    func(img *Image, v any) error { return setInteger(&img.MinRAM, "min_ram", v) },
	"min_disk":   func(img *Image, v any) error { return setInteger(&img.MinDisk, "min_disk", v) },
	"tags":       setTags,
}

// setter returns how a base field is set, nil for what is none.
func (f Formats) setter(name string) func(img *Image, value any) error {
	switch name {
	case "disk_format":
		return func(img *Image, v any) error { return img.setFormat(&img.DiskFormat, name, v, f.Disks()) }
	case "container_format":
		return func(img *Image, v any) error { return img.setFormat(&img.ContainerFormat, name, v, f.Containers()) }
	}
	return setters[name]
}

// Apply is Formats.Apply with the formats of the API.
func (img *Image) Apply(edits []Edit) error { return Formats{}.Apply(img, edits) }

// Apply carries out the edits in their order; the image is of no use when one fails. Rights are not looked at.
// Errors: ErrForbidden for fields that no client sets, ErrInvalid for wrong values, ErrConflict for a property that
// should be there and is not (or the other way round), ErrTooLarge for more than MaxTextBytes, unless the image had as many
// before.
func (f Formats) Apply(img *Image, edits []Edit) error {
	before := img.TextBytes()
	for _, e := range edits {
		if err := img.apply(e, f); err != nil {
			return err
		}
	}
	if img.TextBytes() <= before {
		return nil
	}
	return img.CheckText()
}

func (img *Image) apply(e Edit, formats Formats) error {
	if err := checkText("The name of a property", e.Name, MaxNameLength); err != nil {
		return err
	}
	switch set := formats.setter(e.Name); {
	case e.Name == "":
		return Errorf(ErrInvalid, "The name of a property may not be empty")
	case slices.Contains(readOnly, e.Name):
		return Errorf(ErrForbidden, "Attribute '%s' is read-only.", e.Name)
	case slices.Contains(reserved, e.Name), strings.HasPrefix(e.Name, "os_glance"):
		return Errorf(ErrForbidden, "Attribute '%s' is reserved.", e.Name)
	case set == nil:
		return img.applyProperty(e)
	case e.Op == EditRemove:
		return Errorf(ErrForbidden, "Property %s may not be removed.", e.Name)
	case e.Op == EditAdd && e.Strict:
		return Errorf(ErrConflict, "Property %s already present.", e.Name)
	default:
		return set(img, e.Value)
	}
}

func (img *Image) applyProperty(e Edit) error {
	_, have := img.Properties[e.Name]
	switch {
	case e.Op == EditAdd && e.Strict && have:
		return Errorf(ErrConflict, "Property %s already present.", e.Name)
	case e.Op != EditAdd && !have:
		return Errorf(ErrConflict, "Property %s does not exist.", e.Name)
	case e.Op == EditRemove:
		delete(img.Properties, e.Name)
		return nil
	}
	value, err := propertyValue(e.Name, e.Value)
	if err != nil {
		return err
	}
	if img.Properties == nil {
		img.Properties = make(map[string]string)
	}
	img.Properties[e.Name] = value
	return nil
}

func propertyValue(name string, value any) (string, error) {
	if restrict, ok := wellKnown[name]; ok {
		return restrict(name, value)
	}
	text, ok := value.(string)
	if !ok {
		return "", Errorf(ErrInvalid, "Invalid value for property '%s': it must be a string", name)
	}
	if len(text) > MaxPropertyLength {
		return "", Errorf(ErrInvalid, "The value of property '%s' is longer than %d bytes", name, MaxPropertyLength)
	}
	return text, checkText("The value of property '"+name+"'", text, MaxPropertyLength)
}

// checkText refuses what the API refuses in every text: more than limit characters, and characters beyond the Basic
// Multilingual Plane (four bytes in UTF-8), which the databases of other installations cannot hold.
func checkText(what, s string, limit int) error {
	if n := utf8.RuneCountInString(s); n > limit {
		return Errorf(ErrInvalid, "%s is %d characters long, at most %d are allowed", what, n, limit)
	}
	if !utf8.ValidString(s) {
		return Errorf(ErrInvalid, "%s is not valid UTF-8", what)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r > 0xffff }) {
		return Errorf(ErrInvalid, "%s contains a character of four bytes in UTF-8, which is not allowed", what)
	}
	return nil
}

// CheckText refuses an image whose name, tags and properties are too long together. Error: ErrTooLarge.
func (img *Image) CheckText() error {
	if n := img.TextBytes(); n > MaxTextBytes {
		return Errorf(ErrTooLarge, "The name, tags and properties of an image may have %d bytes in all, and these have %d", MaxTextBytes, n)
	}
	return nil
}

// CheckTag refuses a tag that is too long or holds characters that are not allowed.
func CheckTag(tag string) error { return checkText("The tag", tag, MaxNameLength) }

func setName(img *Image, value any) error {
	if value == nil {
		img.Name = nil
		return nil
	}
	name, ok := value.(string)
	if !ok {
		return wrongType("name", "a string or null")
	}
	if err := checkText("The name", name, MaxNameLength); err != nil {
		return err
	}
	img.Name = &name
	return nil
}

func setOwner(img *Image, value any) error {
	owner, ok := value.(string)
	if !ok && value != nil {
		return wrongType("owner", "a string or null")
	}
	if err := checkText("The owner", owner, MaxNameLength); err != nil {
		return err
	}
	img.Owner = owner
	return nil
}

func setVisibility(img *Image, value any) error {
	v, ok := value.(string)
	if !ok || !slices.Contains(Visibilities(), Visibility(v)) {
		return wrongType("visibility", "one of public, private, shared, community")
	}
	img.Visibility = Visibility(v)
	return nil
}

func (img *Image) setFormat(field *string, name string, value any, known []string) error {
	if img.Status != "" && img.Status != Queued && img.Status != Importing {
		return Errorf(ErrForbidden, "Attribute %s can be only replaced for a queued image.", name)
	}
	format, ok := value.(string)
	if value != nil && (!ok || !slices.Contains(known, format)) {
		return wrongType(name, "null or one of "+strings.Join(known, ", "))
	}
	*field = format
	return nil
}

func setTags(img *Image, value any) error {
	list, ok := value.([]any)
	if !ok {
		return wrongType("tags", "an array of strings")
	}
	tags := make([]string, 0, len(list))
	for _, v := range list {
		tag, ok := v.(string)
		if !ok {
			return wrongType("tags", "an array of strings")
		}
		if err := CheckTag(tag); err != nil {
			return err
		}
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	img.Tags = slices.Compact(tags)
	return nil
}

func setBool(field *bool, name string, value any) error {
	b, ok := value.(bool)
	if !ok {
		return wrongType(name, "true or false")
	}
	*field = b
	return nil
}

func setInteger(field *int64, name string, value any) error {
	number, ok := value.(json.Number)
	if !ok {
		return wrongType(name, "an integer")
	}
	n, err := strconv.ParseFloat(number.String(), 64) // 1.0 is an integer to JSON; a float holds all of them up to MaxInteger
	if err != nil || n < 0 || n > MaxInteger || n != math.Trunc(n) {
		return wrongType(name, "an integer from 0 to "+strconv.Itoa(MaxInteger))
	}
	*field = int64(n)
	return nil
}

func wrongType(field, want string) error {
	return Errorf(ErrInvalid, "Invalid value for field '%s': it must be %s", field, want)
}

// Creation splits the fields of an image to be made into its id, "" when none is chosen, and everything else in a fixed order.
// Error: ErrInvalid.
func Creation(fields map[string]any) (id ID, edits []Edit, err error) {
	if chosen, have := fields["id"]; have {
		text, _ := chosen.(string)
		var ok bool
		if id, ok = ParseID(text); !ok {
			return "", nil, Errorf(ErrInvalid, "Invalid value for field 'id': it must be a UUID")
		}
	}
	edits = make([]Edit, 0, len(fields))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if name != "id" {
			edits = append(edits, Edit{Op: EditAdd, Name: name, Value: fields[name]})
		}
	}
	return id, edits, nil
}
