package imageservice

import (
	"context"
	"errors"
	"fmt"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/requestid"
	"github.com/vitrine-image/vitrine/metadef"
)

// An EventLog is told what happened, once it is recorded. *events.Log is one.
type EventLog interface {
	Emit(ctx context.Context, e events.Event)
}

// An AuditLog is told who did what, or was not allowed to, before he gets his answer. *events.Audit is one.
type AuditLog interface {
	Record(ctx context.Context, act events.Act)
}

func (s *Service) tellImage(ctx context.Context, name events.Name, img *image.Image) {
	if s.events != nil {
		s.events.Emit(ctx, events.ForImage(name, img, s.timestamp()))
	}
}

// tellData tells of data for a store.
func (s *Service) tellData(ctx context.Context, name events.Name, img *image.Image, store string) {
	if s.events != nil {
		s.events.Emit(ctx, events.ForData(name, img, store, s.timestamp()))
	}
}

// tellFailed tells that data was not taken which tellData had announced.
func (s *Service) tellFailed(ctx context.Context, id image.ID, err error) {
	if s.events != nil {
		s.events.Emit(ctx, events.ForFailedUpload(id, err, s.timestamp()))
	}
}

func (s *Service) tellMember(ctx context.Context, name events.Name, m image.Member) {
	if s.events != nil {
		s.events.Emit(ctx, events.ForMember(name, m, s.timestamp()))
	}
}

// tellTask tells of a task, as caused by the request that asked for it.
func (s *Service) tellTask(ctx context.Context, name events.Name, t *image.Task) {
	if s.events != nil {
		s.events.Emit(requestid.With(ctx, t.RequestID), events.ForTask(name, t, s.timestamp()))
	}
}

// news are events of a transaction, told once it is committed; none when nobody listens.
type news []events.Event

// entryEvents are the names of what becomes of a namespace's entries, by their kind.
var entryEvents = map[metadef.Kind]struct{ create, update, remove, removeAll events.Name }{
	metadef.KindProperty: {events.PropertyCreate, events.PropertyUpdate, events.PropertyDelete, events.NamespaceDeleteProperties},
	metadef.KindObject:   {events.ObjectCreate, events.ObjectUpdate, events.ObjectDelete, events.NamespaceDeleteObjects},
	metadef.KindTag:      {events.TagCreate, events.TagUpdate, events.TagDelete, events.NamespaceDeleteTags},
}

// entryNews tells of an entry of a namespace, which had the name old before.
func (s *Service) entryNews(name events.Name, namespace string, e metadef.Entry, old string) (news, error) {
	if s.events == nil {
		return nil, nil
	}
	at := s.timestamp()
	switch e.Kind {
	case metadef.KindProperty:
		p, err := e.Property()
		return news{events.ForProperty(name, namespace, &p, old, at)}, err
	case metadef.KindObject:
		o, err := e.Object()
		return news{events.ForObject(name, namespace, &o, old, at)}, err
	default:
		return news{events.ForTag(name, namespace, e.Tag(), old, at)}, nil
	}
}

// namespaceNews tells of a namespace, which had the name old before.
func (s *Service) namespaceNews(name events.Name, n *metadef.Namespace, old string) news {
	if s.events == nil {
		return nil
	}
	return news{events.ForNamespace(name, n, old, s.timestamp())}
}

func (s *Service) associationNews(name events.Name, namespace string, a metadef.Association) news {
	if s.events == nil {
		return nil
	}
	return news{events.ForResourceType(name, namespace, a, s.timestamp())}
}

// documentNews tells of a new namespace and of everything in it.
func (s *Service) documentNews(d *metadef.Document) (news, error) {
	told := s.namespaceNews(events.NamespaceCreate, &d.Namespace, "")
	for _, a := range d.Associations {
		told = append(told, s.associationNews(events.ResourceTypeCreate, d.Namespace.Name, a)...)
	}
	for _, e := range d.Entries() {
		more, err := s.entryNews(entryEvents[e.Kind].create, d.Namespace.Name, e, "")
		if err != nil {
			return nil, err
		}
		told = append(told, more...)
	}
	return told, nil
}

func (s *Service) tell(ctx context.Context, told news) {
	for _, e := range told {
		s.events.Emit(ctx, e)
	}
}

// record writes down what the caller did, or was not allowed to do. Verbs defer it, so that err is what they return.
func (s *Session) record(ctx context.Context, act *events.Act, err *error) {
	problem := recover()
	if s.svc.audit != nil {
		act.At, act.Caller, act.Err = s.svc.now(), s.caller, *err
		if problem != nil {
			act.Err = fmt.Errorf("panic: %v", problem)
		}
		s.svc.audit.Record(ctx, *act)
	}
	if problem != nil {
		panic(problem)
	}
}

// recordRefusal writes down what the caller was not allowed to see. Verbs that only show something defer it.
func (s *Session) recordRefusal(ctx context.Context, kind events.ObjectKind, id string, err *error) {
	if s.svc.audit != nil && errors.Is(*err, image.ErrForbidden) {
		s.record(ctx, &events.Act{Action: events.Show, Kind: kind, ID: id}, err)
	}
}

// inside is what a caller does to something in a namespace.
func inside(action events.Action, what string) *events.Act {
	return &events.Act{Action: action, Changes: []events.FieldChange{{Field: what}}}
}

// entry is what a caller does to a property, an object or a tag.
func entry(action events.Action, kind metadef.Kind, name string) *events.Act {
	return inside(action, kind.String()+" "+name)
}

// onImage is what a caller does to an image.
func onImage(action events.Action, id image.ID) *events.Act {
	return &events.Act{Action: action, Kind: events.ImageObject, ID: string(id)}
}

// Sent tells that so many of the wanted bytes went to the caller, or why not all of them did.
func (d *Data) Sent(ctx context.Context, sent, wanted int64, err error) {
	if d.session == nil {
		return
	}
	act := onImage(events.Download, d.Image.ID)
	act.Bytes = sent
	d.session.record(ctx, act, &err)
	svc := d.session.svc
	if svc.read != nil {
		svc.read(d.store, sent)
	}
	if svc.events != nil {
		svc.events.Emit(ctx, events.ForSend(d.Image, d.session.caller, events.OriginFrom(ctx).Address, sent, wanted, svc.timestamp()))
	}
}
