package metadef

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vitrine-image/vitrine/image"
)

// Limits of single values, in characters.
const (
	MaxName        = 80
	MaxDescription = 500 // of namespaces

	maxReference = 255   // owners, and names in objects
	maxText      = 65535 // everything else
)

// Check refuses what no namespace can be. Errors: image.ErrInvalid.
func (n *Namespace) Check() error {
	if err := checkName("namespace", n.Name, MaxName); err != nil {
		return err
	}
	if err := checkOptional("display_name", n.DisplayName, MaxName); err != nil {
		return err
	}
	if err := checkOptional("description", n.Description, MaxDescription); err != nil {
		return err
	}
	if err := checkText("owner", n.Owner, maxReference); err != nil {
		return err
	}
	if n.Visibility != image.Public && n.Visibility != image.Private {
		return image.Errorf(image.ErrInvalid, "Invalid value for 'visibility': it must be public or private")
	}
	return nil
}

// Check refuses what no association can be. Errors: image.ErrInvalid.
func (a *Association) Check() error {
	if err := checkName("name", a.ResourceType, MaxName); err != nil {
		return err
	}
	if err := checkText("prefix", a.Prefix, MaxName); err != nil {
		return err
	}
	return checkOptional("properties_target", a.PropertiesTarget, MaxName)
}

// Check refuses what no property can be. Errors: image.ErrInvalid.
func (p *Property) Check() error {
	if err := checkName("name", p.Name, MaxName); err != nil {
		return err
	}
	return p.Schema.Check(p.Name)
}

// Check refuses what no object can be. Errors: image.ErrInvalid.
func (o *Object) Check() error {
	if err := checkName("name", o.Name, MaxName); err != nil {
		return err
	}
	if err := checkOptional("description", o.Description, maxText); err != nil {
		return err
	}
	for _, name := range o.Required {
		if err := checkText("required", name, maxReference); err != nil {
			return err
		}
	}
	for name, schema := range o.Properties {
		if err := checkName("name of a property", name, maxReference); err != nil {
			return err
		}
		if err := schema.Check(name); err != nil {
			return err
		}
	}
	return nil
}

// Check refuses what no tag can be. Errors: image.ErrInvalid.
func (t *Tag) Check() error { return checkName("name", t.Name, MaxName) }

// Check refuses a document of which a part cannot be, or is there twice. Errors: image.ErrInvalid, image.ErrConflict.
func (d *Document) Check() error {
	if err := d.Namespace.Check(); err != nil {
		return err
	}
	if err := checkAll("resource type", d.Associations, (*Association).Check, func(a *Association) string { return a.ResourceType }); err != nil {
		return err
	}
	if err := checkAll("property", d.Properties, (*Property).Check, func(p *Property) string { return p.Name }); err != nil {
		return err
	}
	if err := checkAll("object", d.Objects, (*Object).Check, func(o *Object) string { return o.Name }); err != nil {
		return err
	}
	return CheckTags(d.Tags)
}

// CheckTags refuses tags that cannot be, or are there twice. Errors: image.ErrInvalid, image.ErrConflict.
func CheckTags(tags []Tag) error {
	return checkAll("tag", tags, (*Tag).Check, func(t *Tag) string { return t.Name })
}

func checkAll[T any](what string, list []T, check func(*T) error, name func(*T) string) error {
	seen := make(map[string]bool, len(list))
	for i := range list {
		if err := check(&list[i]); err != nil {
			return err
		}
		folded := FoldName(name(&list[i]))
		if seen[folded] {
			return image.Errorf(image.ErrConflict, "The %s %q is there twice", what, name(&list[i]))
		}
		seen[folded] = true
	}
	return nil
}

// FoldName returns what two names share that differ only in the case of ASCII letters.
func FoldName(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

func checkName(field, value string, limit int) error {
	if value == "" {
		return image.Errorf(image.ErrInvalid, "Invalid value for '%s': it may not be empty", field)
	}
	return checkText(field, value, limit)
}

func checkOptional(field string, value *string, limit int) error {
	if value == nil {
		return nil
	}
	return checkText(field, *value, limit)
}

func checkText(field, value string, limit int) error {
	switch {
	case !utf8.ValidString(value):
		return image.Errorf(image.ErrInvalid, "Invalid value for '%s': it is not valid UTF-8", field)
	case utf8.RuneCountInString(value) > limit:
		return image.Errorf(image.ErrInvalid, "Invalid value for '%s': it is longer than %d characters", field, limit)
	case strings.ContainsFunc(value, func(r rune) bool { return r > 0xffff }):
		return image.Errorf(image.ErrInvalid, "Invalid value for '%s': it contains a character of four bytes in UTF-8, which is not allowed", field)
	}
	return nil
}

func oneOf(values ...string) func(string) bool {
	return func(s string) bool { return slices.Contains(values, s) }
}
