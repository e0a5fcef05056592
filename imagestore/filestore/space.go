package filestore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"golang.org/x/sys/unix"
)

// promises are bytes that writes under way have announced and not written yet, by file system: a later one finds only
// what they leave.
type promises struct {
	mu    sync.Mutex
	bytes map[uint64]int64
}

func (p *promises) add(device uint64, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes[device] += n; p.bytes[device] == 0 {
		delete(p.bytes, device)
	}
}

// take adds n if it is no more than free without what was promised before.
func (p *promises) take(device uint64, n, free int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n > free-p.bytes[device] {
		return false
	}
	if n > 0 {
		p.bytes[device] += n
	}
	return true
}

func (p *promises) on(device uint64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes[device]
}

// reserve takes the announced bytes, or looks whether there is any space at all. Errors: image.ErrStoreFull.
func (w *writer) reserve() error {
	space, err := spaceOf(w.root)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // it will say when it is full
	}
	if err != nil {
		return w.store.failure(w.dir, w.root, err)
	}
	want := max(w.size, 0)
	if !w.store.promises.take(w.root.device, want, space.Free-w.store.minFree) {
		return fmt.Errorf("store %s: directory %s has no room for %d bytes: %w", w.store.id, w.dir.path, want, image.ErrStoreFull)
	}
	w.promised = want
	return nil
}

// Space implements imagestore.Measured. Directories on the same file system count once, and those that are offline do not
// count: an upload can take nothing there. It fails when all of them are.
func (s *Store) Space(ctx context.Context) (imagestore.Space, error) {
	var sum imagestore.Space
	var failed []error
	seen := map[uint64]bool{}
	for _, d := range s.dirs {
		r, err := s.online(d)
		if err == nil && seen[r.device] {
			continue
		}
		var space imagestore.Space
		if err == nil {
			if space, err = spaceOf(r); err != nil {
				err = s.failure(d, r, err)
			}
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		seen[r.device] = true
		sum.Total += space.Total
		sum.Free += max(0, space.Free-s.minFree-s.promises.on(r.device))
	}
	if len(seen) == 0 {
		return sum, errors.Join(failed...)
	}
	return sum, nil
}

// spaceOf asks the file system. Free is what is there for everybody, without root's reserve.
// Errors: errors.ErrUnsupported when it does not know.
func spaceOf(r *root) (imagestore.Space, error) {
	st, err := r.statfs()
	if err != nil {
		return imagestore.Space{}, err
	}
	if st.Blocks == 0 {
		return imagestore.Space{}, fmt.Errorf("the file system at %s does not tell its size: %w", r.path("."), errors.ErrUnsupported)
	}
	return spaceIn(st), nil
}

// spaceIn counts in fragments: the block size is only the best one for transfers, and on network file systems a larger one.
func spaceIn(st unix.Statfs_t) imagestore.Space {
	return imagestore.Space{Total: int64(st.Blocks) * st.Frsize, Free: int64(st.Bavail) * st.Frsize}
}

// hexByte reads two hex digits.
func hexByte(s string) int {
	n, _ := strconv.ParseUint(s, 16, 8) // object paths are checked
	return int(n)
}
