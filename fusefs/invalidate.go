package fusefs

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/mounter"
)

// A round collects what the kernel must forget because of some changes, each thing once, and then tells it. The kernel
// takes a directory's lock for each, which waits for the lookups and listings of that directory that are under way: so
// no operation may wait for a round, and no stale answer can come after it.
type round struct {
	m       *Mount
	seen    map[forgotten]bool
	order   []forgotten
	changed int64 // when a directory changed last, Unix microseconds
}

// forgotten is an entry of a directory, or the attributes of a node if the name is empty.
type forgotten struct {
	node node
	name string
}

func newRound(m *Mount) *round { return &round{m: m, seen: make(map[forgotten]bool)} }

func (r *round) forget(f forgotten) {
	if f.node != noNode && !r.seen[f] {
		r.seen[f] = true
		r.order = append(r.order, f)
	}
}

func (r *round) entry(dir node, name string) { r.forget(forgotten{node: dir, name: name}) }
func (r *round) attributes(n node)           { r.forget(forgotten{node: n}) }

// directory forgets an entry, and the time of the directory's last change.
func (r *round) directory(dir node, name string) {
	r.entry(dir, name)
	r.attributes(dir)
}

// add collects what one change makes stale. Names that are not there are never cached, so what appears needs nothing.
func (r *round) add(ctx context.Context, c image.Change) error {
	r.imageFiles(c)
	before, after := shown(c.Before), shown(c.After)
	if before == nil && after == nil {
		return nil
	}
	if after != nil { // the entry as well: a lookup under way may know the old size, and the kernel not yet the file
		r.entry(imageNode(kindImage, c.Number), documentName)
		r.attributes(imageNode(kindDocument, c.Number))
	}
	if sameEntries(before, after) {
		return nil
	}
	r.changed = max(r.changed, c.Time.UnixMicro())
	top := dirNode(kindIDs, 0, 0)
	r.attributes(top)
	if after == nil || before != nil && !sameAudience(before, after) {
		r.entry(top, string(c.ID))
	}
	if err := r.scope(ctx, 0, c.ID, before, after); err != nil {
		return err
	}
	return r.owners(ctx, c.ID, before, after)
}

// shown returns what directories show of an image, nil for one that is in none.
func shown(l *image.Listed) *image.Listed {
	if l == nil || l.Status != image.Active {
		return nil
	}
	return l
}

func sameEntries(a, b *image.Listed) bool {
	return a != nil && b != nil && sameAudience(a, b) && valueOf(a.Name) == valueOf(b.Name) &&
		(a.Name == nil) == (b.Name == nil) && slices.Equal(a.Tags, b.Tags) && a.Hidden == b.Hidden && a.DiskFormat == b.DiskFormat
}

// sameAudience tells whether both appear in the same trees, whatever the source's rule is.
func sameAudience(a, b *image.Listed) bool { return a.Visibility == b.Visibility && a.Owner == b.Owner }

func valueOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// imageFiles forgets the files with the bytes of an image that was deleted, or whose names lead to other nodes now: it changed its
// format, or has gained or lost the copy that the kernel can read by itself. What is open stays as it is; without an image it has no
// link left. The directory itself stays: the kernel would never let it come to life again.
func (r *round) imageFiles(c image.Change) {
	if c.Before == nil || c.Before.Status != image.Active && c.Before.Status != image.Deactivated {
		return // the kernel cannot have seen them
	}
	deleted := c.After == nil || c.After.Status == image.Deleted
	if !deleted && c.After.DiskFormat == c.Before.DiskFormat && c.After.InFile == c.Before.InFile {
		return
	}
	dir := imageNode(kindImage, c.Number)
	r.entry(dir, diskName)
	for _, ext := range extensions(c.Before.DiskFormat) {
		r.entry(dir, "image."+ext)
	}
	if deleted {
		r.attributes(imageNode(kindData, c.Number))
		r.attributes(imageNode(kindPassedData, c.Number))
		r.attributes(imageNode(kindRawView, c.Number))
		r.attributes(imageNode(kindPassedView, c.Number))
	}
}

// owners forgets entries in the trees of the projects that own or owned the image.
func (r *round) owners(ctx context.Context, id image.ID, before, after *image.Listed) error {
	seen := map[string]bool{}
	for _, l := range []*image.Listed{before, after} {
		if l == nil || seen[l.Owner] {
			continue
		}
		seen[l.Owner] = true
		projects := dirNode(kindProjects, 0, 0)
		label, err := r.label(ctx, projects, Project, 0, l.Owner)
		if err != nil {
			return err
		}
		if label.Number == 0 {
			continue // all that was below it is forgotten with it
		}
		r.directory(dirNode(kindIDs, label.Number, 0), string(id))
		if err := r.scope(ctx, label.Number, id, before, after); err != nil {
			return err
		}
	}
	return nil
}

// scope forgets the entries of the image under its names and tags, of all images or of those of a project.
func (r *round) scope(ctx context.Context, project int64, id image.ID, before, after *image.Listed) error {
	names, tags := map[string]bool{}, map[string]bool{}
	for _, l := range []*image.Listed{before, after} {
		if l == nil {
			continue
		}
		if l.Name != nil {
			names[*l.Name] = true
		}
		for _, t := range l.Tags {
			tags[t] = true
		}
	}
	for name := range names {
		if err := r.under(ctx, dirNode(kindNames, project, 0), Name, kindName, project, name, string(id), latestName); err != nil {
			return err
		}
	}
	for tag := range tags {
		if err := r.under(ctx, dirNode(kindTags, project, 0), Tag, kindTag, project, tag, string(id)); err != nil {
			return err
		}
	}
	return nil
}

// under forgets entries below a label, or the label if nothing is left under it.
func (r *round) under(ctx context.Context, parent node, kind LabelKind, k kind, project int64, value string, entries ...string) error {
	label, err := r.label(ctx, parent, kind, project, value)
	if err != nil || label.Number == 0 {
		return err
	}
	for _, e := range entries {
		r.directory(dirNode(k, project, label.Number), e)
	}
	return nil
}

// label finds the label of a value; it has no number if no image is under it any more, and then the kernel must forget
// the directory with all that it holds.
func (r *round) label(ctx context.Context, parent node, kind LabelKind, project int64, value string) (Label, error) {
	entry := image.EntryName(value)
	r.attributes(parent)
	label, err := r.m.source.LabelByEntry(ctx, kind, project, entry)
	if errors.Is(err, image.ErrNotFound) {
		r.entry(parent, entry)
		return Label{}, nil
	}
	return label, err
}

// everything forgets all that can be named: the directories of the root with what they hold, and the entries that
// survive below them because something is open there.
func (r *round) everything(ctx context.Context, now time.Time) error {
	r.changed = now.UnixMicro()
	for number, id := range r.m.handles.images() {
		r.entry(dirNode(kindIDs, 0, 0), string(id))
		img, err := r.m.source.Image(ctx, number)
		if errors.Is(err, image.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		for _, f := range r.m.files(img) {
			r.entry(imageNode(kindImage, number), f.name)
		}
	}
	for _, f := range fixed(rootNode) {
		r.directory(rootNode, f.name)
		r.attributes(f.node)
	}
	return nil
}

// send tells the kernel. It fails only if the kernel cannot be told now.
func (r *round) send() error {
	r.m.pages.forget() // first: see there
	if r.changed != 0 {
		r.m.listed.Store(r.changed)
	}
	for _, f := range r.order {
		switch err := r.m.kernel.Forget(uint64(f.node), f.name); err {
		case nil, syscall.ENOENT: // unknown to the kernel: nothing to forget
		case syscall.ENODEV, syscall.EBADF, syscall.ENOTCONN: // the mount is gone, and with it all that the kernel knew
		case mounter.ErrNotConnected:
			return err
		default:
			if !r.m.quiet.seen("forget") {
				r.m.log.Warn("the kernel would not forget a name", "name", f.name, "error", err)
			}
		}
	}
	return nil
}
