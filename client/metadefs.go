package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/metadef"
)

// answers reads what servers show, newer ones too.
var answers = wire.MetadefParser{Lenient: true}

// metadefPath is a path below the namespaces.
func metadefPath(elements ...string) []string {
	return append([]string{"v2", "metadefs", "namespaces"}, elements...)
}

// metadefCall sends a document, unless it is nil, and reads the one that the server answers with.
func metadefCall[T any](ctx context.Context, c *Client, r request, doc any, parse func(any) (T, error)) (answer T, err error) {
	if doc != nil {
		if r.body, err = json.Marshal(doc); err != nil {
			return answer, fmt.Errorf("request to %s: %w", c.endpoint, err)
		}
		if r.header == nil {
			r.header = make(map[string]string)
		}
		r.header["Content-Type"] = "application/json"
	}
	text, err := c.call(ctx, r)
	if err != nil {
		return answer, err
	}
	value, err := wire.ReadMetadef(text)
	if err == nil {
		answer, err = parse(value)
	}
	if err != nil {
		return answer, fmt.Errorf("the answer of %s: %v", c.endpoint, err) // not the kind of what was wrong with a request
	}
	return answer, nil
}

func (c *Client) metadefDelete(ctx context.Context, elements ...string) error {
	_, err := c.call(ctx, request{method: http.MethodDelete, path: metadefPath(elements...)})
	return err
}

func get(elements ...string) request {
	return request{method: http.MethodGet, path: metadefPath(elements...), repeat: true}
}

func post(elements ...string) request {
	return request{method: http.MethodPost, path: metadefPath(elements...)}
}

func put(elements ...string) request {
	return request{method: http.MethodPut, path: metadefPath(elements...)}
}

// Namespaces returns a page of namespaces, each with its associations only, and the marker of the next page, "" after the
// last one. q.Caller is not used; a Limit below 1 leaves the size of the page to the server.
// Errors: image.ErrInvalid, image.ErrNotFound for an unknown marker.
func (c *Client) Namespaces(ctx context.Context, q metadef.Query) (page []metadef.Document, next string, err error) {
	r := get()
	r.query = pageValues(q.Limit, q.Marker, q.Sort, q.Asc)
	if q.Visibility != "" {
		r.query.Set("visibility", string(q.Visibility))
	}
	if len(q.ResourceTypes) > 0 {
		r.query.Set("resource_types", strings.Join(q.ResourceTypes, ","))
	}
	more := false
	page, err = metadefCall(ctx, c, r, nil, func(value any) (page []metadef.Document, err error) {
		page, more, err = answers.Namespaces(value)
		return page, err
	})
	if more && len(page) > 0 {
		next = page[len(page)-1].Namespace.Name
	}
	return page, next, err
}

func pageValues(limit int, marker, sort string, asc bool) url.Values {
	v := make(url.Values)
	if limit > 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	if marker != "" {
		v.Set("marker", marker)
	}
	if sort != "" {
		v.Set("sort_key", sort)
	}
	if asc {
		v.Set("sort_dir", "asc")
	}
	return v
}

func onType(r request, resourceType string) request {
	if resourceType != "" {
		r.query = url.Values{"resource_type": {resourceType}}
	}
	return r
}

// Namespace returns a namespace with all that belongs to it. With a resource type the properties are named as on things
// of that type. Errors: image.ErrNotFound.
func (c *Client) Namespace(ctx context.Context, name, resourceType string) (metadef.Document, error) {
	return metadefCall(ctx, c, onType(get(name), resourceType), nil, answers.Namespace)
}

// CreateNamespace makes a namespace with all that the document has, or nothing of it. Errors: image.ErrInvalid,
// image.ErrForbidden, image.ErrConflict for a name that is taken.
func (c *Client) CreateNamespace(ctx context.Context, d metadef.Document) (metadef.Document, error) {
	if err := d.Check(); err != nil {
		return d, err
	}
	doc := wire.DefinitionFile(d)
	doc.Owner = d.Namespace.Owner
	return metadefCall(ctx, c, post(), doc, answers.Namespace)
}

// SaveNamespace writes every field of n over the namespace of that name, which it may rename; what belongs to it stays.
// Errors: image.ErrNotFound, image.ErrForbidden, image.ErrInvalid, image.ErrConflict.
func (c *Client) SaveNamespace(ctx context.Context, name string, n metadef.Namespace) (metadef.Namespace, error) {
	if err := n.Check(); err != nil {
		return n, err
	}
	doc := wire.DefinitionFile(metadef.Document{Namespace: n})
	doc.Owner = n.Owner
	d, err := metadefCall(ctx, c, put(name), doc, answers.Namespace)
	return d.Namespace, err
}

// DeleteNamespace deletes a namespace with all that belongs to it. Errors: image.ErrNotFound, image.ErrForbidden when it
// is protected.
func (c *Client) DeleteNamespace(ctx context.Context, name string) error {
	return c.metadefDelete(ctx, name)
}

// ResourceTypes returns the resource types that namespaces are, or were, about.
func (c *Client) ResourceTypes(ctx context.Context) ([]metadef.ResourceType, error) {
	r := request{method: http.MethodGet, path: []string{"v2", "metadefs", "resource_types"}, repeat: true}
	return metadefCall(ctx, c, r, nil, answers.ResourceTypes)
}

// Associations returns what a namespace is about.
func (c *Client) Associations(ctx context.Context, namespace string) ([]metadef.Association, error) {
	return metadefCall(ctx, c, get(namespace, "resource_types"), nil, answers.Associations)
}

// AddAssociation says that a namespace is about a resource type. Errors: image.ErrConflict when it is already.
func (c *Client) AddAssociation(ctx context.Context, namespace string, a metadef.Association) (metadef.Association, error) {
	if err := a.Check(); err != nil {
		return a, err
	}
	doc := wire.Association{Name: a.ResourceType, Prefix: a.Prefix, PropertiesTarget: a.PropertiesTarget}
	return metadefCall(ctx, c, post(namespace, "resource_types"), doc, answers.Association)
}

// RemoveAssociation takes that back. Errors: image.ErrNotFound, image.ErrForbidden when the namespace is protected.
func (c *Client) RemoveAssociation(ctx context.Context, namespace, resourceType string) error {
	return c.metadefDelete(ctx, namespace, "resource_types", resourceType)
}

// Properties returns the properties of a namespace.
func (c *Client) Properties(ctx context.Context, namespace string) ([]metadef.Property, error) {
	return metadefCall(ctx, c, get(namespace, "properties"), nil, answers.Properties)
}

// Property returns one property. With a resource type, name is that on things of that type.
func (c *Client) Property(ctx context.Context, namespace, name, resourceType string) (metadef.Property, error) {
	return metadefCall(ctx, c, onType(get(namespace, "properties", name), resourceType), nil, answers.Property)
}

// CreateProperty adds a property.
func (c *Client) CreateProperty(ctx context.Context, namespace string, p metadef.Property) (metadef.Property, error) {
	return c.sendProperty(ctx, post(namespace, "properties"), p)
}

// SaveProperty writes p over the property of that name, which it may rename.
func (c *Client) SaveProperty(ctx context.Context, namespace, name string, p metadef.Property) (metadef.Property, error) {
	return c.sendProperty(ctx, put(namespace, "properties", name), p)
}

func (c *Client) sendProperty(ctx context.Context, r request, p metadef.Property) (metadef.Property, error) {
	if err := p.Check(); err != nil {
		return p, err
	}
	return metadefCall(ctx, c, r, wire.PropertyOf(p), answers.Property)
}

// DeleteProperty deletes a property. Errors: image.ErrNotFound, image.ErrForbidden when the namespace is protected.
func (c *Client) DeleteProperty(ctx context.Context, namespace, name string) error {
	return c.metadefDelete(ctx, namespace, "properties", name)
}

// DeleteProperties deletes all properties of a namespace. Errors: those of DeleteProperty.
func (c *Client) DeleteProperties(ctx context.Context, namespace string) error {
	return c.metadefDelete(ctx, namespace, "properties")
}

// Objects returns the objects of a namespace.
func (c *Client) Objects(ctx context.Context, namespace string) ([]metadef.Object, error) {
	return metadefCall(ctx, c, get(namespace, "objects"), nil, answers.Objects)
}

// Object returns one object.
func (c *Client) Object(ctx context.Context, namespace, name string) (metadef.Object, error) {
	return metadefCall(ctx, c, get(namespace, "objects", name), nil, answers.Object)
}

// CreateObject adds an object.
func (c *Client) CreateObject(ctx context.Context, namespace string, o metadef.Object) (metadef.Object, error) {
	return c.sendObject(ctx, post(namespace, "objects"), o)
}

// SaveObject writes o over the object of that name, which it may rename.
func (c *Client) SaveObject(ctx context.Context, namespace, name string, o metadef.Object) (metadef.Object, error) {
	return c.sendObject(ctx, put(namespace, "objects", name), o)
}

func (c *Client) sendObject(ctx context.Context, r request, o metadef.Object) (metadef.Object, error) {
	if err := o.Check(); err != nil {
		return o, err
	}
	doc := wire.Object{Name: o.Name, Description: o.Description, Required: o.Required, Properties: o.Properties}
	return metadefCall(ctx, c, r, doc, answers.Object)
}

// DeleteObject deletes an object. Errors: image.ErrNotFound, image.ErrForbidden when the namespace is protected.
func (c *Client) DeleteObject(ctx context.Context, namespace, name string) error {
	return c.metadefDelete(ctx, namespace, "objects", name)
}

// DeleteObjects deletes all objects of a namespace. Errors: those of DeleteObject.
func (c *Client) DeleteObjects(ctx context.Context, namespace string) error {
	return c.metadefDelete(ctx, namespace, "objects")
}

// Tags returns tags of a namespace, of which only the names are set; a Limit below 1 gives all.
// Errors: image.ErrInvalid, image.ErrNotFound also for an unknown marker.
func (c *Client) Tags(ctx context.Context, namespace string, q metadef.TagQuery) ([]metadef.Tag, error) {
	r := get(namespace, "tags")
	r.query = pageValues(q.Limit, q.Marker, q.Sort, q.Asc)
	return metadefCall(ctx, c, r, nil, answers.Tags)
}

// Tag returns one tag.
func (c *Client) Tag(ctx context.Context, namespace, name string) (metadef.Tag, error) {
	return metadefCall(ctx, c, get(namespace, "tags", name), nil, answers.Tag)
}

// CreateTag adds a tag. Errors: image.ErrConflict when it is there.
func (c *Client) CreateTag(ctx context.Context, namespace, name string) (metadef.Tag, error) {
	return metadefCall(ctx, c, post(namespace, "tags", name), nil, answers.Tag)
}

// SetTags replaces the tags of a namespace by others, or adds them to the tags that there are; then it is an error if one
// of them is there. It returns the new ones.
func (c *Client) SetTags(ctx context.Context, namespace string, names []string, add bool) ([]metadef.Tag, error) {
	tags := make([]metadef.Tag, len(names))
	for i, name := range names {
		tags[i].Name = name
	}
	if err := metadef.CheckTags(tags); err != nil {
		return nil, err
	}
	r := post(namespace, "tags")
	if add {
		r.header = map[string]string{"X-Openstack-Append": "True"}
	}
	return metadefCall(ctx, c, r, wire.Tags{Tags: wire.TagNames(tags)}, answers.Tags)
}

// SaveTag gives a tag another name.
func (c *Client) SaveTag(ctx context.Context, namespace, name, newName string) (metadef.Tag, error) {
	t := metadef.Tag{Name: newName}
	if err := t.Check(); err != nil {
		return t, err
	}
	return metadefCall(ctx, c, put(namespace, "tags", name), wire.Tag{Name: newName}, answers.Tag)
}

// DeleteTag deletes a tag. Errors: image.ErrNotFound, image.ErrForbidden when the namespace is protected.
func (c *Client) DeleteTag(ctx context.Context, namespace, name string) error {
	return c.metadefDelete(ctx, namespace, "tags", name)
}

// DeleteTags deletes all tags of a namespace. Errors: those of DeleteTag.
func (c *Client) DeleteTags(ctx context.Context, namespace string) error {
	return c.metadefDelete(ctx, namespace, "tags")
}
