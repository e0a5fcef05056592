package metadef

import (
	"slices"
	"time"
)

// Stamped returns the document with all of its times set to now: it is new.
func (d Document) Stamped(now time.Time) Document {
	d.Namespace.CreatedAt, d.Namespace.UpdatedAt = now, now
	d.Associations, d.Objects, d.Tags = slices.Clone(d.Associations), slices.Clone(d.Objects), slices.Clone(d.Tags)
	for i := range d.Associations {
		d.Associations[i].CreatedAt, d.Associations[i].UpdatedAt = now, now
	}
	for i := range d.Objects {
		d.Objects[i].CreatedAt, d.Objects[i].UpdatedAt = now, now
	}
	for i := range d.Tags {
		d.Tags[i].CreatedAt, d.Tags[i].UpdatedAt = now, now
	}
	return d
}

// Entries returns the properties, objects and tags for the database. Properties are as old as the namespace.
func (d *Document) Entries() []Entry {
	all := make([]Entry, 0, len(d.Properties)+len(d.Objects)+len(d.Tags))
	for i := range d.Properties {
		all = append(all, d.Properties[i].Entry(d.Namespace.CreatedAt))
	}
	for i := range d.Objects {
		all = append(all, d.Objects[i].Entry())
	}
	for i := range d.Tags {
		all = append(all, d.Tags[i].Entry())
	}
	return all
}

// AssociationWith returns the association with a resource type, nil if there is none.
func AssociationWith(all []Association, resourceType string) *Association {
	at := slices.IndexFunc(all, func(a Association) bool { return FoldName(a.ResourceType) == FoldName(resourceType) })
	if at < 0 {
		return nil
	}
	return &all[at]
}

// AddPrefix renames the properties, those of objects too, to what they are called on things of a resource type. It does
// nothing if the namespace is not about that type.
func (d *Document) AddPrefix(resourceType string) {
	a := AssociationWith(d.Associations, resourceType)
	if a == nil || a.Prefix == "" {
		return
	}
	for i := range d.Properties {
		d.Properties[i].Name = a.Prefix + d.Properties[i].Name
	}
	for i := range d.Objects {
		o := &d.Objects[i]
		for j := range o.Required {
			o.Required[j] = a.Prefix + o.Required[j]
		}
		renamed := make(map[string]Schema, len(o.Properties))
		for name, schema := range o.Properties {
			renamed[a.Prefix+name] = schema
		}
		o.Properties = renamed
	}
}
