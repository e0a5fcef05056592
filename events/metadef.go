package events

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadef"
)

type namespacePayload struct {
	Namespace    string           `json:"namespace"`
	NamespaceOld string           `json:"namespace_old"`
	DisplayName  *string          `json:"display_name"`
	Protected    bool             `json:"protected"`
	Visibility   image.Visibility `json:"visibility"`
	Owner        *string          `json:"owner"`
	Description  *string          `json:"description"`
	CreatedAt    string           `json:"created_at"`
	UpdatedAt    string           `json:"updated_at"`
	deletion
}

// ForNamespace tells of a namespace. Here and below old is the name before a renaming, "" when there was none.
func ForNamespace(name Name, ns *metadef.Namespace, old string, at time.Time) Event {
	return Event{name, InfoPriority, at, &namespacePayload{ns.Name, cmp.Or(old, ns.Name), clone(ns.DisplayName), ns.Protected, ns.Visibility,
		nullable(ns.Owner), clone(ns.Description), timeText(ns.CreatedAt), timeText(ns.UpdatedAt), deletedBy(name, at)}}
}

func clone(s *string) *string {
	if s == nil {
		return nil
	}
	c := *s
	return &c
}

// schemaPayload is what is told of a property's schema. The values are JSON and never changed once they were read.
type schemaPayload struct {
	Type            any `json:"type"`
	Title           any `json:"title"`
	Description     any `json:"description"`
	Default         any `json:"default"`
	Minimum         any `json:"minimum"`
	Maximum         any `json:"maximum"`
	Enum            any `json:"enum"`
	Pattern         any `json:"pattern"`
	MinLength       any `json:"minLength"`
	MaxLength       any `json:"maxLength"`
	Confidential    any `json:"confidential"`
	Items           any `json:"items"`
	UniqueItems     any `json:"uniqueItems"`
	MinItems        any `json:"minItems"`
	MaxItems        any `json:"maxItems"`
	AdditionalItems any `json:"additionalItems"`
}

func describeSchema(s metadef.Schema) schemaPayload {
	return schemaPayload{s["type"], s["title"], s["description"], s["default"], s["minimum"], s["maximum"], s["enum"], s["pattern"],
		s["minLength"], s["maxLength"], s["confidential"], s["items"], s["uniqueItems"], s["minItems"], s["maxItems"], s["additionalItems"]}
}

type objectProperty struct {
	Name string `json:"name"`
	schemaPayload
}

type objectPayload struct {
	Namespace   string           `json:"namespace"`
	Name        string           `json:"name"`
	NameOld     string           `json:"name_old"`
	Properties  []objectProperty `json:"properties"`
	Required    []string         `json:"required"`
	Description *string          `json:"description"`
	CreatedAt   string           `json:"created_at"`
	UpdatedAt   string           `json:"updated_at"`
	deletion
}

// ForObject tells of an object that a namespace defines.
func ForObject(name Name, namespace string, o *metadef.Object, old string, at time.Time) Event {
	p := &objectPayload{namespace, o.Name, cmp.Or(old, o.Name), []objectProperty{}, append([]string{}, o.Required...), clone(o.Description),
		timeText(o.CreatedAt), timeText(o.UpdatedAt), deletedBy(name, at)}
	for _, property := range slices.Sorted(maps.Keys(o.Properties)) {
		p.Properties = append(p.Properties, objectProperty{property, describeSchema(o.Properties[property])})
	}
	return Event{name, InfoPriority, at, p}
}

type propertyPayload struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	NameOld   string `json:"name_old"`
	schemaPayload
	deletion
}

// ForProperty tells of a property that a namespace defines.
func ForProperty(name Name, namespace string, p *metadef.Property, old string, at time.Time) Event {
	return Event{name, InfoPriority, at, &propertyPayload{namespace, p.Name, cmp.Or(old, p.Name), describeSchema(p.Schema), deletedBy(name, at)}}
}

type tagPayload struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	NameOld   string `json:"name_old"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
	deletion
}

// ForTag tells of a tag that a namespace defines.
func ForTag(name Name, namespace string, tag metadef.Tag, old string, at time.Time) Event {
	return Event{name, InfoPriority, at, &tagPayload{namespace, tag.Name, cmp.Or(old, tag.Name), timeText(tag.CreatedAt), timeText(tag.UpdatedAt), deletedBy(name, at)}}
}

type resourceTypePayload struct {
	Namespace        string  `json:"namespace"`
	Name             string  `json:"name"`
	NameOld          string  `json:"name_old"`
	Prefix           *string `json:"prefix"`
	PropertiesTarget *string `json:"properties_target"`
	CreatedAt        string  `json:"created_at"`
	UpdatedAt        string  `json:"updated_at"`
	deletion
}

// ForResourceType tells that a namespace is about a resource type.
func ForResourceType(name Name, namespace string, a metadef.Association, at time.Time) Event {
	return Event{name, InfoPriority, at, &resourceTypePayload{namespace, a.ResourceType, a.ResourceType, nullable(a.Prefix), clone(a.PropertiesTarget),
		timeText(a.CreatedAt), timeText(a.UpdatedAt), deletedBy(name, at)}}
}
