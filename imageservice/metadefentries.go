package imageservice

import (
	"context"
	"fmt"
	"strings"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadef"
	"github.com/vitrine-image/vitrine/policy"
)

// entryRules are the rules about what is in a namespace, by its kind.
var entryRules = map[metadef.Kind]struct{ list, get, add, modify, remove, removeAll string }{
	metadef.KindProperty: {policy.GetMetadefProperties, policy.GetMetadefProperty, policy.AddMetadefProperty, policy.ModifyMetadefProperty,
		policy.RemoveMetadefProperty, policy.RemoveMetadefProperty},
	metadef.KindObject: {policy.GetMetadefObjects, policy.GetMetadefObject, policy.AddMetadefObject, policy.ModifyMetadefObject,
		policy.DeleteMetadefObject, policy.DeleteMetadefObject},
	metadef.KindTag: {policy.GetMetadefTags, policy.GetMetadefTag, policy.AddMetadefTag, policy.ModifyMetadefTag,
		policy.DeleteMetadefTag, policy.DeleteMetadefTags},
}

func tagOf(e *metadef.Entry) (metadef.Tag, error) { return e.Tag(), nil }

// list returns what a namespace has of a kind.
func list[T any](tx metadata.Tx, n metadef.Namespace, kind metadef.Kind, read func(*metadef.Entry) (T, error)) ([]T, error) {
	entries, err := tx.Entries(n.Number, kind)
	if err != nil {
		return nil, err
	}
	all := make([]T, len(entries))
	for i := range entries {
		if all[i], err = read(&entries[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// listEntries is list if the rules allow it.
func listEntries[T any](ctx context.Context, s *Session, namespace string, kind metadef.Kind, read func(*metadef.Entry) (T, error)) (all []T, err error) {
	rules := entryRules[kind]
	err = s.readNamespace(ctx, namespace, func(tx metadata.Tx, n metadef.Namespace) error {
		all, err = list(tx, n, kind, read)
		return err
	}, rules.list, rules.get)
	return all, err
}

// getEntry returns one property, object or tag.
func getEntry[T any](ctx context.Context, s *Session, namespace string, kind metadef.Kind, name string, read func(*metadef.Entry) (T, error)) (v T, err error) {
	err = s.readNamespace(ctx, namespace, func(tx metadata.Tx, n metadef.Namespace) error {
		e, err := tx.Entry(n.Number, kind, name)
		if err == nil {
			v, err = read(&e)
		}
		return err
	}, entryRules[kind].get)
	return v, err
}

// createEntry adds what check does not refuse.
func (s *Session) createEntry(ctx context.Context, namespace string, e metadef.Entry, check func() error) error {
	return s.changeNamespace(ctx, namespace, entry(events.Create, e.Kind, e.Name), func(tx metadata.WriteTx, n metadef.Namespace) (news, error) {
		if err := check(); err != nil {
			return nil, err
		}
		if err := tx.AddEntry(n.Number, e); err != nil {
			return nil, err
		}
		return s.svc.entryNews(entryEvents[e.Kind].create, n.Name, e, "")
	}, entryRules[e.Kind].add)
}

// saveEntry writes e, which check does not refuse, over the entry of that name, and returns it with the time at which
// that was made.
func (s *Session) saveEntry(ctx context.Context, namespace, name string, e metadef.Entry, check func() error) (metadef.Entry, error) {
	err := s.changeNamespace(ctx, namespace, entry(events.Change, e.Kind, name), func(tx metadata.WriteTx, n metadef.Namespace) (news, error) {
		if err := check(); err != nil {
			return nil, err
		}
		old, err := tx.Entry(n.Number, e.Kind, name)
		if err != nil {
			return nil, err
		}
		e.CreatedAt = old.CreatedAt
		if err := tx.SaveEntry(n.Number, name, e); err != nil {
			return nil, err
		}
		return s.svc.entryNews(entryEvents[e.Kind].update, n.Name, e, old.Name)
	}, entryRules[e.Kind].modify)
	return e, err
}

func (s *Session) deleteEntry(ctx context.Context, namespace string, kind metadef.Kind, name string) error {
	return s.changeNamespace(ctx, namespace, entry(events.Delete, kind, name), func(tx metadata.WriteTx, n metadef.Namespace) (news, error) {
		if err := checkProtected(&n, fmt.Sprintf("its %s %q", kind, name)); err != nil {
			return nil, err
		}
		e, err := tx.Entry(n.Number, kind, name)
		if err != nil {
			return nil, err
		}
		if err := tx.RemoveEntry(n.Number, kind, name); err != nil {
			return nil, err
		}
		return s.svc.entryNews(entryEvents[kind].remove, n.Name, e, "")
	}, entryRules[kind].remove)
}

func (s *Session) deleteEntries(ctx context.Context, namespace string, kind metadef.Kind, what string) error {
	return s.changeNamespace(ctx, namespace, inside(events.Delete, what), func(tx metadata.WriteTx, n metadef.Namespace) (news, error) {
		if err := checkProtected(&n, "its "+what); err != nil {
			return nil, err
		}
		return s.svc.namespaceNews(entryEvents[kind].removeAll, &n, ""), tx.RemoveEntries(n.Number, kind)
	}, entryRules[kind].removeAll)
}

// The verbs below have these errors: image.ErrNotFound, also for a namespace that the caller may not see;
// image.ErrForbidden, also for deletions in a protected namespace; image.ErrInvalid and image.ErrConflict for what is to
// be written.

// Properties returns the properties of a namespace by their names.
func (s *Session) Properties(ctx context.Context, namespace string) ([]metadef.Property, error) {
	return listEntries(ctx, s, namespace, metadef.KindProperty, (*metadef.Entry).Property)
}

// Property returns one property. With a resource type, name is that on things of that type, which begins with a prefix.
func (s *Session) Property(ctx context.Context, namespace, name, resourceType string) (p metadef.Property, err error) {
	if resourceType == "" {
		return getEntry(ctx, s, namespace, metadef.KindProperty, name, (*metadef.Entry).Property)
	}
	err = s.readNamespace(ctx, namespace, func(tx metadata.Tx, n metadef.Namespace) error {
		all, err := tx.Associations(n.Number)
		if err != nil {
			return err
		}
		a := metadef.AssociationWith(all, resourceType)
		if a == nil {
			return image.Errorf(image.ErrNotFound, "The namespace %q is not about %q", n.Name, resourceType)
		}
		rest, ok := strings.CutPrefix(name, a.Prefix)
		if !ok {
			return image.Errorf(image.ErrNotFound, "The property %q does not begin with %q, which properties of %q do", name, a.Prefix, resourceType)
		}
		e, err := tx.Entry(n.Number, metadef.KindProperty, rest)
		if err == nil {
			p, err = e.Property()
		}
		return err
	}, policy.GetMetadefProperty, policy.GetMetadefResourceType)
	return p, err
}

// CreateProperty adds a property.
func (s *Session) CreateProperty(ctx context.Context, namespace string, p metadef.Property) (metadef.Property, error) {
	return p, s.createEntry(ctx, namespace, p.Entry(s.svc.timestamp()), p.Check)
}

// SaveProperty writes p over the property of that name, which it may rename.
func (s *Session) SaveProperty(ctx context.Context, namespace, name string, p metadef.Property) (metadef.Property, error) {
	_, err := s.saveEntry(ctx, namespace, name, p.Entry(s.svc.timestamp()), p.Check)
	return p, err
}

// DeleteProperty deletes a property.
func (s *Session) DeleteProperty(ctx context.Context, namespace, name string) error {
	return s.deleteEntry(ctx, namespace, metadef.KindProperty, name)
}

// DeleteProperties deletes all properties of a namespace.
func (s *Session) DeleteProperties(ctx context.Context, namespace string) error {
	return s.deleteEntries(ctx, namespace, metadef.KindProperty, "properties")
}

// Objects returns the objects of a namespace by their names.
func (s *Session) Objects(ctx context.Context, namespace string) ([]metadef.Object, error) {
	return listEntries(ctx, s, namespace, metadef.KindObject, (*metadef.Entry).Object)
}

// Object returns one object.
func (s *Session) Object(ctx context.Context, namespace, name string) (metadef.Object, error) {
	return getEntry(ctx, s, namespace, metadef.KindObject, name, (*metadef.Entry).Object)
}

// CreateObject adds an object.
func (s *Session) CreateObject(ctx context.Context, namespace string, o metadef.Object) (metadef.Object, error) {
	o.CreatedAt = s.svc.timestamp()
	o.UpdatedAt = o.CreatedAt
	return o, s.createEntry(ctx, namespace, o.Entry(), o.Check)
}

// SaveObject writes o over the object of that name, which it may rename.
func (s *Session) SaveObject(ctx context.Context, namespace, name string, o metadef.Object) (metadef.Object, error) {
	o.UpdatedAt = s.svc.timestamp()
	e, err := s.saveEntry(ctx, namespace, name, o.Entry(), o.Check)
	o.CreatedAt = e.CreatedAt
	return o, err
}

// DeleteObject deletes an object.
func (s *Session) DeleteObject(ctx context.Context, namespace, name string) error {
	return s.deleteEntry(ctx, namespace, metadef.KindObject, name)
}

// DeleteObjects deletes all objects of a namespace.
func (s *Session) DeleteObjects(ctx context.Context, namespace string) error {
	return s.deleteEntries(ctx, namespace, metadef.KindObject, "objects")
}

// Tags returns a page of the tags of a namespace. Errors beside the others': those of metadef.TagQuery.Page.
func (s *Session) Tags(ctx context.Context, namespace string, q metadef.TagQuery) ([]metadef.Tag, error) {
	all, err := listEntries(ctx, s, namespace, metadef.KindTag, tagOf)
	if err != nil {
		return nil, err
	}
	return q.Page(all)
}

// Tag returns one tag.
func (s *Session) Tag(ctx context.Context, namespace, name string) (metadef.Tag, error) {
	return getEntry(ctx, s, namespace, metadef.KindTag, name, tagOf)
}

func (s *Session) newTag(name string) metadef.Tag {
	now := s.svc.timestamp()
	return metadef.Tag{Name: name, CreatedAt: now, UpdatedAt: now}
}

// CreateTag adds a tag.
func (s *Session) CreateTag(ctx context.Context, namespace, name string) (metadef.Tag, error) {
	t := s.newTag(name)
	return t, s.createEntry(ctx, namespace, t.Entry(), t.Check)
}

// SetTags replaces the tags of a namespace by others, or adds them to the tags that there are; then it is an error if one
// of them is there. It returns the new ones.
func (s *Session) SetTags(ctx context.Context, namespace string, names []string, add bool) ([]metadef.Tag, error) {
	tags := make([]metadef.Tag, len(names))
	for i, name := range names {
		tags[i] = s.newTag(name)
	}
	err := s.changeNamespace(ctx, namespace, inside(events.Create, "tags"), func(tx metadata.WriteTx, n metadef.Namespace) (told news, err error) {
		if err := metadef.CheckTags(tags); err != nil {
			return nil, err
		}
		if !add {
			told = s.svc.namespaceNews(events.NamespaceDeleteTags, &n, "")
			if err := tx.RemoveEntries(n.Number, metadef.KindTag); err != nil {
				return nil, err
			}
		}
		for _, t := range tags {
			if err := tx.AddEntry(n.Number, t.Entry()); err != nil {
				return nil, err
			}
			created, err := s.svc.entryNews(events.TagCreate, n.Name, t.Entry(), "")
			if err != nil {
				return nil, err
			}
			told = append(told, created...)
		}
		return told, nil
	}, policy.AddMetadefTags)
	return tags, err
}

// SaveTag gives a tag another name.
func (s *Session) SaveTag(ctx context.Context, namespace, name, newName string) (metadef.Tag, error) {
	t := s.newTag(newName)
	e, err := s.saveEntry(ctx, namespace, name, t.Entry(), t.Check)
	t.CreatedAt = e.CreatedAt
	return t, err
}

// DeleteTag deletes a tag.
func (s *Session) DeleteTag(ctx context.Context, namespace, name string) error {
	return s.deleteEntry(ctx, namespace, metadef.KindTag, name)
}

// DeleteTags deletes all tags of a namespace.
func (s *Session) DeleteTags(ctx context.Context, namespace string) error {
	return s.deleteEntries(ctx, namespace, metadef.KindTag, "tags")
}
