package crashfs

import (
	"slices"
	"syscall"
)

// A write is one change of a file's bytes.
type write struct {
	off  int64
	data []byte // nil for a truncation to off, or a hole
	hole int64  // length of a hole at off
}

func (w write) apply(c *content) {
	switch {
	case w.data != nil:
		c.writeAt(w.data, w.off)
	case w.hole > 0:
		c.punch(w.off, w.hole)
	default:
		c.truncate(w.off)
	}
}

// A link says what a name in a directory stands for; to is nil when the name is gone.
type link struct {
	dir  *inode
	name string
	to   *inode
}

// A linkChange is what happens to names at once: one of them, or the two of a rename.
type linkChange []link

// relink changes names now, and notes the change as not yet durable.
func (t *tree) relink(links ...link) {
	for _, l := range links {
		if old, ok := l.dir.entries[l.name]; ok {
			old.to.links--
			delete(l.dir.entries, l.name)
		}
		if l.to != nil {
			l.dir.lastCookie++
			l.dir.entries[l.name] = entry{l.to, l.dir.lastCookie}
			l.to.links++
		}
	}
	t.journal = append(t.journal, links)
}

func (c linkChange) keep() {
	for _, l := range c {
		if l.to == nil {
			delete(l.dir.keptEntries, l.name)
		} else {
			l.dir.keptEntries[l.name] = l.to
		}
	}
}

// write changes a file's bytes.
func (t *tree) write(number uint64, w write) error {
	n, err := t.inode(number)
	if err != nil {
		return err
	}
	if !n.isRegular() {
		return syscall.EINVAL
	}
	if err := t.change(); err != nil {
		return err
	}
	w.apply(&n.now)
	n.pending = append(n.pending, w)
	return nil
}

// sync makes durable what POSIX promises and no more: a file's bytes without its name, a directory's names without
// what they stand for, nor the directory's own name in its parent.
func (t *tree) sync(number uint64) error {
	n, err := t.inode(number)
	if err != nil {
		return err
	}
	if err := t.step(n); err != nil || t.lying {
		return err
	}
	if n.isDir() {
		t.syncNames(n)
		return nil
	}
	for _, w := range n.pending {
		w.apply(&n.kept)
	}
	n.pending = nil
	return nil
}

// syncNames makes the changes of a directory durable, in order, with those before that they build upon: a rename from
// another directory takes along what happened to the same name there.
func (t *tree) syncNames(dir *inode) {
	needed := make([]bool, len(t.journal))
	touched := map[link]bool{} // by directory and name
	for i, change := range slices.Backward(t.journal) {
		for _, l := range change {
			if l.dir == dir || touched[link{l.dir, l.name, nil}] {
				needed[i] = true
			}
		}
		if needed[i] {
			for _, l := range change {
				touched[link{l.dir, l.name, nil}] = true
			}
		}
	}
	rest := t.journal[:0]
	for i, change := range t.journal {
		if needed[i] {
			change.keep()
		} else {
			rest = append(rest, change)
		}
	}
	t.journal = rest
}
