package filestore

import (
	"context"
	"path"
	"strings"

	"github.com/vitrine-image/vitrine/imagestore"
	"golang.org/x/sys/unix"
)

// Audit implements imagestore.Auditor. If a directory is offline it fails before the first finding: what lies there
// would seem to be lost. Temporary files are no findings, and Bytes is a file's size with its holes.
func (s *Store) Audit(ctx context.Context, found func(imagestore.Finding) error) error {
	roots := make([]*root, len(s.dirs))
	for i, d := range s.dirs {
		r, err := s.online(d)
		if err != nil {
			return err
		}
		roots[i] = r
	}
	for i, d := range s.dirs {
		a := auditor{store: s, dir: d, root: roots[i], found: found}
		if err := a.top(ctx); err != nil {
			return err
		}
	}
	return nil
}

type auditor struct {
	store *Store
	dir   *directory
	root  *root
	found func(imagestore.Finding) error
}

func (a *auditor) top(ctx context.Context) error {
	return a.walk(ctx, ".", func(name string, st unix.Stat_t) error {
		directory := st.Mode&unix.S_IFMT == unix.S_IFDIR
		switch {
		case directory && name == "lost+found", !directory && name == markerName && kindOf(st.Mode) == "":
			return nil
		case directory && name == tmpName:
			return a.walk(ctx, name, func(base string, st unix.Stat_t) error {
				if strings.HasPrefix(base, tmpPrefix) && kindOf(st.Mode) == "" {
					return nil
				}
				return a.foreign(path.Join(name, base), st)
			})
		case directory && isShard(name):
			return a.walk(ctx, name, func(base string, st unix.Stat_t) error { return a.entry(path.Join(name, base), st) })
		}
		return a.entry(name, st)
	})
}

// entry reports what lies in a shard, or in the directory itself.
func (a *auditor) entry(p string, st unix.Stat_t) error {
	if kindOf(st.Mode) != "" || !isObjectPath(p) {
		return a.foreign(p, st)
	}
	return a.found(imagestore.Finding{Location: a.store.location(a.dir, p), Path: a.root.path(p), Bytes: st.Size})
}

func (a *auditor) foreign(p string, st unix.Stat_t) error {
	kind := kindOf(st.Mode)
	if kind == "" {
		kind = "file that is no object"
	}
	return a.found(imagestore.Finding{Path: a.root.path(p), Foreign: kind, Bytes: st.Size})
}

// walk lists one directory. An error of fn is returned as it is. One that cannot be opened is a finding as long as the
// store's directory can be read.
func (a *auditor) walk(ctx context.Context, p string, fn func(name string, st unix.Stat_t) error) error {
	r, err := a.root.sub(p)
	switch {
	case err == nil:
		defer r.Close()
		return r.each(ctx, fn)
	case isOneOf(err, exhausted), a.store.gone(a.dir, a.root):
		return a.store.failure(a.dir, a.root, err)
	case notExist(err):
		return nil // removed meanwhile
	}
	return a.found(imagestore.Finding{Path: a.root.path(p), Foreign: "directory that cannot be read"})
}

func isShard(name string) bool {
	return len(name) == 2 && strings.Trim(name, "0123456789abcdef") == ""
}
