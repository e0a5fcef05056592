package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/metadef"
)

func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func printNamespaces(w io.Writer, all []metadef.Document) error {
	rows := [][]string{{"NAMESPACE", "NAME", "VISIBILITY", "PROTECTED", "RESOURCE TYPES"}}
	for _, d := range all {
		var types []string
		for _, a := range d.Associations {
			types = append(types, a.ResourceType)
		}
		n := d.Namespace
		rows = append(rows, []string{n.Name, orDash(textOf(n.DisplayName)), string(n.Visibility), strconv.FormatBool(n.Protected), orDash(strings.Join(types, ", "))})
	}
	return writePrintable(w, rows)
}

// writePrintable writes a table of what strangers chose.
func writePrintable(w io.Writer, rows [][]string) error {
	for _, row := range rows {
		for i := range row {
			row[i] = printable(row[i])
		}
	}
	return writeTable(w, rows)
}

func printNamespace(w io.Writer, d metadef.Document) error {
	n := d.Namespace
	rows := [][]string{
		{"namespace", n.Name},
		{"name", orDash(textOf(n.DisplayName))},
		{"description", orDash(textOf(n.Description))},
		{"visibility", string(n.Visibility)},
		{"protected", strconv.FormatBool(n.Protected)},
		{"owner", orDash(n.Owner)},
		{"created", n.CreatedAt.Format(time.RFC3339)},
		{"updated", n.UpdatedAt.Format(time.RFC3339)},
	}
	for _, a := range d.Associations {
		rows = append(rows, []string{"resource type", associationText(a)})
	}
	for _, p := range d.Properties {
		rows = append(rows, []string{"property " + p.Name, schemaText(p.Schema)})
	}
	for _, o := range d.Objects {
		rows = append(rows, []string{"object " + o.Name, orDash(textOf(o.Description))})
		for _, name := range slices.Sorted(maps.Keys(o.Properties)) {
			rows = append(rows, []string{"  property " + name, schemaText(o.Properties[name])})
		}
	}
	if len(d.Tags) > 0 {
		var tags []string
		for _, t := range d.Tags {
			tags = append(tags, t.Name)
		}
		rows = append(rows, []string{"tags", strings.Join(tags, ", ")})
	}
	return writePrintable(w, rows)
}

func associationText(a metadef.Association) string {
	text := a.ResourceType
	if a.Prefix != "" {
		text += ", names begin with " + a.Prefix
	}
	if a.PropertiesTarget != nil {
		text += ", target " + *a.PropertiesTarget
	}
	return text
}

// schemaText says in a line what a property takes.
func schemaText(s metadef.Schema) string {
	text := fmt.Sprint(s["type"])
	if enum, ok := s["enum"].([]any); ok {
		var values []string
		for _, v := range enum {
			values = append(values, valueText(v))
		}
		text += " (" + strings.Join(values, ", ") + ")"
	}
	for _, word := range []string{"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "default"} {
		if v, ok := s[word]; ok {
			text += ", " + word + " " + valueText(v)
		}
	}
	if title, _ := s["title"].(string); title != "" {
		text += ": " + title
	}
	return text
}

// valueText writes a string as it is and everything else as JSON.
func valueText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
