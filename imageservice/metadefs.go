package imageservice

import (
	"cmp"
	"context"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadef"
	"github.com/vitrine-image/vitrine/policy"
)

// Namespaces returns a page of the namespaces that the caller sees, each with its associations only, and the marker of
// the next page, "" after the last one. Errors: those of metadef.Query.Page, image.ErrForbidden.
func (s *Session) Namespaces(ctx context.Context, q metadef.Query) (page []metadef.Document, next string, err error) {
	defer s.recordRefusal(ctx, events.NamespaceObject, "", &err)
	for _, rule := range []string{policy.GetMetadefNamespaces, policy.ListMetadefResourceTypes} {
		if err := s.svc.policy.Check(ctx, s.caller, rule, policy.ForProject(s.caller.ProjectID)); err != nil {
			return nil, "", err
		}
	}
	q.Caller = s.caller
	limit := q.Limit
	var all []metadef.Namespace
	err = s.svc.db.View(ctx, func(tx metadata.Tx) error {
		all, err = tx.Namespaces(q.ResourceTypes...)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	q.Limit = len(all) // the rules may hide some of them
	if all, err = q.Page(all); err != nil {
		return nil, "", err
	}
	for _, n := range all {
		if len(page) >= limit {
			break
		}
		if s.svc.policy.Allows(ctx, s.caller, policy.GetMetadefNamespace, namespaceTarget(&n)) {
			page = append(page, metadef.Document{Namespace: n})
		}
	}
	if len(page) > 0 && len(page) == limit {
		next = page[limit-1].Namespace.Name
	}
	err = s.svc.db.View(ctx, func(tx metadata.Tx) error {
		for i := range page {
			if page[i].Associations, err = tx.Associations(page[i].Namespace.Number); err != nil {
				return err
			}
		}
		return nil
	})
	return page, next, err
}

// Namespace returns a namespace with all that belongs to it. With a resource type the properties are named as on things
// of that type. Errors: image.ErrNotFound, also for what the caller may not see.
func (s *Session) Namespace(ctx context.Context, name, resourceType string) (metadef.Document, error) {
	var d metadef.Document
	err := s.readNamespace(ctx, name, func(tx metadata.Tx, n metadef.Namespace) (err error) {
		d, err = document(tx, n)
		return err
	}, policy.GetMetadefNamespace, policy.ListMetadefResourceTypes, policy.GetMetadefObjects, policy.GetMetadefProperties, policy.GetMetadefTags)
	if err == nil && resourceType != "" {
		d.AddPrefix(resourceType)
	}
	return d, err
}

func document(tx metadata.Tx, n metadef.Namespace) (d metadef.Document, err error) {
	d.Namespace = n
	if d.Associations, err = tx.Associations(n.Number); err != nil {
		return d, err
	}
	if d.Properties, err = list(tx, n, metadef.KindProperty, (*metadef.Entry).Property); err != nil {
		return d, err
	}
	if d.Objects, err = list(tx, n, metadef.KindObject, (*metadef.Entry).Object); err != nil {
		return d, err
	}
	d.Tags, err = list(tx, n, metadef.KindTag, tagOf)
	return d, err
}

// CreateNamespace records a namespace with all that the document has, or nothing of it. Without an owner it belongs to
// the caller's project. Errors: those of metadef.Document.Check, image.ErrForbidden, image.ErrConflict for a name that is
// taken.
func (s *Session) CreateNamespace(ctx context.Context, d metadef.Document) (_ metadef.Document, err error) {
	defer s.record(ctx, &events.Act{Action: events.Create, Kind: events.NamespaceObject, ID: d.Namespace.Name}, &err)
	if d.Namespace.Owner == "" {
		d.Namespace.Owner = s.caller.ProjectID
	}
	target := namespaceTarget(&d.Namespace)
	if err := s.svc.policy.Check(ctx, s.caller, policy.AddMetadefNamespace, target); err != nil {
		return d, err
	}
	for _, part := range []struct {
		count int
		rule  string
	}{{len(d.Associations), policy.AddMetadefResourceTypeAssociation}, {len(d.Objects), policy.AddMetadefObject},
		{len(d.Properties), policy.AddMetadefProperty}, {len(d.Tags), policy.AddMetadefTag}} {
		if part.count == 0 {
			continue
		}
		if err := s.svc.policy.Check(ctx, s.caller, part.rule, target); err != nil {
			return d, err
		}
	}
	if err := d.Check(); err != nil {
		return d, err
	}
	d = d.Stamped(s.svc.timestamp())
	var told news
	err = s.svc.db.Update(ctx, func(tx metadata.WriteTx) (err error) {
		if err := addDocument(tx, &d); err != nil {
			return err
		}
		told, err = s.svc.documentNews(&d)
		return err
	})
	if err == nil {
		s.svc.tell(ctx, told)
	}
	return d, err
}

func addDocument(tx metadata.WriteTx, d *metadef.Document) error {
	if err := tx.CreateNamespace(&d.Namespace); err != nil {
		return err
	}
	for _, a := range d.Associations {
		if err := tx.AddAssociation(d.Namespace.Number, a); err != nil {
			return err
		}
	}
	for _, e := range d.Entries() {
		if err := tx.AddEntry(d.Namespace.Number, e); err != nil {
			return err
		}
	}
	return nil
}

// SaveNamespace writes every field of n over the namespace of that name, which it may rename; what belongs to it stays.
// Without an owner it belongs to the caller's project. Errors: image.ErrNotFound, image.ErrForbidden, image.ErrInvalid,
// image.ErrConflict for a new name that is taken.
func (s *Session) SaveNamespace(ctx context.Context, name string, n metadef.Namespace) (metadef.Namespace, error) {
	if n.Owner == "" {
		n.Owner = s.caller.ProjectID
	}
	// Nobody makes it what he could not change.
	allowed := s.svc.policy.Check(ctx, s.caller, policy.ModifyMetadefNamespace, namespaceTarget(&n))
	err := s.changeNamespace(ctx, name, &events.Act{Action: events.Change}, func(tx metadata.WriteTx, old metadef.Namespace) (news, error) {
		if err := cmp.Or(allowed, n.Check()); err != nil {
			return nil, err
		}
		n.Number, n.CreatedAt, n.UpdatedAt = old.Number, old.CreatedAt, s.svc.timestamp()
		return s.svc.namespaceNews(events.NamespaceUpdate, &n, old.Name), tx.SaveNamespace(&n)
	}, policy.ModifyMetadefNamespace)
	return n, err
}

// DeleteNamespace deletes a namespace with all that belongs to it. Errors: image.ErrNotFound, image.ErrForbidden when it
// is protected.
func (s *Session) DeleteNamespace(ctx context.Context, name string) error {
	return s.changeNamespace(ctx, name, &events.Act{Action: events.Delete}, func(tx metadata.WriteTx, n metadef.Namespace) (news, error) {
		if err := checkProtected(&n, "it"); err != nil {
			return nil, err
		}
		return s.svc.namespaceNews(events.NamespaceDelete, &n, ""), tx.DeleteNamespace(n.Number)
	}, policy.DeleteMetadefNamespace)
}

// ResourceTypes returns all resource types that namespaces are, or were, about.
func (s *Session) ResourceTypes(ctx context.Context) (types []metadef.ResourceType, err error) {
	defer s.recordRefusal(ctx, events.NamespaceObject, "", &err)
	if err := s.svc.policy.Check(ctx, s.caller, policy.ListMetadefResourceTypes, policy.ForProject(s.caller.ProjectID)); err != nil {
		return nil, err
	}
	err = s.svc.db.View(ctx, func(tx metadata.Tx) error {
		types, err = tx.ResourceTypes()
		return err
	})
	return types, err
}

// Associations returns what a namespace is about.
func (s *Session) Associations(ctx context.Context, namespace string) (all []metadef.Association, err error) {
	err = s.readNamespace(ctx, namespace, func(tx metadata.Tx, n metadef.Namespace) error {
		all, err = tx.Associations(n.Number)
		return err
	}, policy.ListMetadefResourceTypes, policy.GetMetadefResourceType)
	return all, err
}

// AddAssociation says that a namespace is about a resource type, which comes into being if nobody knows it.
// Errors: image.ErrNotFound, image.ErrForbidden, image.ErrInvalid, image.ErrConflict when it is already.
func (s *Session) AddAssociation(ctx context.Context, namespace string, a metadef.Association) (metadef.Association, error) {
	err := s.changeNamespace(ctx, namespace, inside(events.Create, "resource type "+a.ResourceType), func(tx metadata.WriteTx, n metadef.Namespace) (news, error) {
		if err := a.Check(); err != nil {
			return nil, err
		}
		a.CreatedAt = s.svc.timestamp()
		a.UpdatedAt = a.CreatedAt
		return s.svc.associationNews(events.ResourceTypeCreate, n.Name, a), tx.AddAssociation(n.Number, a)
	}, policy.AddMetadefResourceTypeAssociation)
	return a, err
}

// RemoveAssociation takes that back. Errors: image.ErrNotFound, image.ErrForbidden when the namespace is protected.
func (s *Session) RemoveAssociation(ctx context.Context, namespace, resourceType string) error {
	return s.changeNamespace(ctx, namespace, inside(events.Delete, "resource type "+resourceType), func(tx metadata.WriteTx, n metadef.Namespace) (news, error) {
		if err := checkProtected(&n, "its association with "+resourceType); err != nil {
			return nil, err
		}
		all, err := tx.Associations(n.Number)
		if err != nil {
			return nil, err
		}
		var told news
		if a := metadef.AssociationWith(all, resourceType); a != nil {
			told = s.svc.associationNews(events.ResourceTypeDelete, n.Name, *a)
		}
		return told, tx.RemoveAssociation(n.Number, resourceType)
	}, policy.RemoveMetadefResourceTypeAssociation)
}
