package client

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// queryValues writes a query as parameters of a list. Errors: image.ErrInvalid for what the API cannot express.
func queryValues(q image.Query) (url.Values, error) {
	v := make(url.Values)
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Marker != "" {
		v.Set("marker", string(q.Marker))
	}
	if q.Visibility != "" {
		v.Set("visibility", string(q.Visibility))
	}
	if q.MemberStatus != "" {
		v.Set("member_status", q.MemberStatus)
	}
	if q.Hidden {
		v.Set("os_hidden", "true")
	}
	if len(q.Tags) > 0 {
		v["tag"] = slices.Clone(q.Tags)
	}
	var sort []string
	for _, k := range q.Sort {
		direction := ":asc"
		if k.Desc {
			direction = ":desc"
		}
		sort = append(sort, string(k.Field)+direction)
	}
	if sort != nil {
		v.Set("sort", strings.Join(sort, ","))
	}
	for _, f := range q.Filters {
		name, value, err := filterValue(f)
		if err != nil {
			return nil, err
		}
		v.Add(name, value)
	}
	return v, nil
}

// operated fields take an operator before a colon, so that a plain value with a colon in it must be quoted.
var operated = []image.Field{image.FieldID, image.FieldName, image.FieldStatus, image.FieldContainerFormat, image.FieldDiskFormat}

// parameters have a meaning of their own in a list, or are refused there, so that no property of that name can be filtered by.
var parameters = []string{"limit", "marker", "sort", "sort_key", "sort_dir", "visibility", "member_status", "os_hidden",
	"tag", "deleted", "changes-since", "locations", "properties"}

func filterValue(f image.Filter) (name, value string, err error) {
	switch {
	case f.Property != "":
		if f.Op != image.OpEqual || len(f.Strings) != 1 {
			return "", "", image.Errorf(image.ErrInvalid, "A property can only be compared with one value: %s", f.Property)
		}
		if !isProperty(f.Property) {
			return "", "", image.Errorf(image.ErrInvalid, "Images cannot be listed by a property called %s", f.Property)
		}
		return f.Property, f.Strings[0], nil
	case f.Field == image.FieldCreatedAt, f.Field == image.FieldUpdatedAt:
		return string(f.Field), string(f.Op) + ":" + f.Time.UTC().Format(time.RFC3339), nil
	case f.Field == image.FieldProtected:
		return string(f.Field), strconv.FormatBool(f.Bool), nil
	case f.Op == image.OpIn && len(f.Strings) == 0:
		return "", "", image.Errorf(image.ErrInvalid, "A list of no values for %s finds nothing", f.Field)
	case f.Op == image.OpAtLeast:
		return string(f.Field) + "_min", strconv.FormatInt(f.Int, 10), nil
	case f.Op == image.OpAtMost:
		return string(f.Field) + "_max", strconv.FormatInt(f.Int, 10), nil
	case len(f.Strings) == 0:
		return string(f.Field), strconv.FormatInt(f.Int, 10), nil
	case f.Op == image.OpIn, slices.Contains(operated, f.Field) && strings.ContainsAny(f.Strings[0], `:",`):
		return string(f.Field), "in:" + quoteAll(f.Strings), nil
	}
	return string(f.Field), f.Strings[0], nil
}

// isProperty reports whether a list takes the name for that of a property.
func isProperty(name string) bool {
	for _, suffix := range []string{"_min", "_max"} {
		if field, ok := strings.CutSuffix(name, suffix); ok && slices.Contains(image.IntegerFields(), image.Field(field)) {
			return false
		}
	}
	return name != "" && !slices.Contains(parameters, name) && !slices.Contains(image.Fields(), image.Field(name))
}

// quoteAll writes a list of values, each in quotes, in which a backslash takes the meaning from what follows.
func quoteAll(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
	}
	return strings.Join(quoted, ",")
}
