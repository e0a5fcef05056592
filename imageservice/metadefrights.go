package imageservice

import (
	"context"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadef"
	"github.com/vitrine-image/vitrine/policy"
)

func noNamespace(name string) error {
	return image.Errorf(image.ErrNotFound, "There is no namespace %q", name)
}

func namespaceTarget(n *metadef.Namespace) policy.Target {
	return policy.ForNamespace(n.Name, n.Owner, n.Visibility)
}

// namespace returns a namespace if the caller may know of it and the rules allow him what he asks for.
// Errors: image.ErrNotFound for one that he may not know of, image.ErrForbidden.
func (s *Session) namespace(ctx context.Context, name string, rules ...string) (n metadef.Namespace, err error) {
	err = s.svc.db.View(ctx, func(tx metadata.Tx) error {
		n, err = s.visibleNamespace(tx, name)
		return err
	})
	if err != nil {
		return n, err
	}
	for _, rule := range rules {
		if err := s.svc.policy.Check(ctx, s.caller, rule, namespaceTarget(&n)); err != nil {
			if rule == policy.GetMetadefNamespace || !s.svc.policy.Allows(ctx, s.caller, policy.GetMetadefNamespace, namespaceTarget(&n)) {
				return n, noNamespace(name)
			}
			return n, err
		}
	}
	return n, nil
}

func (s *Session) visibleNamespace(tx metadata.Tx, name string) (metadef.Namespace, error) {
	n, err := tx.Namespace(name)
	if err == nil && !n.CanSee(s.caller) {
		return metadef.Namespace{}, noNamespace(name)
	}
	return n, err
}

// readNamespace lets fn read in a namespace if the rules allow it. Rules may ask servers, so they are asked before the
// transaction; if the namespace is another one then, they are asked again.
func (s *Session) readNamespace(ctx context.Context, name string, fn func(metadata.Tx, metadef.Namespace) error, rules ...string) (err error) {
	defer s.recordRefusal(ctx, events.NamespaceObject, name, &err)
	return s.inNamespace(ctx, name, rules, func(check func(metadata.Tx) (metadef.Namespace, error)) error {
		return s.svc.db.View(ctx, func(tx metadata.Tx) error {
			n, err := check(tx)
			if err != nil {
				return err
			}
			return fn(tx, n)
		})
	})
}

// changeNamespace is like readNamespace for fn that writes, and returns what is to be told of it. The act is what the audit
// log has.
func (s *Session) changeNamespace(ctx context.Context, name string, act *events.Act, fn func(metadata.WriteTx, metadef.Namespace) (news, error), rule string) (err error) {
	act.Kind, act.ID = events.NamespaceObject, name
	defer s.record(ctx, act, &err)
	var told news
	err = s.inNamespace(ctx, name, []string{rule}, func(check func(metadata.Tx) (metadef.Namespace, error)) error {
		return s.svc.db.Update(ctx, func(tx metadata.WriteTx) error {
			n, err := check(tx)
			if err != nil {
				return err
			}
			told, err = fn(tx, n)
			return err
		})
	})
	if err == nil {
		s.svc.tell(ctx, told)
	}
	return err
}

// inNamespace asks the rules, and runs a transaction that must begin with check.
func (s *Session) inNamespace(ctx context.Context, name string, rules []string,
	run func(check func(metadata.Tx) (metadef.Namespace, error)) error) error {
	return retry(ctx, func() error {
		seen, err := s.namespace(ctx, name, rules...)
		if err != nil {
			return err
		}
		return run(func(tx metadata.Tx) (metadef.Namespace, error) {
			now, err := s.visibleNamespace(tx, name)
			if err == nil && (now.Number != seen.Number || namespaceTarget(&now) != namespaceTarget(&seen)) {
				err = errChanged
			}
			return now, err
		})
	})
}

// checkProtected refuses deletions in a protected namespace.
func checkProtected(n *metadef.Namespace, what string) error {
	if n.Protected {
		return image.Errorf(image.ErrForbidden, "The namespace %q is protected, %s cannot be deleted.", n.Name, what)
	}
	return nil
}
