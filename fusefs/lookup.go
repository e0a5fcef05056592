package fusefs

import (
	"context"
	"syscall"
	"unicode/utf8"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/vitrine-image/vitrine/image"
)

// Lookup finds a name in a directory. Names that are not there are never cached, so that what comes shows at once.
func (m *Mount) Lookup(_ <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	ctx, stop := m.patient()
	defer stop()
	dir := node(header.NodeId)
	a, err := m.find(ctx, dir, name)
	if err == nil && a.node == noNode {
		err = syscall.EOVERFLOW // a number too large for a node id
	}
	if err != nil {
		return m.status("lookup", dir, err)
	}
	m.fillEntry(out, a)
	return fuse.OK
}

// find returns the attributes of what the directory holds by that name. Errors: image.ErrNotFound.
func (m *Mount) find(ctx context.Context, dir node, name string) (attr, error) {
	if len(name) > image.MaxEntryName {
		return attr{}, syscall.ENAMETOOLONG
	}
	if !utf8.ValidString(name) { // no entry has such a name
		return attr{}, image.ErrNotFound
	}
	for _, f := range fixed(dir) {
		if f.name == name {
			return m.dirAttr(f.node), nil
		}
	}
	if dir.kind() == kindImage {
		return m.findFile(ctx, dir, name)
	}
	if kind, k, ok := dir.labels(); ok {
		label, err := m.source.LabelByEntry(ctx, kind, dir.project(), name)
		if err != nil {
			return attr{}, err
		}
		return m.dirAttr(dir.labelNode(k, label.Number)), nil
	}
	if d, ok := dir.dir(); ok {
		return m.findImage(ctx, dir, d, name)
	}
	return attr{}, image.ErrNotFound
}

// findImage finds an image by its id, which has one spelling, or the newest one.
func (m *Mount) findImage(ctx context.Context, dir node, d Dir, name string) (attr, error) {
	if name == latestName && dir.kind() == kindName {
		e, err := m.source.Latest(ctx, d)
		return imageAttr(dir, e), err
	}
	id, ok := image.ParseID(name)
	if !ok || string(id) != name {
		return attr{}, image.ErrNotFound
	}
	e, err := m.source.ImageIn(ctx, d, id)
	return imageAttr(dir, e), err
}

// imageAttr returns the attributes of an image as the directory lists it: really at the top of by-id, elsewhere a link.
func imageAttr(dir node, e Entry) attr {
	if dir.kind() == kindIDs && dir.project() == 0 {
		return imageDirAttr(e.Number, e.Created)
	}
	return linkAttr(dir.linkKind(), e.Number, e.Created)
}

func (m *Mount) findFile(ctx context.Context, dir node, name string) (attr, error) {
	img, err := m.source.Image(ctx, dir.number())
	if err != nil {
		return attr{}, err
	}
	for _, f := range m.files(img) {
		if f.name == name {
			return m.fileAttr(img, f.node)
		}
	}
	return attr{}, image.ErrNotFound
}

// fixed returns the directories that are always there.
func fixed(dir node) []namedNode {
	switch {
	case dir == rootNode:
		return []namedNode{
			{dirIDs, dirNode(kindIDs, 0, 0)},
			{dirNames, dirNode(kindNames, 0, 0)},
			{dirProjects, dirNode(kindProjects, 0, 0)},
			{dirTags, dirNode(kindTags, 0, 0)},
		}
	case dir.kind() == kindProject:
		return []namedNode{
			{dirIDs, dirNode(kindIDs, dir.project(), 0)},
			{dirNames, dirNode(kindNames, dir.project(), 0)},
			{dirTags, dirNode(kindTags, dir.project(), 0)},
		}
	}
	return nil
}

// Readlink returns where a link points.
func (m *Mount) Readlink(_ <-chan struct{}, header *fuse.InHeader) ([]byte, fuse.Status) {
	ctx, stop := m.patient()
	defer stop()
	n := node(header.NodeId)
	if n.kind() < kindLink2 || n.kind() > kindLink4 {
		return nil, fuse.EINVAL
	}
	img, err := m.source.Image(ctx, n.number())
	if err != nil {
		return nil, m.status("readlink", n, err)
	}
	return []byte(linkTarget(n.kind(), img.ID)), fuse.OK
}
