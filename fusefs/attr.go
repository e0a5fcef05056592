package fusefs

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/vitrine-image/vitrine/image"
)

// An attr is what stat tells of a node. Its times are the record's: what never changes has the time of the image's
// creation, so that nothing has to be forgotten when a tag changes.
type attr struct {
	node  node
	typ   uint32 // S_IFREG, S_IFDIR or S_IFLNK
	size  int64
	nlink uint32
	time  int64 // Unix microseconds
}

// dirAttr has one link, which tells programs such as find that directories below are not counted.
func (m *Mount) dirAttr(n node) attr {
	return attr{node: n, typ: syscall.S_IFDIR, nlink: 1, time: m.listed.Load()}
}

func imageDirAttr(number, created int64) attr {
	return attr{node: imageNode(kindImage, number), typ: syscall.S_IFDIR, nlink: 2, time: created}
}

func linkAttr(k kind, number, created int64) attr {
	const id = "00000000-0000-0000-0000-000000000000" // all ids are as long as this one
	return attr{node: imageNode(k, number), typ: syscall.S_IFLNK, size: int64(len(linkTarget(k, id))), nlink: 1, time: created}
}

// fileAttr returns the attributes of a file in the directory of img.
func (m *Mount) fileAttr(img *image.Image, n node) (attr, error) {
	a := attr{node: n, typ: syscall.S_IFREG, nlink: 1, time: img.CreatedAt.UnixMicro()}
	switch n.kind() {
	case kindDocument, kindSum:
		b, err := m.content(img, n)
		if err != nil {
			return a, err
		}
		a.size = int64(len(b))
		if n.kind() == kindDocument {
			a.time = img.UpdatedAt.UnixMicro()
		}
	default:
		size := sizeOf(img, n)
		if *size == nil {
			return a, image.ErrNoData
		}
		a.size = **size
		if img.IsRawDisk() {
			a.nlink = 2
		}
	}
	return a, nil
}

// sizeOf returns the field of img that has the size of a node with data.
func sizeOf(img *image.Image, n node) **int64 {
	if n.isRawView() {
		return &img.VirtualSize
	}
	return &img.Size
}

// attrOf returns the attributes of any node.
func (m *Mount) attrOf(ctx context.Context, n node) (attr, error) {
	switch k := n.kind(); {
	case n == rootNode, k >= kindIDs && k <= kindTag:
		return m.dirAttr(n), nil
	case k == kindImage, k >= kindLink2 && k <= kindLink4:
		img, err := m.source.Image(ctx, n.number())
		if err != nil {
			return attr{}, err
		}
		if k == kindImage {
			return imageDirAttr(img.Number, img.CreatedAt.UnixMicro()), nil
		}
		return linkAttr(k, img.Number, img.CreatedAt.UnixMicro()), nil
	case k == kindDocument, k == kindSum, n.isData():
		img, err := m.source.Image(ctx, n.number())
		if errors.Is(err, image.ErrNotFound) {
			if a, ok := m.handles.attr(n); ok {
				return a, nil // out of the tree, and still open
			}
		}
		if err != nil {
			return attr{}, err
		}
		return m.fileAttr(img, n)
	}
	return attr{}, syscall.ESTALE
}

// GetAttr answers stat.
func (m *Mount) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	ctx, stop := m.patient()
	defer stop()
	n := node(in.NodeId)
	a, err := m.attrOf(ctx, n)
	if err != nil {
		return m.status("stat", n, err)
	}
	m.fill(&out.Attr, a)
	out.SetTimeout(m.cfg.Timeout)
	return fuse.OK
}

func (m *Mount) fill(out *fuse.Attr, a attr) {
	out.Ino = a.node.ino()
	out.Size = uint64(a.size)
	out.Blocks = (out.Size + 511) / 512
	if a.node.isData() && out.Size >= 2*512 {
		// Where the holes are shows only when the data is opened. cp and tar look for them (SEEK_HOLE) in files that take
		// less than their size, and copy all the zeros of others.
		out.Blocks = out.Size/512 - 1
	}
	out.Blksize = 4096
	out.Nlink = a.nlink
	out.Owner = fuse.Owner{Uid: m.cfg.UID, Gid: m.cfg.GID}
	switch a.typ {
	case syscall.S_IFDIR:
		out.Mode = a.typ | m.cfg.DirMode
	case syscall.S_IFLNK:
		out.Mode = a.typ | 0o777
	default:
		out.Mode = a.typ | m.cfg.FileMode
	}
	t := time.UnixMicro(a.time)
	sec, nsec := uint64(t.Unix()), uint32(t.Nanosecond())
	out.Atime, out.Mtime, out.Ctime = sec, sec, sec
	out.Atimensec, out.Mtimensec, out.Ctimensec = nsec, nsec, nsec
}

// fillEntry gives the kernel a node; it may keep it until told otherwise.
func (m *Mount) fillEntry(out *fuse.EntryOut, a attr) {
	out.NodeId = uint64(a.node)
	out.Generation = generation
	out.SetEntryTimeout(m.cfg.Timeout)
	out.SetAttrTimeout(m.cfg.Timeout)
	m.fill(&out.Attr, a)
}
