package filestore

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// Sweep implements imagestore.Sweeper: it removes temporary files that no process holds. Files that never had a name
// are gone with the process that made them. Directories that are offline are left for the next time.
func (s *Store) Sweep(ctx context.Context) (removed int, err error) {
	var errs []error
	for _, d := range s.dirs {
		r, err := s.online(d)
		if err == nil {
			var n int
			n, err = sweep(ctx, r)
			removed += n
			if err != nil {
				err = s.failure(d, r, err)
			}
		}
		errs = append(errs, err)
	}
	return removed, errors.Join(errs...)
}

func sweep(ctx context.Context, r *root) (removed int, err error) {
	tmp, err := r.sub(tmpName)
	if notExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer tmp.Close()
	var failed error // the first: one file keeps no other one
	err = tmp.each(ctx, func(name string, st unix.Stat_t) error {
		if !strings.HasPrefix(name, tmpPrefix) || kindOf(st.Mode) != "" {
			return nil // not ours; the audit tells
		}
		err := removeUnused(tmp, name)
		switch {
		case err == nil:
			removed++
		case !notExist(err) && !errors.Is(err, unix.EWOULDBLOCK): // else a write is under way, or just came to its end
			failed = cmp.Or(failed, err)
		}
		return nil
	})
	return removed, errors.Join(failed, err)
}

// removeUnused removes a temporary file that no write has locked. Errors: EWOULDBLOCK if one has.
func removeUnused(tmp *root, name string) error {
	f, err := tmp.open(name, unix.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := lock(f); err != nil {
		return err
	}
	return tmp.unlink(name)
}

// each calls fn for every entry of the directory. Entries that vanish meanwhile are left out.
func (r *root) each(ctx context.Context, fn func(name string, st unix.Stat_t) error) error {
	dir, err := r.sub(".") // with an offset of its own
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		names, err := dir.f.Readdirnames(256)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			st, err := r.stat(name)
			if err == nil {
				err = fn(name, st)
			}
			if err != nil && !notExist(err) {
				return err
			}
		}
	}
}
