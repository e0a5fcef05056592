package wire

import (
	"net/url"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadef"
)

// Paths of metadata definitions.
const (
	NamespacesPath    = "/v2/metadefs/namespaces"
	ResourceTypesPath = "/v2/metadefs/resource_types"
	MetadefSchemas    = "/v2/schemas/metadefs/" // and the name of a document
)

// A Namespace is the document of a namespace, and what a file of definitions holds.
type Namespace struct {
	Namespace    string                    `json:"namespace"`
	DisplayName  *string                   `json:"display_name,omitempty"`
	Description  *string                   `json:"description,omitempty"`
	Visibility   image.Visibility          `json:"visibility"`
	Protected    bool                      `json:"protected"`
	Owner        string                    `json:"owner,omitempty"`
	Associations []Association             `json:"resource_type_associations,omitempty"`
	Properties   map[string]metadef.Schema `json:"properties,omitempty"`
	Objects      []Object                  `json:"objects,omitempty"`
	Tags         []Tag                     `json:"tags,omitempty"`
	times
	links
}

// An Association is the document of an association of a namespace with a resource type.
type Association struct {
	Name             string  `json:"name"`
	Prefix           string  `json:"prefix,omitempty"`
	PropertiesTarget *string `json:"properties_target,omitempty"`
	times
}

// A ResourceType is the document of a resource type.
type ResourceType struct {
	Name string `json:"name"`
	times
}

// An Object is the document of an object.
type Object struct {
	Name        string                    `json:"name"`
	Description *string                   `json:"description,omitempty"`
	Required    []string                  `json:"required,omitempty"`
	Properties  map[string]metadef.Schema `json:"properties,omitempty"`
	times
	links
}

// A Tag is the document of a tag. Lists show the name only.
type Tag struct {
	Name string `json:"name"`
	times
}

type times struct {
	CreatedAt string `json:"created_at,omitempty"`
	UpdatedAt string `json:"updated_at,omitempty"`
}

type links struct {
	Self   string `json:"self,omitempty"`
	Schema string `json:"schema,omitempty"`
}

// The lists of metadata definitions.
type (
	// Namespaces is a page. Next is empty on the last one.
	Namespaces struct {
		Namespaces []Namespace `json:"namespaces"`
		First      string      `json:"first"`
		Next       string      `json:"next,omitempty"`
		Schema     string      `json:"schema"`
	}
	ResourceTypes struct {
		ResourceTypes []ResourceType `json:"resource_types"`
	}
	Associations struct {
		Associations []Association `json:"resource_type_associations"`
	}
	Properties struct {
		Properties map[string]metadef.Schema `json:"properties"`
	}
	Objects struct {
		Objects []Object `json:"objects"`
		Schema  string   `json:"schema"`
	}
	Tags struct {
		Tags []Tag `json:"tags"`
	}
)

// DefinitionFile returns the document of a namespace as a file has it: without what a server adds, and without an owner,
// who is the one that loads it.
func DefinitionFile(d metadef.Document) Namespace {
	doc := Namespace{Namespace: d.Namespace.Name, DisplayName: d.Namespace.DisplayName, Description: d.Namespace.Description,
		Visibility: d.Namespace.Visibility, Protected: d.Namespace.Protected}
	for _, a := range d.Associations {
		doc.Associations = append(doc.Associations, Association{Name: a.ResourceType, Prefix: a.Prefix, PropertiesTarget: a.PropertiesTarget})
	}
	doc.Properties = propertiesOf(d.Properties)
	for _, o := range d.Objects {
		doc.Objects = append(doc.Objects, Object{Name: o.Name, Description: o.Description, Required: o.Required, Properties: o.Properties})
	}
	doc.Tags = TagNames(d.Tags)
	return doc
}

// NamespaceOf returns the document of a namespace.
func NamespaceOf(d metadef.Document) Namespace {
	doc := DefinitionFile(d)
	n := &d.Namespace
	doc.Owner = n.Owner
	doc.times = times{formatTime(n.CreatedAt), formatTime(n.UpdatedAt)}
	doc.links = links{NamespacePath(n.Name), MetadefSchemas + "namespace"}
	for i, a := range d.Associations {
		doc.Associations[i] = AssociationOf(a)
	}
	for i, o := range d.Objects {
		doc.Objects[i] = ObjectOf(n.Name, o)
	}
	return doc
}

// AssociationOf returns the document of an association.
func AssociationOf(a metadef.Association) Association {
	return Association{a.ResourceType, a.Prefix, a.PropertiesTarget, times{formatTime(a.CreatedAt), formatTime(a.UpdatedAt)}}
}

// ResourceTypeOf returns the document of a resource type.
func ResourceTypeOf(r metadef.ResourceType) ResourceType {
	return ResourceType{r.Name, times{formatTime(r.CreatedAt), formatTime(r.UpdatedAt)}}
}

// ObjectOf returns the document of an object of a namespace.
func ObjectOf(namespace string, o metadef.Object) Object {
	return Object{o.Name, o.Description, o.Required, o.Properties, times{formatTime(o.CreatedAt), formatTime(o.UpdatedAt)},
		links{NamespacePath(namespace) + "/objects/" + url.PathEscape(o.Name), MetadefSchemas + "object"}}
}

// TagOf returns the document of a tag.
func TagOf(t metadef.Tag) Tag {
	return Tag{t.Name, times{formatTime(t.CreatedAt), formatTime(t.UpdatedAt)}}
}

// TagNames returns tags as lists show them.
func TagNames(tags []metadef.Tag) []Tag {
	names := make([]Tag, len(tags))
	for i, t := range tags {
		names[i].Name = t.Name
	}
	return names
}

// PropertiesOf returns the document of a list of properties.
func PropertiesOf(list []metadef.Property) Properties {
	p := Properties{propertiesOf(list)}
	if p.Properties == nil {
		p.Properties = map[string]metadef.Schema{}
	}
	return p
}

func propertiesOf(list []metadef.Property) map[string]metadef.Schema {
	if len(list) == 0 {
		return nil
	}
	all := make(map[string]metadef.Schema, len(list))
	for _, p := range list {
		all[p.Name] = p.Schema
	}
	return all
}

// formatTime writes a time; the zero time is "".
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(TimeLayout)
}

// PropertyOf returns the document of one property: its schema, with the name.
func PropertyOf(p metadef.Property) map[string]any {
	doc := map[string]any{"name": p.Name}
	for word, value := range p.Schema {
		doc[word] = value
	}
	return doc
}

// NamespacePath returns the path of a namespace.
func NamespacePath(name string) string { return NamespacesPath + "/" + url.PathEscape(name) }
