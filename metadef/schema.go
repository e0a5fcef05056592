package metadef

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/image"
)

// A Schema says what values a property takes, in the words of JSON Schema: a decoded JSON object, with numbers as
// json.Number.
type Schema map[string]any

// Types are the values of a schema's type.
var Types = []string{"array", "boolean", "integer", "number", "object", "string"}

// keywords are what a schema may say, and what the values must be; those without which it says nothing are required.
var keywords = map[string]func(value any) string{
	"title":           isText,
	"type":            isOneOf(Types...),
	"description":     isText,
	"operators":       isTexts,
	"default":         isAnything,
	"readonly":        isBoolean,
	"minimum":         isNumber,
	"maximum":         isNumber,
	"minLength":       isCount,
	"maxLength":       isCount,
	"pattern":         isText,
	"enum":            isTexts,
	"items":           isItems,
	"uniqueItems":     isBoolean,
	"additionalItems": isBoolean,
	"minItems":        isCount,
	"maxItems":        isCount,
	"confidential":    isBoolean,
}

var required = []string{"title", "type"}

// Check refuses a schema that says something else than a property's schema can, and names the property.
// Errors: image.ErrInvalid.
func (s Schema) Check(property string) error {
	for _, word := range required {
		if _, ok := s[word]; !ok {
			return image.Errorf(image.ErrInvalid, "The property '%s' has no '%s', which is required", property, word)
		}
	}
	for _, word := range slices.Sorted(maps.Keys(s)) {
		want, known := keywords[word]
		if !known {
			return image.Errorf(image.ErrInvalid, "The property '%s' has '%s', which is not known (of: %s)", property, word,
				strings.Join(slices.Sorted(maps.Keys(keywords)), ", "))
		}
		if wrong := want(s[word]); wrong != "" {
			return image.Errorf(image.ErrInvalid, "Invalid value for '%s' of the property '%s': it must be %s", word, property, wrong)
		}
	}
	return nil
}

// The checks return what the value should have been, "" if it is.

func isAnything(any) string { return "" }

func isText(v any) string {
	s, ok := v.(string)
	if !ok || checkText("", s, maxText) != nil {
		return "a string"
	}
	return ""
}

func isOneOf(values ...string) func(any) string {
	known := oneOf(values...)
	return func(v any) string {
		if s, ok := v.(string); !ok || !known(s) {
			return "one of " + strings.Join(values, ", ")
		}
		return ""
	}
}

func isTexts(v any) string {
	list, ok := v.([]any)
	if !ok || slices.ContainsFunc(list, func(e any) bool { return isText(e) != "" }) {
		return "an array of strings"
	}
	return ""
}

func isBoolean(v any) string {
	if _, ok := v.(bool); !ok {
		return "true or false"
	}
	return ""
}

func isNumber(v any) string {
	if _, ok := v.(json.Number); !ok {
		return "a number"
	}
	return ""
}

func isCount(v any) string {
	number, ok := v.(json.Number)
	if n, err := number.Int64(); !ok || err != nil || n < 0 {
		return "a whole number, 0 or more"
	}
	return ""
}

// isItems checks what the elements of an array are.
func isItems(v any) string {
	const want = "an object with 'type' and perhaps 'enum'"
	items, ok := v.(map[string]any)
	if !ok {
		return want
	}
	for word, value := range items {
		switch word {
		case "type":
			if wrong := isOneOf(Types...)(value); wrong != "" {
				return want
			}
		case "enum":
			if isTexts(value) != "" {
				return want
			}
		default:
			return want
		}
	}
	return ""
}
