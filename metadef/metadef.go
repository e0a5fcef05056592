// Package metadef holds metadata definitions: catalogs from which people and programs learn which properties images,
// volumes, flavors and the like may have, and what their values mean. It is types and rules without I/O; start reading
// at Document, which is one namespace with all that belongs to it.
package metadef

import (
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// A Namespace is a catalog. Names are unique without regard to the case of ASCII letters, here and below.
type Namespace struct {
	Number      int64 // given by the database, kept when it is renamed
	Name        string
	DisplayName *string // nil for none
	Description *string
	Visibility  image.Visibility // image.Public or image.Private
	Protected   bool             // refuses deletion, of what is in it too
	Owner       string           // project id, "" for nobody
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// A ResourceType is a kind of thing that definitions are about, such as OS::Glance::Image.
type ResourceType struct {
	Name      string
	Protected bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

// An Association says that the definitions of a namespace are about a resource type.
type Association struct {
	ResourceType     string
	Prefix           string  // of the properties' names on things of this type, "" for none
	PropertiesTarget *string // such as "image" for properties of volumes that are their images', nil for none
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

// A Property defines one property.
type Property struct {
	Name   string
	Schema Schema
}

// An Object is a group of properties that go together.
type Object struct {
	Name        string
	Description *string
	Required    []string // names of properties
	Properties  map[string]Schema
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// A Tag is a word that things may be tagged with.
type Tag struct {
	Name      string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// A Document is a namespace with all that belongs to it: what one definition file holds.
type Document struct {
	Namespace    Namespace
	Associations []Association
	Properties   []Property
	Objects      []Object
	Tags         []Tag
}

// A Query asks for a page of namespaces.
type Query struct {
	Caller        image.Caller     // decides what is visible: public namespaces and the project's own; all to an admin
	Visibility    image.Visibility // "" for both
	ResourceTypes []string         // a namespace must be about one of them, if there are any
	Sort          string           // one of SortFields, "" for created_at
	Asc           bool
	Limit         int    // at most this many; 0 gives none
	Marker        string // name of the namespace to start after; unknown or invisible: image.ErrNotFound
}

// SortFields are the fields by which namespaces and tags can be sorted; names break ties.
var SortFields = []string{"namespace", "display_name", "description", "visibility", "protected", "owner", "created_at", "updated_at"}

// TagSortFields are the fields by which tags can be sorted.
var TagSortFields = []string{"name", "created_at", "updated_at"}

// A TagQuery asks for a page of the tags of a namespace.
type TagQuery struct {
	Sort   string // one of TagSortFields, "" for created_at
	Asc    bool
	Limit  int    // at most this many; 0 gives none
	Marker string // start after this tag; unknown: image.ErrNotFound
}

// CanSee reports whether the caller may know of the namespace.
func (n *Namespace) CanSee(c image.Caller) bool {
	return n.Visibility == image.Public || !c.Anonymous && (c.IsAdmin() || n.Owner == "" || n.Owner == c.ProjectID)
}
