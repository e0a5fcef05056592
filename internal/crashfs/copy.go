package crashfs

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// load fills the tree with what lies in a plain directory; all of it is durable.
func (t *tree) load(dir string) error {
	if err := t.loadDir(dir, t.root, map[uint64]*inode{}); err != nil {
		return fmt.Errorf("load %s: %w", dir, err)
	}
	for _, change := range t.journal {
		change.keep()
	}
	t.journal = nil
	return nil
}

func (t *tree) loadDir(dir string, into *inode, seen map[uint64]*inode) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := e.Info()
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		n := seen[stat.Ino]
		if n == nil {
			n = t.add(stat.Mode, stat.Uid, stat.Gid)
			n.mtime, n.device = info.ModTime(), uint32(stat.Rdev)
			seen[stat.Ino] = n
			if err := t.loadInode(path, n, seen); err != nil {
				return err
			}
		}
		t.relink(link{into, e.Name(), n})
	}
	return nil
}

func (t *tree) loadInode(path string, n *inode, seen map[uint64]*inode) (err error) {
	switch n.mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return t.loadDir(path, n, seen)
	case unix.S_IFLNK:
		n.target, err = os.Readlink(path)
		return err
	case unix.S_IFREG:
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := n.now.readFrom(f); err != nil {
			return err
		}
		n.kept = n.now.clone()
	}
	return nil
}

// readFrom takes the bytes of r; pages of zeros become holes.
func (c *content) readFrom(r io.Reader) error {
	zeros, page := make([]byte, pageSize), make([]byte, pageSize)
	for {
		n, err := io.ReadFull(r, page)
		if !bytes.Equal(page[:n], zeros[:n]) {
			c.writeAt(page[:n], c.size)
		} else {
			c.size += int64(n)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// store writes the tree into a plain directory, which must be empty.
func (t *tree) store(dir string) error {
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return fmt.Errorf("store the survivors in %s: it must be an empty directory (%w)", dir, err)
	}
	if err := t.storeDir(t.root, dir, map[*inode]string{}); err != nil {
		return fmt.Errorf("store the survivors in %s: %w", dir, err)
	}
	return nil
}

func (t *tree) storeDir(n *inode, dir string, stored map[*inode]string) error {
	for _, name := range slices.Sorted(maps.Keys(n.entries)) {
		child, path := n.entries[name].to, filepath.Join(dir, name)
		if first, ok := stored[child]; ok && !child.isDir() {
			if err := os.Link(first, path); err != nil {
				return err
			}
			continue
		}
		stored[child] = path
		if err := t.storeInode(child, path, stored); err != nil {
			return err
		}
		if err := os.Lchown(path, int(child.uid), int(child.gid)); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) storeInode(n *inode, path string, stored map[*inode]string) error {
	permissions := os.FileMode(n.mode & 0o777)
	switch n.mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if err := os.Mkdir(path, 0o700); err != nil {
			return err
		}
		if err := t.storeDir(n, path, stored); err != nil {
			return err
		}
		return os.Chmod(path, permissions)
	case unix.S_IFLNK:
		return os.Symlink(n.target, path)
	case unix.S_IFREG:
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := n.now.writeTo(f); err != nil {
			return err
		}
		if err := f.Chmod(permissions); err != nil {
			return err
		}
		return os.Chtimes(path, n.mtime, n.mtime)
	}
	return unix.Mknod(path, n.mode, int(n.device))
}

func (c *content) writeTo(f *os.File) error {
	for number, page := range c.pages {
		off := number * pageSize
		if _, err := f.WriteAt(page[:min(pageSize, c.size-off)], off); err != nil {
			return err
		}
	}
	return f.Truncate(c.size)
}
