package sqlite

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// A record is all that the derived tables depend on.
type record struct {
	*image.Image
	members map[string]string // project to member status
}

// The kinds of lists: by visibility, of everybody's images or of one owner's; and by member status, of one project's.
const (
	listPublic = iota
	listCommunity
	listShared
	listPrivate
	listAccepted
	listPending
	listRejected
)

var visibilityLists = map[image.Visibility]int64{image.Public: listPublic, image.Community: listCommunity,
	image.Shared: listShared, image.Private: listPrivate}

var memberLists = map[string]int64{
	image.MemberAccepted: listAccepted, image.MemberPending: listPending, image.MemberRejected: listRejected}

// listNumber is how listings and facets name a list. Viewer is the label of a project, 0 for everybody's images.
func listNumber(viewer, kind int64, hidden bool) int64 { return viewer<<4 | kind<<1 | flag(hidden) }

// A facet is what a filter may ask for, as the first half of a hash, so that long values take no room.
type facet [16]byte

func makeFacet(parts ...string) facet {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "%d:%s", len(p), p)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return facet(sum[:16])
}

func tagFacet(tag string) facet              { return makeFacet("tag", tag) }
func propertyFacet(name, value string) facet { return makeFacet("property", name, value) }
func protectedFacet() facet                  { return makeFacet("protected") }
func fieldFacet(f image.Field, v string) facet {
	return makeFacet("field", string(f), v)
}

func (r *record) facets() map[facet]bool {
	facets := map[facet]bool{}
	for _, tag := range r.Tags {
		facets[tagFacet(tag)] = true
	}
	for name, value := range r.Properties {
		facets[propertyFacet(name, value)] = true
	}
	if r.Protected {
		facets[protectedFacet()] = true
	}
	if r.Checksum != "" {
		facets[fieldFacet(image.FieldChecksum, r.Checksum)] = true
	}
	if r.HashValue != "" {
		facets[fieldFacet(image.FieldHashValue, r.HashValue)] = true
	}
	return facets
}

// An index is what the derived tables hold of a record.
type index struct {
	lists    []int64
	facets   map[facet]bool
	keys     []any // the columns of listings after the number
	branches map[branch]bool
	leaf     []any // the columns of tree after the number
}

// A branch is a directory of the mount.
type branch struct {
	scope int64
	kind  metadata.LabelKind
	label int64
}

// The scopes of the tree that are no owner's.
const (
	scopeAll    = 0
	scopePublic = -1
)

var listingKeys = []string{"updated_at", "name", "status", "container_format", "disk_format", "size"}

// A labeler returns the number of a value.
type labeler func(kind metadata.LabelKind, value string) (int64, error)

// index returns what the derived tables should hold of the record; nothing for nil.
func (r *record) index(label labeler) (*index, error) {
	x := &index{}
	if r == nil || !r.Status.Visible() {
		return x, nil
	}
	var owner int64
	var err error
	if r.Owner != "" {
		if owner, err = label(metadata.LabelProject, r.Owner); err != nil {
			return nil, err
		}
	}
	if x.lists, err = r.lists(owner, label); err != nil {
		return nil, err
	}
	x.facets = r.facets()
	x.keys = []any{r.UpdatedAt.UnixMicro(), orZero(r.Name), string(r.Status), r.ContainerFormat, r.DiskFormat, orZero(r.Size)}
	if r.Status == image.Active {
		x.leaf = []any{packID(r.ID), r.CreatedAt.UnixMicro(), r.UpdatedAt.UnixMicro(), owner, flag(r.Visibility == image.Public), flag(r.Hidden)}
		x.branches, err = r.branches(owner, label)
	}
	return x, err
}

func orZero[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

func (r *record) lists(owner int64, label labeler) ([]int64, error) {
	kind, ok := visibilityLists[r.Visibility]
	if !ok {
		return nil, image.Errorf(image.ErrInvalid, "The visibility %q is not known", r.Visibility)
	}
	lists := []int64{listNumber(0, kind, r.Hidden)}
	if owner != 0 {
		lists = append(lists, listNumber(owner, kind, r.Hidden))
	}
	if r.Visibility != image.Shared {
		return lists, nil
	}
	for project, status := range r.members {
		if project == r.Owner {
			continue // he has the image already
		}
		member, err := label(metadata.LabelProject, project)
		if err != nil {
			return nil, err
		}
		lists = append(lists, listNumber(member, memberLists[status], r.Hidden))
	}
	slices.Sort(lists)
	return lists, nil
}

// branches returns the directories in which an active image appears.
func (r *record) branches(owner int64, label labeler) (map[branch]bool, error) {
	stems := []branch{{}}
	if r.Name != nil {
		n, err := label(metadata.LabelName, *r.Name)
		if err != nil {
			return nil, err
		}
		stems = append(stems, branch{kind: metadata.LabelName, label: n})
	}
	for _, tag := range r.Tags {
		n, err := label(metadata.LabelTag, tag)
		if err != nil {
			return nil, err
		}
		stems = append(stems, branch{kind: metadata.LabelTag, label: n})
	}
	if owner != 0 {
		stems = append(stems, branch{kind: metadata.LabelProject, label: owner})
	}
	scopes := []int64{scopeAll}
	if owner != 0 {
		scopes = append(scopes, owner)
	}
	if r.Visibility == image.Public {
		scopes = append(scopes, scopePublic)
	}
	branches := make(map[branch]bool, len(stems)*len(scopes))
	for _, b := range stems {
		for _, b.scope = range scopes {
			branches[b] = true
		}
	}
	return branches, nil
}

// An address is what tells locations apart.
type address struct{ store, url string }

func (r *record) addresses() []address {
	var all []address
	for _, l := range r.Locations {
		if a := (address{l.Store, l.URL}); !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// The rows of the derived tables, in the order of their columns.

func (x *index) listing(r *record, list int64) []any {
	return append([]any{list, r.CreatedAt.UnixMicro(), packID(r.ID), r.Number}, x.keys...)
}

func (x *index) facet(r *record, list int64, f facet) []any {
	return []any{list, f[:], r.CreatedAt.UnixMicro(), packID(r.ID), r.Number}
}

func (x *index) twig(r *record, b branch) []any {
	return append([]any{b.scope, int64(b.kind), b.label, r.Number}, x.leaf...)
}
