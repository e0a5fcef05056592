package api

import (
	"math"
	"net/http"
	"strings"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/metadef"
)

func loadProperties(m metadefRequest) (any, error) {
	properties, err := m.session.Properties(m.Context(), m.namespace)
	return wire.PropertiesOf(properties), err
}

func loadProperty(m metadefRequest) (any, error) {
	resourceType, _ := m.query.last("resource_type")
	p, err := m.session.Property(m.Context(), m.namespace, m.name, resourceType)
	return wire.PropertyOf(p), err
}

func createProperty(m metadefRequest, p metadef.Property) (loader, error) {
	p, err := m.session.CreateProperty(m.Context(), m.namespace, p)
	return madeProperty(p), err
}

func saveProperty(m metadefRequest, p metadef.Property) (loader, error) {
	p, err := m.session.SaveProperty(m.Context(), m.namespace, m.name, p)
	return madeProperty(p), err
}

func madeProperty(p metadef.Property) loader {
	name := p.Name
	brief := wire.PropertyOf(metadef.Property{Name: name, Schema: metadef.Schema{"type": p.Schema["type"], "title": ""}})
	return made(wire.PropertyOf(p), brief, func(m metadefRequest) (any, error) {
		p, err := m.session.Property(m.Context(), m.namespace, name, "")
		return wire.PropertyOf(p), err
	})
}

func deleteProperty(m metadefRequest) error {
	return m.session.DeleteProperty(m.Context(), m.namespace, m.name)
}

func deleteProperties(m metadefRequest) error {
	return m.session.DeleteProperties(m.Context(), m.namespace)
}

// loadObjects loads all objects: this list has no pages.
func loadObjects(m metadefRequest) (any, error) {
	objects, err := m.session.Objects(m.Context(), m.namespace)
	list := wire.Objects{Objects: make([]wire.Object, len(objects)), Schema: wire.MetadefSchemas + "objects"}
	for i, o := range objects {
		list.Objects[i] = wire.ObjectOf(m.namespace, o)
	}
	return list, err
}

func loadObject(m metadefRequest) (any, error) {
	o, err := m.session.Object(m.Context(), m.namespace, m.name)
	return wire.ObjectOf(m.namespace, o), err
}

func createObject(m metadefRequest, o metadef.Object) (loader, error) {
	o, err := m.session.CreateObject(m.Context(), m.namespace, o)
	return madeObject(m, o), err
}

func saveObject(m metadefRequest, o metadef.Object) (loader, error) {
	o, err := m.session.SaveObject(m.Context(), m.namespace, m.name, o)
	return madeObject(m, o), err
}

func madeObject(m metadefRequest, o metadef.Object) loader {
	name := o.Name
	brief := wire.ObjectOf(m.namespace, metadef.Object{Name: name, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt})
	return made(wire.ObjectOf(m.namespace, o), brief, func(m metadefRequest) (any, error) {
		o, err := m.session.Object(m.Context(), m.namespace, name)
		return wire.ObjectOf(m.namespace, o), err
	})
}

func deleteObject(m metadefRequest) error {
	return m.session.DeleteObject(m.Context(), m.namespace, m.name)
}

func deleteObjects(m metadefRequest) error {
	return m.session.DeleteObjects(m.Context(), m.namespace)
}

// loadTags loads the names of tags, all of them unless a limit is given.
func loadTags(m metadefRequest) (any, error) {
	q := metadef.TagQuery{}
	var err error
	if q.Limit, err = parseLimit(m.query, Limits{PageSize: math.MaxInt, MaxPage: math.MaxInt}); err != nil {
		return nil, err
	}
	if q.Asc, err = parseDirection(m.query); err != nil {
		return nil, err
	}
	q.Sort, _ = m.query.last("sort_key")
	q.Marker, _ = m.query.last("marker")
	tags, err := m.session.Tags(m.Context(), m.namespace, q)
	return wire.Tags{Tags: wire.TagNames(tags)}, err
}

func loadTag(m metadefRequest) (any, error) {
	t, err := m.session.Tag(m.Context(), m.namespace, m.name)
	return wire.TagOf(t), err
}

// createTag serves a POST without a body.
func (s *server) createTag(w http.ResponseWriter, r *http.Request) error {
	m, err := s.metadefRequest(w, r)
	if err != nil {
		return err
	}
	t, err := m.session.CreateTag(r.Context(), m.namespace, m.name)
	if err != nil {
		return err
	}
	return s.writeMetadef(w, m, http.StatusCreated, short(wire.TagOf(t)))
}

// setTags replaces all tags, or adds to them if the header says so. The answer has the tags that were sent, whatever
// others there are.
func setTags(m metadefRequest, tags []metadef.Tag) (loader, error) {
	names := make([]string, len(tags))
	for i, t := range tags {
		names[i] = t.Name
	}
	tags, err := m.session.SetTags(m.Context(), m.namespace, names, isTrue(m.Header.Get("X-Openstack-Append")))
	return short(wire.Tags{Tags: wire.TagNames(tags)}), err
}

// isTrue reads a header as other servers of this API do.
func isTrue(text string) bool {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "1", "t", "true", "on", "y", "yes":
		return true
	}
	return false
}

func saveTag(m metadefRequest, t metadef.Tag) (loader, error) {
	t, err := m.session.SaveTag(m.Context(), m.namespace, m.name, t.Name)
	return short(wire.TagOf(t)), err
}

func deleteTag(m metadefRequest) error { return m.session.DeleteTag(m.Context(), m.namespace, m.name) }

func deleteTags(m metadefRequest) error { return m.session.DeleteTags(m.Context(), m.namespace) }
