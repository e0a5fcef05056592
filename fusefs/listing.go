package fusefs

import (
	"context"
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/vitrine-image/vitrine/image"
)

// A dirent is an entry of a directory. Its offset is computed from the number of the image or label, and so means the
// same to every process that serves the mount and however the directory changes: reading goes on after that number.
type dirent struct {
	name string
	off  uint64
	attr attr
}

const (
	offDot    = 1
	offParent = 2
	offLatest = 3
	offFirst  = 16   // number n has offset offFirst+n; fixed entries count from here as well
	pageLimit = 1024 // entries asked of the source at once
)

// OpenDir lets every directory be read; there is nothing to remember.
func (m *Mount) OpenDir(_ <-chan struct{}, _ *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	return fuse.OK
}

// ReadDir lists names.
func (m *Mount) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return m.readDir(in, func(e dirent) bool {
		return out.AddDirEntry(fuse.DirEntry{Name: e.name, Mode: e.attr.typ, Ino: e.attr.node.ino(), Off: e.off})
	})
}

// ReadDirPlus lists names with what Lookup would answer for each.
func (m *Mount) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return m.readDir(in, func(e dirent) bool {
		o := out.AddDirLookupEntry(fuse.DirEntry{Name: e.name, Mode: e.attr.typ, Ino: e.attr.node.ino(), Off: e.off})
		if o == nil {
			return false
		}
		if e.off != offDot && e.off != offParent { // those have no node of their own
			m.fillEntry(o, e.attr)
		}
		return true
	})
}

// readDir adds entries from in.Offset on until add says that the buffer is full.
func (m *Mount) readDir(in *fuse.ReadIn, add func(dirent) bool) fuse.Status {
	dir, after := node(in.NodeId), in.Offset
	for {
		page, err := m.pages.from(dir, after)
		if err != nil {
			return m.status("readdir", dir, err)
		}
		for i, e := range page.entries {
			if !add(e) {
				m.pages.keep(dir, after, page, i)
				return fuse.OK
			}
			after = e.off
		}
		if len(page.entries) == 0 {
			return fuse.OK
		}
	}
}

// page returns the next entries after the offset: none at the end, and pageLimit or more only if there may be others.
func (m *Mount) page(dir node, after uint64) ([]dirent, error) {
	ctx, stop := m.patient()
	defer stop()
	var page []dirent
	if after < offParent {
		page = append(dots(dir)[after:], page...)
	}
	if after < offLatest && dir.kind() == kindName {
		d, _ := dir.dir()
		e, err := m.source.Latest(ctx, d)
		if err == nil {
			page = append(page, dirent{latestName, offLatest, imageAttr(dir, e)})
		} else if !errors.Is(err, image.ErrNotFound) {
			return nil, err
		}
	}
	from := int64(max(after, offFirst) - offFirst)
	if d, ok := dir.dir(); ok {
		return m.imagePage(ctx, page, dir, d, from)
	}
	if kind, k, ok := dir.labels(); ok {
		return m.labelPage(ctx, page, dir, kind, k, from)
	}
	if dir.kind() == kindImage {
		return m.filePage(ctx, page, dir, from)
	}
	if list := fixed(dir); list != nil {
		for i, f := range list[min(int(from), len(list)):] {
			page = append(page, dirent{f.name, offFirst + uint64(from) + uint64(i) + 1, m.dirAttr(f.node)})
		}
		return page, nil
	}
	return nil, syscall.ENOTDIR
}

func (m *Mount) imagePage(ctx context.Context, page []dirent, dir node, d Dir, from int64) ([]dirent, error) {
	entries, err := m.source.Images(ctx, d, from, pageLimit)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if a := imageAttr(dir, e); a.node != noNode {
			page = append(page, dirent{string(e.ID), offFirst + uint64(e.Number), a})
		}
	}
	return page, nil
}

func (m *Mount) labelPage(ctx context.Context, page []dirent, dir node, kind LabelKind, k kind, from int64) ([]dirent, error) {
	labels, err := m.source.Labels(ctx, kind, dir.project(), from, pageLimit)
	if err != nil {
		return nil, err
	}
	for _, l := range labels {
		if n := dir.labelNode(k, l.Number); n != noNode {
			page = append(page, dirent{l.Entry, offFirst + uint64(l.Number), m.dirAttr(n)})
		}
	}
	return page, nil
}

func (m *Mount) filePage(ctx context.Context, page []dirent, dir node, from int64) ([]dirent, error) {
	img, err := m.source.Image(ctx, dir.number())
	if err != nil {
		return nil, err
	}
	list := m.files(img)
	for i, f := range list[min(int(from), len(list)):] {
		a, err := m.fileAttr(img, f.node)
		if err != nil {
			return nil, err
		}
		page = append(page, dirent{f.name, offFirst + uint64(from) + uint64(i) + 1, a})
	}
	return page, nil
}

// dots returns the entries . and .. of a directory.
func dots(dir node) []dirent {
	return []dirent{
		{".", offDot, attr{node: dir, typ: syscall.S_IFDIR}},
		{"..", offParent, attr{node: parentOf(dir), typ: syscall.S_IFDIR}},
	}
}

func parentOf(dir node) node {
	p := dir.project()
	switch dir.kind() {
	case kindImage:
		return dirNode(kindIDs, 0, 0)
	case kindName:
		return dirNode(kindNames, p, 0)
	case kindTag:
		return dirNode(kindTags, p, 0)
	case kindProject:
		return dirNode(kindProjects, 0, 0)
	case kindIDs, kindNames, kindTags:
		if p != 0 {
			return dirNode(kindProject, p, 0)
		}
	}
	return rootNode
}
