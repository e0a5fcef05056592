package api

import (
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadef"
)

// A metadefRequest is a request about metadata definitions.
type metadefRequest struct {
	*http.Request
	session   Session
	namespace string // in the path, "" if there is none
	name      string // of what is in the namespace, "" if there is none
	query     parameters
	limits    Limits
	answer    http.Header
	baseURL   string
}

// A loader returns the document of an answer.
type loader func(metadefRequest) (any, error)

func (s *server) metadefRequest(w http.ResponseWriter, r *http.Request) (m metadefRequest, err error) {
	m = metadefRequest{Request: r, session: s.session(r), limits: s.cfg.Limits, answer: w.Header(), baseURL: s.baseURL(r)}
	if m.namespace, err = param(r, "namespace"); err != nil {
		return m, err
	}
	if m.name, err = param(r, "name"); err != nil {
		return m, err
	}
	m.query, err = parseQuery(r.URL.RawQuery)
	return m, err
}

// showMetadef answers with what load returns.
func showMetadef(load loader) handler {
	return func(s *server, w http.ResponseWriter, r *http.Request) error {
		m, err := s.metadefRequest(w, r)
		if err != nil {
			return err
		}
		return s.writeMetadef(w, m, http.StatusOK, load)
	}
}

func (s *server) writeMetadef(w http.ResponseWriter, m metadefRequest, code int, load loader) error {
	return s.writeDocument(w, m.Request, code, func() (document, error) {
		if m.Method == http.MethodGet { // what was done is not refused
			leave, err := s.enterLoading(m.Request, math.MaxInt)
			if err != nil {
				return document{}, err
			}
			defer leave()
		}
		doc, err := load(m)
		if err != nil {
			return document{}, err
		}
		return newDocument(func(dst []byte) []byte { return wire.Append(dst, doc) }), nil
	})
}

// deleteMetadef answers with nothing but the verb's success.
func deleteMetadef(verb func(metadefRequest) error) handler {
	return func(s *server, w http.ResponseWriter, r *http.Request) error {
		m, err := s.metadefRequest(w, r)
		if err != nil {
			return err
		}
		if err := verb(m); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// changeMetadef carries out a verb on the document that comes with the request. The verb returns what loads the answer.
func changeMetadef[T any](code int, parse func(wire.MetadefParser, any) (T, error), verb func(metadefRequest, T) (loader, error)) handler {
	return func(s *server, w http.ResponseWriter, r *http.Request) error {
		m, err := s.metadefRequest(w, r)
		if err != nil {
			return err
		}
		value, room, err := s.readJSON(r)
		defer room.release()
		if err != nil {
			return err
		}
		if err := checkReadOnly(value); err != nil {
			return err
		}
		sent, err := parse(wire.MetadefParser{}, value)
		if err != nil {
			return err
		}
		load, err := verb(m, sent)
		if err != nil {
			return err
		}
		room.release() // before the answer waits for the client
		return s.writeMetadef(w, m, code, load)
	}
}

// made answers with the document of what was made. Those who must wait for room to answer hold no more than a brief one
// meanwhile: it is loaded again then. If that fails the brief one has to do, since a refusal would say that nothing was made.
func made(doc, brief any, again loader) loader {
	return func(m metadefRequest) (any, error) {
		if first := doc; first != nil {
			doc = nil
			return first, nil
		}
		if loaded, err := again(m); err == nil {
			return loaded, nil
		}
		return brief, nil
	}
}

// short answers with a document that needs no room.
func short(doc any) loader { return func(metadefRequest) (any, error) { return doc, nil } }

// checkReadOnly refuses what only the server sets.
func checkReadOnly(value any) error {
	members, _ := value.(map[string]any)
	for _, name := range wire.ReadOnly {
		if _, given := members[name]; given {
			return image.Errorf(image.ErrForbidden, "Attribute '%s' is read-only.", name)
		}
	}
	return nil
}

// loadNamespaces is GET /v2/metadefs/namespaces.
func loadNamespaces(m metadefRequest) (any, error) {
	q, err := namespaceQuery(m.query, m.limits)
	if err != nil {
		return nil, err
	}
	page, next, err := m.session.Namespaces(m.Context(), q)
	list := wire.Namespaces{Namespaces: make([]wire.Namespace, len(page)), First: m.query.link(wire.NamespacesPath, ""),
		Schema: wire.MetadefSchemas + "namespaces"}
	for i, d := range page {
		list.Namespaces[i] = wire.NamespaceOf(d)
	}
	if next != "" {
		list.Next = m.query.link(wire.NamespacesPath, next)
	}
	return list, err
}

// namespaceQuery reads the parameters of a list. It ignores those that it does not know, as clients expect.
func namespaceQuery(query parameters, limits Limits) (q metadef.Query, err error) {
	if q.Limit, err = parseLimit(query, limits); err != nil {
		return q, err
	}
	if q.Asc, err = parseDirection(query); err != nil {
		return q, err
	}
	q.Sort, _ = query.last("sort_key")
	q.Marker, _ = query.last("marker")
	visibility, _ := query.last("visibility")
	if q.Visibility = image.Visibility(visibility); visibility != "" && q.Visibility != image.Public && q.Visibility != image.Private {
		return q, image.Errorf(image.ErrInvalid, "Invalid visibility value: %s", visibility)
	}
	for _, list := range query.all("resource_types") {
		q.ResourceTypes = append(q.ResourceTypes, slices.DeleteFunc(strings.Split(list, ","), func(s string) bool { return s == "" })...)
	}
	if len(q.ResourceTypes) > maxFilters {
		return q, image.Errorf(image.ErrInvalid, "A list takes at most %d resource types.", maxFilters)
	}
	return q, nil
}

// parseDirection reports whether a list is to be sorted from the lowest to the highest.
func parseDirection(query parameters) (asc bool, err error) {
	switch direction, given := query.last("sort_dir"); {
	case direction == "asc":
		return true, nil
	case given && direction != "desc":
		return false, image.Errorf(image.ErrInvalid, "Invalid sort direction: %s", direction)
	}
	return false, nil
}

func loadNamespace(m metadefRequest) (any, error) {
	resourceType, _ := m.query.last("resource_type")
	d, err := m.session.Namespace(m.Context(), m.namespace, resourceType)
	return wire.NamespaceOf(d), err
}

func createNamespace(m metadefRequest, d metadef.Document) (loader, error) {
	d, err := m.session.CreateNamespace(m.Context(), d)
	if err != nil {
		return nil, err
	}
	name := d.Namespace.Name
	m.answer.Set("Location", m.baseURL+wire.NamespacePath(name))
	brief := wire.NamespaceOf(metadef.Document{Namespace: d.Namespace})
	return made(wire.NamespaceOf(d), brief, func(m metadefRequest) (any, error) {
		d, err := m.session.Namespace(m.Context(), name, "")
		return wire.NamespaceOf(d), err
	}), nil
}

// saveNamespace takes what belongs to the namespace without looking at it: clients send back what they were shown.
func saveNamespace(m metadefRequest, d metadef.Document) (loader, error) {
	n, err := m.session.SaveNamespace(m.Context(), m.namespace, d.Namespace)
	return short(wire.NamespaceOf(metadef.Document{Namespace: n})), err
}

func deleteNamespace(m metadefRequest) error {
	return m.session.DeleteNamespace(m.Context(), m.namespace)
}

func loadResourceTypes(m metadefRequest) (any, error) {
	types, err := m.session.ResourceTypes(m.Context())
	list := wire.ResourceTypes{ResourceTypes: make([]wire.ResourceType, len(types))}
	for i, t := range types {
		list.ResourceTypes[i] = wire.ResourceTypeOf(t)
	}
	return list, err
}

func loadAssociations(m metadefRequest) (any, error) {
	associations, err := m.session.Associations(m.Context(), m.namespace)
	list := wire.Associations{Associations: make([]wire.Association, len(associations))}
	for i, a := range associations {
		list.Associations[i] = wire.AssociationOf(a)
	}
	return list, err
}

func addAssociation(m metadefRequest, a metadef.Association) (loader, error) {
	a, err := m.session.AddAssociation(m.Context(), m.namespace, a)
	return short(wire.AssociationOf(a)), err
}

func removeAssociation(m metadefRequest) error {
	return m.session.RemoveAssociation(m.Context(), m.namespace, m.name)
}
