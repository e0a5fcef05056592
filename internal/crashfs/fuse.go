package crashfs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// forever is how long the kernel may keep what it knows: everything that changes the tree goes through it.
const forever = 1 << 30

// A fileSystem shows a tree to the kernel.
type fileSystem struct {
	fuse.RawFileSystem // answers ENOSYS to the rest
	tree               *tree
}

// with calls fn under the tree's lock, unless the power is off.
func (f *fileSystem) with(fn func(t *tree) error) fuse.Status {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	if f.tree.counts.Cut {
		return fuse.EIO
	}
	return fuse.ToStatus(fn(f.tree))
}

func attributes(n *inode, out *fuse.Attr) {
	*out = fuse.Attr{Ino: n.number, Mode: n.mode, Nlink: uint32(n.links), Rdev: n.device, Blksize: pageSize}
	out.Uid, out.Gid = n.uid, n.gid
	out.Size = uint64(n.now.size)
	if n.mode&unix.S_IFMT == unix.S_IFLNK {
		out.Size = uint64(len(n.target))
	}
	out.Blocks = uint64(len(n.now.pages)) * (pageSize / 512)
	out.SetTimes(&n.mtime, &n.mtime, &n.mtime)
}

func found(n *inode, out *fuse.EntryOut) {
	out.NodeId, out.Generation, out.EntryValid, out.AttrValid = n.number, 1, forever, forever
	attributes(n, &out.Attr)
}

func (f *fileSystem) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	return f.with(func(t *tree) error {
		n, err := t.lookup(in.NodeId, name)
		if err == nil {
			found(n, out)
		}
		return err
	})
}

func (f *fileSystem) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return f.with(func(t *tree) error {
		n, err := t.inode(in.NodeId)
		if err == nil {
			out.AttrValid = forever
			attributes(n, &out.Attr)
		}
		return err
	})
}

func (f *fileSystem) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	return f.with(func(t *tree) error {
		n, err := t.inode(in.NodeId)
		if err != nil {
			return err
		}
		if size, ok := in.GetSize(); ok {
			if err := t.write(in.NodeId, write{off: int64(size)}); err != nil {
				return err
			}
		}
		if mode, ok := in.GetMode(); ok {
			n.mode = n.mode&unix.S_IFMT | mode&^unix.S_IFMT
		}
		if uid, ok := in.GetUID(); ok {
			n.uid = uid
		}
		if gid, ok := in.GetGID(); ok {
			n.gid = gid
		}
		if mtime, ok := in.GetMTime(); ok {
			n.mtime = mtime
		}
		out.AttrValid = forever
		attributes(n, &out.Attr)
		return nil
	})
}

func (f *fileSystem) create(in *fuse.InHeader, name string, mode, device uint32, target string, out *fuse.EntryOut) fuse.Status {
	return f.with(func(t *tree) error {
		n, err := t.create(in.NodeId, name, mode, in.Uid, in.Gid)
		if err == nil {
			n.device, n.target = device, target
			found(n, out)
		}
		return err
	})
}

func (f *fileSystem) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	return f.create(&in.InHeader, name, in.Mode, in.Rdev, "", out)
}

func (f *fileSystem) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return f.create(&in.InHeader, name, unix.S_IFDIR|in.Mode, 0, "", out)
}

func (f *fileSystem) Symlink(_ <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	return f.create(in, name, unix.S_IFLNK|0o777, 0, target, out)
}

func (f *fileSystem) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	return f.create(&in.InHeader, name, unix.S_IFREG|in.Mode, 0, "", &out.EntryOut)
}

// Tmpfile makes a file without a name; the one that the kernel sends along is its own affair.
func (f *fileSystem) Tmpfile(_ <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	return f.create(&in.InHeader, "", unix.S_IFREG|in.Mode, 0, "", &out.EntryOut)
}

func (f *fileSystem) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	return f.with(func(t *tree) error {
		n, err := t.link(in.Oldnodeid, in.NodeId, name)
		if err == nil {
			found(n, out)
		}
		return err
	})
}

func (f *fileSystem) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return f.with(func(t *tree) error { return t.remove(in.NodeId, name, false) })
}

func (f *fileSystem) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return f.with(func(t *tree) error { return t.remove(in.NodeId, name, true) })
}

func (f *fileSystem) Rename(_ <-chan struct{}, in *fuse.RenameIn, name, newName string) fuse.Status {
	return f.with(func(t *tree) error { return t.rename(in.NodeId, name, in.Newdir, newName, in.Flags) })
}

func (f *fileSystem) Readlink(_ <-chan struct{}, in *fuse.InHeader) (target []byte, status fuse.Status) {
	status = f.with(func(t *tree) error {
		n, err := t.inode(in.NodeId)
		if err == nil {
			target = []byte(n.target)
		}
		return err
	})
	return target, status
}

func (f *fileSystem) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE // mmap of a shared memory file needs the page cache
	return f.with(func(t *tree) error {
		if in.Flags&unix.O_TRUNC != 0 {
			return t.write(in.NodeId, write{})
		}
		return nil
	})
}

func (f *fileSystem) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	n := 0
	status := f.with(func(t *tree) error {
		file, err := t.inode(in.NodeId)
		if err == nil {
			n = file.now.readAt(buf[:min(int(in.Size), len(buf))], int64(in.Offset))
		}
		return err
	})
	return fuse.ReadResultData(buf[:n]), status
}

func (f *fileSystem) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if len(data) == 0 {
		return 0, fuse.OK
	}
	own := append([]byte(nil), data...)
	status := f.with(func(t *tree) error { return t.write(in.NodeId, write{off: int64(in.Offset), data: own}) })
	return uint32(len(data)), status
}

func (f *fileSystem) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	return f.with(func(t *tree) error {
		n, err := t.inode(in.NodeId)
		if err != nil {
			return err
		}
		end := int64(in.Offset + in.Length)
		switch in.Mode {
		case unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE:
			return t.write(in.NodeId, write{off: int64(in.Offset), hole: int64(in.Length)})
		case unix.FALLOC_FL_KEEP_SIZE:
			return nil
		case 0:
			if end > n.now.size {
				return t.write(in.NodeId, write{off: end})
			}
			return nil
		}
		return syscall.EOPNOTSUPP
	})
}

func (f *fileSystem) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	return f.with(func(t *tree) error {
		n, err := t.inode(in.NodeId)
		if err != nil {
			return err
		}
		off := int64(-1)
		if int64(in.Offset) < n.now.size {
			off = n.now.seek(int64(in.Offset), in.Whence == unix.SEEK_DATA)
		}
		if off < 0 {
			return syscall.ENXIO
		}
		out.Offset = uint64(off)
		return nil
	})
}

func (f *fileSystem) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return f.with(func(t *tree) error { return t.sync(in.NodeId) })
}

func (f *fileSystem) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return f.with(func(t *tree) error { return t.sync(in.NodeId) })
}

func (f *fileSystem) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

func (f *fileSystem) OpenDir(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status {
	return fuse.OK
}

func (f *fileSystem) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return f.with(func(t *tree) error {
		names, entries, err := t.list(in.NodeId, in.Offset)
		for i, e := range entries {
			if !out.AddDirEntry(fuse.DirEntry{Name: names[i], Mode: e.to.mode, Ino: e.to.number, Off: e.cookie}) {
				break
			}
		}
		return err
	})
}

func (f *fileSystem) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return f.with(func(t *tree) error {
		names, entries, err := t.list(in.NodeId, in.Offset)
		for i, e := range entries {
			entry := out.AddDirLookupEntry(fuse.DirEntry{Name: names[i], Mode: e.to.mode, Ino: e.to.number, Off: e.cookie})
			if entry == nil {
				break
			}
			found(e.to, entry)
		}
		return err
	})
}

// StatFs tells of a disk of 64 GiB, less what the files hold.
func (f *fileSystem) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	return f.with(func(t *tree) error {
		*out = fuse.StatfsOut{Blocks: 16 << 20, Bfree: 16 << 20, Files: 1 << 20, Ffree: 1 << 20, Bsize: pageSize, Frsize: pageSize, NameLen: 255}
		for _, n := range t.inodes {
			out.Bfree -= min(out.Bfree, uint64(len(n.now.pages)))
		}
		out.Bavail = out.Bfree
		return nil
	})
}

// mount shows the tree at dir until the server is unmounted.
func mount(t *tree, dir string) (*fuse.Server, error) {
	t.root.mtime = time.Now()
	server, err := fuse.NewServer(&fileSystem{RawFileSystem: fuse.NewDefaultRawFileSystem(), tree: t}, dir, &fuse.MountOptions{
		FsName: "crashfs", Name: "crashfs", DirectMount: true, MaxWrite: 1 << 20, DisableXAttrs: true,
		Options: []string{"default_permissions"}, AllowOther: syscall.Geteuid() == 0,
	})
	if err != nil {
		return nil, err
	}
	go server.Serve()
	return server, server.WaitMount()
}
