package events

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/requestid"
)

// An Action is what somebody did, or wanted to do.
type Action string

// The actions that the audit log tells of.
const (
	Create          Action = "create"
	Change          Action = "change"
	Delete          Action = "delete"
	Upload          Action = "upload"
	Stage           Action = "stage"
	Import          Action = "import"
	Download        Action = "download"
	Share           Action = "share"   // with the project in Member
	Answer          Action = "answer"  // a member accepts or rejects
	Unshare         Action = "unshare" // from the project in Member
	Deactivate      Action = "deactivate"
	Reactivate      Action = "reactivate"
	AddLocation     Action = "add_location"
	ShowLocations   Action = "show_locations"
	DeleteFromStore Action = "delete_from_store"
	Clone           Action = "clone" // as the Volume
	Pin             Action = "pin"   // for the Guest
	Unpin           Action = "unpin" // for the Guest
	Show            Action = "show"  // only when it was refused
)

// An ObjectKind says what an Action was about.
type ObjectKind string

// The kinds of objects.
const (
	ImageObject     ObjectKind = "image"
	TaskObject      ObjectKind = "task"
	NamespaceObject ObjectKind = "metadef_namespace" // and what is in it
	CacheObject     ObjectKind = "cache"
	StoreObject     ObjectKind = "stores"
)

// An Act is something that a caller did, or was not allowed to do.
type Act struct {
	At      time.Time
	Caller  image.Caller
	Action  Action
	Kind    ObjectKind
	ID      string        // of the object, "" when it has none
	Member  string        // project that it was shared with, "" for other actions
	Volume  string        // that was cloned from it, "" for other actions
	Guest   string        // that it is or was pinned for, "" for other actions
	Changes []FieldChange // of Change; see Changes
	Bytes   int64         // of data that went in or out
	Err     error         // nil when it was done
}

// A FieldChange names a field that was changed. Only for the name, owner, visibility and protection of an image it has the
// values.
type FieldChange struct {
	Field string
	Old   any // a string, a bool, or nil for null and when no values are told
	New   any
}

// MarshalJSON writes the values of those fields that have them, null included.
func (c FieldChange) MarshalJSON() ([]byte, error) {
	if !slices.Contains(toldFields, c.Field) {
		return json.Marshal(map[string]string{"field": c.Field})
	}
	return encode(struct {
		Field string `json:"field"`
		Old   any    `json:"old"`
		New   any    `json:"new"`
	}{c.Field, c.Old, c.New})
}

var toldFields = []string{"name", "owner", "visibility", "protected"}

// Changes returns which fields and properties of an image differ: base fields in a fixed order, then properties by name.
func Changes(before, after *image.Image) (list []FieldChange) {
	told := func(field string, old, new any) {
		if old != new {
			list = append(list, FieldChange{field, old, new})
		}
	}
	told("name", shown(before.Name), shown(after.Name))
	told("owner", shown(nullable(before.Owner)), shown(nullable(after.Owner)))
	told("visibility", string(before.Visibility), string(after.Visibility))
	told("protected", before.Protected, after.Protected)
	for _, f := range []struct {
		name string
		same bool
	}{
		{"status", before.Status == after.Status},
		{"os_hidden", before.Hidden == after.Hidden},
		{"disk_format", before.DiskFormat == after.DiskFormat},
		{"container_format", before.ContainerFormat == after.ContainerFormat},
		{"min_disk", before.MinDisk == after.MinDisk},
		{"min_ram", before.MinRAM == after.MinRAM},
		{"tags", slices.Equal(before.Tags, after.Tags)},
		{"locations", slices.EqualFunc(before.Locations, after.Locations, func(a, b image.Location) bool {
			return a.Store == b.Store && a.URL == b.URL && maps.Equal(a.Metadata, b.Metadata)
		})},
	} {
		if !f.same {
			list = append(list, FieldChange{Field: f.name})
		}
	}
	names := maps.Clone(before.Properties)
	if names == nil {
		names = make(map[string]string)
	}
	maps.Copy(names, after.Properties)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, had := before.Properties[name]
		new, has := after.Properties[name]
		if old != new || had != has {
			list = append(list, FieldChange{Field: name})
		}
	}
	return list
}

// shown returns a text without credentials, nil for none.
func shown(s *string) any {
	if s == nil {
		return nil
	}
	return redactText(*s)
}

// An Origin says where a request came from.
type Origin struct {
	Address netip.Addr // of the client, as far as proxies can be believed; invalid when it has none
	Auth    string     // how the caller was recognised: keystone, basic ..., "" when nobody said
}

type originKey struct{}

// WithOrigin returns a context that carries the origin to the audit log.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginFrom returns the origin that the context carries.
func OriginFrom(ctx context.Context) Origin {
	o, _ := ctx.Value(originKey{}).(Origin)
	return o
}

// The outcomes of acts.
const (
	done    = "done"
	refused = "refused" // the caller may not do it
	failed  = "failed"
)

// A record is a line of the audit log.
type record struct {
	Time         string        `json:"time"`
	RequestID    string        `json:"request_id"`
	Source       *string       `json:"source"`
	UserID       *string       `json:"user_id"`
	ProjectID    *string       `json:"project_id"`
	DomainID     *string       `json:"domain_id"`
	Roles        []string      `json:"roles"`
	ServiceRoles []string      `json:"service_roles"`
	Anonymous    bool          `json:"anonymous"`
	Auth         *string       `json:"auth"`
	Action       Action        `json:"action"`
	Kind         ObjectKind    `json:"object"`
	ID           *string       `json:"id"`
	Member       string        `json:"member,omitempty"`
	Volume       string        `json:"volume,omitempty"`
	Guest        string        `json:"guest,omitempty"`
	Changes      []FieldChange `json:"changes,omitempty"`
	Bytes        int64         `json:"bytes,omitempty"`
	Outcome      string        `json:"outcome"`
	Reason       string        `json:"reason,omitempty"`
}

// recordLayout is how the audit log writes times, in UTC.
const recordLayout = "2006-01-02T15:04:05.000000Z"

// describeAct returns the line for an act. The caller's token is not part of it.
func describeAct(ctx context.Context, a Act) record {
	origin := OriginFrom(ctx)
	r := record{Time: a.At.UTC().Format(recordLayout), RequestID: requestid.From(ctx), UserID: nullable(a.Caller.UserID),
		ProjectID: nullable(a.Caller.ProjectID), DomainID: nullable(a.Caller.DomainID), Roles: append([]string{}, a.Caller.Roles...),
		ServiceRoles: append([]string{}, a.Caller.ServiceRoles...), Anonymous: a.Caller.Anonymous, Auth: nullable(origin.Auth),
		Action: a.Action, Kind: a.Kind, ID: nullable(a.ID), Member: a.Member, Volume: a.Volume, Guest: a.Guest, Changes: a.Changes, Bytes: a.Bytes, Outcome: done}
	if origin.Address.IsValid() {
		r.Source = nullable(origin.Address.Unmap().String())
	}
	if a.Err != nil {
		r.Outcome, r.Reason = failed, reason(a.Err)
		if errors.Is(a.Err, image.ErrForbidden) || errors.Is(a.Err, image.ErrUnauthorized) {
			r.Outcome = refused
		}
	}
	return r
}
