package api

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// maxListed is how many values an in: may list.
const maxListed = 1000

// filterFields says how the value of a base field is read. Every other name is that of a property.
var filterFields = map[image.Field]func(image.Field, string) (image.Filter, error){
	image.FieldID:              oneOf,
	image.FieldName:            oneOf,
	image.FieldStatus:          oneOf,
	image.FieldContainerFormat: oneOf,
	image.FieldDiskFormat:      oneOf,
	image.FieldCreatedAt:       atTime,
	image.FieldUpdatedAt:       atTime,
	image.FieldOwner:           equalText,
	image.FieldChecksum:        equalText,
	image.FieldHashAlgo:        equalText,
	image.FieldHashValue:       equalText,
	image.FieldProtected:       equalBool,
	image.FieldSize:            equalInt,
	image.FieldVirtualSize:     equalInt,
	image.FieldMinDisk:         equalInt,
	image.FieldMinRAM:          equalInt,
}

// parseFilter reads one filter of a list.
func parseFilter(p parameter) (image.Filter, error) {
	if parse, ok := filterFields[image.Field(p.key)]; ok {
		return parse(image.Field(p.key), p.value)
	}
	for suffix, op := range map[string]image.Op{"_min": image.OpAtLeast, "_max": image.OpAtMost} {
		name, ok := strings.CutSuffix(p.key, suffix)
		if field := image.Field(name); ok && slices.Contains(image.IntegerFields(), field) {
			f, err := equalInt(field, p.value)
			f.Op = op
			return f, err
		}
	}
	if p.key == "" {
		return image.Filter{}, image.Errorf(image.ErrInvalid, "The filter for %q has no name.", p.value)
	}
	return image.Filter{Property: p.key, Op: image.OpEqual, Strings: []string{p.value}}, nil
}

func equalText(field image.Field, value string) (image.Filter, error) {
	return image.Filter{Field: field, Op: image.OpEqual, Strings: []string{value}}, nil
}

func equalInt(field image.Field, value string) (image.Filter, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	if err != nil {
		return image.Filter{}, image.Errorf(image.ErrInvalid, "Unable to filter by %s: %q is not an integer.", field, value)
	}
	return image.Filter{Field: field, Op: image.OpEqual, Int: n}, nil
}

func equalBool(field image.Field, value string) (image.Filter, error) {
	b, err := parseBool(parameter{string(field), value})
	return image.Filter{Field: field, Op: image.OpEqual, Bool: b}, err
}

// parseBool reads true and false as they are written in JSON.
func parseBool(p parameter) (bool, error) {
	if p.value != "true" && p.value != "false" {
		return false, image.Errorf(image.ErrInvalid, "Invalid value %q for %s: it must be true or false.", p.value, p.key)
	}
	return p.value == "true", nil
}

// oneOf reads a value, or in: and several. A value that looks like another operator needs eq: before it.
func oneOf(field image.Field, value string) (image.Filter, error) {
	op, rest := splitOperator(value)
	f := image.Filter{Field: field, Op: op, Strings: []string{rest}}
	switch op {
	case image.OpEqual:
	case image.OpIn:
		var err error
		if f.Strings, err = splitList(rest); err != nil {
			return image.Filter{}, err
		}
	default:
		return image.Filter{}, image.Errorf(image.ErrInvalid, "Unable to filter by unknown operator '%s' for %s.", op, field)
	}
	if field == image.FieldID {
		for i, text := range f.Strings {
			if id, ok := image.ParseID(text); ok {
				f.Strings[i] = string(id)
			}
		}
	}
	return f, nil
}

// splitOperator cuts an operator off a value. Other words before a colon are part of the value: names have colons.
func splitOperator(value string) (image.Op, string) {
	word, rest, found := strings.Cut(value, ":")
	switch op := image.Op(word); op {
	case image.OpEqual, image.OpNotEqual, image.OpGreater, image.OpAtLeast, image.OpLess, image.OpAtMost, image.OpIn:
		if found {
			return op, rest
		}
	}
	return image.OpEqual, value
}

// splitList splits values at commas. One in double quotes may hold commas, and quotes and backslashes after a backslash.
func splitList(list string) ([]string, error) {
	var values []string
	for rest, more := list, true; more; {
		var value string
		var err error
		if strings.HasPrefix(rest, `"`) {
			value, rest, more, err = cutQuoted(rest[1:])
		} else {
			value, rest, more = strings.Cut(rest, ",")
			if strings.Contains(value, `"`) {
				err = badQuotes("There is no comma before opening quotation mark.")
			}
		}
		if err != nil {
			return nil, err
		}
		if values = append(values, value); len(values) > maxListed {
			return nil, image.Errorf(image.ErrInvalid, "A filter takes at most %d values.", maxListed)
		}
	}
	return values, nil
}

// cutQuoted reads up to the closing quotation mark and the comma behind it; more says whether there was one.
func cutQuoted(s string) (value, rest string, more bool, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
			rest, more = strings.CutPrefix(s[i+1:], ",")
			if !more && rest != "" {
				return "", "", false, badQuotes("There is no comma after closing quotation mark.")
			}
			return b.String(), rest, more, nil
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false, badQuotes("The quote is not closed.")
}

func badQuotes(why string) error {
	return image.Errorf(image.ErrInvalid, "Invalid filter value: %s", why)
}

// timeLayouts are the ways to write a time. One without a zone is in UTC.
var timeLayouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "20060102T150405Z0700", "20060102T150405", "2006-01-02", "20060102",
	"2006-01", "2006"}

// atTime reads a time with an operator before it.
func atTime(field image.Field, value string) (image.Filter, error) {
	op, text := splitOperator(value)
	if op == image.OpIn {
		return image.Filter{}, image.Errorf(image.ErrInvalid, "Unable to filter by unknown operator '%s' for %s.", op, field)
	}
	if strings.Contains(text, "T") {
		text = strings.Replace(text, " ", "+", 1) // the sign of a zone, not escaped in the query
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return image.Filter{Field: field, Op: op, Time: t.UTC().Truncate(time.Second)}, nil
		}
	}
	return image.Filter{}, image.Errorf(image.ErrInvalid, "Unable to filter by %s: %q is no time in ISO 8601.", field, text)
}
