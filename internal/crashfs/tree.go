package crashfs

import (
	"cmp"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A tree is the file system without the kernel's side: what programs see now, and for everything what of it would
// survive a power cut. Every method below takes the lock; errors are syscall.Errno.
type tree struct {
	mu     sync.Mutex
	inodes map[uint64]*inode // never freed: a tree lives as long as one test
	root   *inode
	last   uint64 // highest inode number

	journal []linkChange // of directories, in order, that no fsync has made durable
	power
}

// An inode is a file, directory, symbolic link or special file.
type inode struct {
	number   uint64
	mode     uint32 // type and permissions
	uid, gid uint32
	device   uint32
	mtime    time.Time
	target   string // of a symbolic link
	links    int

	now     content // what programs read
	kept    content // what survives
	pending []write // what leads from kept to now, in order

	entries     map[string]entry
	keptEntries map[string]*inode
	lastCookie  uint64
}

// An entry is a name in a directory; cookies grow, so that reading a directory can go on behind one.
type entry struct {
	to     *inode
	cookie uint64
}

func newTree() *tree {
	t := &tree{inodes: map[uint64]*inode{}}
	t.power.init()
	// The first inode is number 1, which is how the kernel names the root.
	t.root = t.add(unix.S_IFDIR|0o755, 0, 0)
	t.root.links = 2
	return t
}

func (t *tree) add(mode, uid, gid uint32) *inode {
	t.last++
	n := &inode{number: t.last, mode: mode, uid: uid, gid: gid, mtime: time.Now()}
	if n.isDir() {
		n.entries, n.keptEntries, n.links = map[string]entry{}, map[string]*inode{}, 2
	}
	t.inodes[n.number] = n
	return n
}

func (n *inode) isDir() bool     { return n.mode&unix.S_IFMT == unix.S_IFDIR }
func (n *inode) isRegular() bool { return n.mode&unix.S_IFMT == unix.S_IFREG }

func (t *tree) inode(number uint64) (*inode, error) {
	if n := t.inodes[number]; n != nil {
		return n, nil
	}
	return nil, syscall.ESTALE
}

func (t *tree) dir(number uint64) (*inode, error) {
	n, err := t.inode(number)
	if err == nil && !n.isDir() {
		err = syscall.ENOTDIR
	}
	return n, err
}

func (t *tree) lookup(parent uint64, name string) (*inode, error) {
	dir, err := t.dir(parent)
	if err != nil {
		return nil, err
	}
	if e, ok := dir.entries[name]; ok {
		return e.to, nil
	}
	return nil, syscall.ENOENT
}

// dirFor returns the directory in which a name will be new, and counts the change.
func (t *tree) dirFor(parent uint64, name string) (*inode, error) {
	dir, err := t.dir(parent)
	if err != nil {
		return nil, err
	}
	if _, exists := dir.entries[name]; exists {
		return nil, syscall.EEXIST
	}
	return dir, t.change()
}

// create makes a new inode under a name; an empty name makes one that has none yet (O_TMPFILE).
func (t *tree) create(parent uint64, name string, mode, uid, gid uint32) (*inode, error) {
	dir, err := t.dirFor(parent, name)
	if err != nil {
		return nil, err
	}
	n := t.add(mode, uid, gid)
	if name != "" {
		t.relink(link{dir, name, n})
	}
	return n, nil
}

func (t *tree) link(number, parent uint64, name string) (*inode, error) {
	n, err := t.inode(number)
	if err != nil {
		return nil, err
	}
	dir, err := t.dirFor(parent, name)
	if err != nil {
		return nil, err
	}
	t.relink(link{dir, name, n})
	return n, nil
}

// remove takes a name away; directory tells whether it must be one of a directory.
func (t *tree) remove(parent uint64, name string, directory bool) error {
	n, err := t.lookup(parent, name)
	switch {
	case err != nil:
		return err
	case directory && !n.isDir():
		return syscall.ENOTDIR
	case !directory && n.isDir():
		return syscall.EISDIR
	case directory && len(n.entries) > 0:
		return syscall.ENOTEMPTY
	}
	dir := t.inodes[parent]
	if err := t.change(); err != nil {
		return err
	}
	t.relink(link{dir, name, nil})
	return nil
}

// rename moves a name, as renameat2 does with its flags.
func (t *tree) rename(parent uint64, name string, newParent uint64, newName string, flags uint32) error {
	n, err := t.lookup(parent, name)
	if err != nil {
		return err
	}
	target, err := t.lookup(newParent, newName)
	switch {
	case err != nil && err != syscall.ENOENT:
		return err
	case flags&^(unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE) != 0:
		return syscall.EINVAL
	case flags&unix.RENAME_EXCHANGE != 0 && target == nil:
		return syscall.ENOENT
	case flags&unix.RENAME_NOREPLACE != 0 && target != nil:
		return syscall.EEXIST
	case flags&unix.RENAME_EXCHANGE == 0 && target != nil:
		if err := mayReplace(n, target); err != nil {
			return err
		}
	}
	from, to := t.inodes[parent], t.inodes[newParent]
	if err := t.change(); err != nil {
		return err
	}
	if n == target {
		return nil
	}
	if flags&unix.RENAME_EXCHANGE == 0 {
		target = nil
	}
	t.relink(link{from, name, target}, link{to, newName, n})
	return nil
}

func mayReplace(n, target *inode) error {
	switch {
	case target.isDir() && !n.isDir():
		return syscall.EISDIR
	case !target.isDir() && n.isDir():
		return syscall.ENOTDIR
	case len(target.entries) > 0:
		return syscall.ENOTEMPTY
	}
	return nil
}

// list returns the entries of a directory with a cookie above after, in their order.
func (t *tree) list(number, after uint64) (names []string, entries []entry, err error) {
	dir, err := t.dir(number)
	if err != nil {
		return nil, nil, err
	}
	for name, e := range dir.entries {
		if e.cookie > after {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(dir.entries[a].cookie, dir.entries[b].cookie) })
	for _, name := range names {
		entries = append(entries, dir.entries[name])
	}
	return names, entries, nil
}

// path names an inode for people.
func (t *tree) path(n *inode) string {
	var find func(dir *inode, prefix string) string
	find = func(dir *inode, prefix string) string {
		for name, e := range dir.entries {
			if e.to == n {
				return prefix + name
			}
			if e.to.isDir() {
				if p := find(e.to, prefix+name+"/"); p != "" {
					return p
				}
			}
		}
		return ""
	}
	if n == t.root {
		return "/"
	}
	return cmp.Or(find(t.root, "/"), "(no name)")
}
