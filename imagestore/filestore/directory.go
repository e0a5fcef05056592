package filestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/vitrine-image/vitrine/image"
	"golang.org/x/sys/unix"
)

// A directory is one of a store's. It is online once its marker was seen.
type directory struct {
	path     string // absolute, clean
	priority int

	mu      sync.Mutex
	root    *root     // nil while offline
	shards  [256]bool // those that this process knows to survive a power cut
	offline string    // why, "" when online
}

// The marker is a file that names the store whose directory it lies in, and all directories of the store, so that a new
// one can be told from one whose disk is not mounted.
const (
	markerName = ".vitrine-store"
	markerSize = 64 << 10 // more is no marker
	tmpName    = "tmp"
)

type marker struct {
	About       string   `json:"about"`
	UUID        string   `json:"uuid"`
	Directories []string `json:"directories"`
}

// online returns the open directory. Errors: image.ErrStoreOffline.
func (s *Store) online(d *directory) (*root, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root != nil {
		return d.root, nil
	}
	r, m, err := probe(d.path)
	if err == nil && (m == nil || m.UUID != s.uuid) {
		r.Close()
		err = errors.New(foreignMarker(m))
	}
	if err == nil {
		err = d.attach(r)
	}
	if err != nil {
		s.noteOffline(d, err.Error())
		return nil, fmt.Errorf("store %s: directory %s: %s: %w", s.id, d.path, d.offline, image.ErrStoreOffline)
	}
	s.log.Info("store directory is online again", "path", d.path)
	return d.root, nil
}

func foreignMarker(m *marker) string {
	if m == nil {
		return "its marker file " + markerName + " is missing (is the disk mounted?)"
	}
	return "its marker file " + markerName + " is that of another store, " + m.UUID
}

func (s *Store) noteOffline(d *directory, why string) {
	if d.offline != why {
		s.log.Error("store directory is offline", "path", d.path, "reason", why)
	}
	d.offline = why
}

// attach makes r the open directory, with d.mu held or before the store is in use.
func (d *directory) attach(r *root) error {
	st, err := r.stat(".")
	if err != nil {
		r.Close()
		return err
	}
	r.device = st.Dev
	d.root, d.offline, d.shards = r, "", [256]bool{}
	return nil
}

// gone tells whether the store's marker cannot be read through r any more, or r is not what lies at the directory's path,
// and then takes the directory offline: its disk died or was unmounted (lazily, since we hold it open), or it was removed
// under our hands. The next call looks for it at its path anew.
func (s *Store) gone(d *directory, r *root) bool {
	m, err := readMarker(r)
	switch {
	case isOneOf(err, exhausted):
		return true
	case err == nil && m != nil && m.UUID == s.uuid:
		if err = r.isAt(d.path); err == nil {
			return false
		}
	case err == nil:
		err = errors.New(foreignMarker(m))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root == r {
		d.root.Close()
		d.root = nil
		s.noteOffline(d, err.Error())
	}
	return true
}

// attached looks for the marker once more, and tells whether r is still the directory d.
func (s *Store) attached(d *directory, r *root) bool {
	s.gone(d, r)
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.root == r
}

// forget lets the next write make the shard.
func (d *directory) forget(shard string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shards[hexByte(shard)] = false
}

func (d *directory) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root == nil {
		return nil
	}
	r := d.root
	d.root = nil
	return r.Close()
}

// probe opens a directory and reads its marker, nil if there is none.
func probe(path string) (*root, *marker, error) {
	r, err := openRoot(path)
	if err != nil {
		return nil, nil, err
	}
	m, err := readMarker(r)
	if err != nil {
		r.Close()
		return nil, nil, err
	}
	return r, m, nil
}

func readMarker(r *root) (*marker, error) {
	f, _, err := r.openFile(markerName)
	if notExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, markerSize+1))
	if err != nil {
		return nil, err
	}
	var m marker
	if err := json.Unmarshal(text, &m); err != nil || len(text) > markerSize || m.UUID == "" {
		return nil, fmt.Errorf("the marker file %s is damaged: put it back from another directory of the store",
			r.path(markerName))
	}
	return &m, nil
}

// writeMarker writes the marker durably, over an older one.
func writeMarker(r *root, m marker) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	const name = markerName + ".new"
	if err := r.unlink(name); err != nil && !notExist(err) {
		return err
	}
	f, err := r.open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(append(text, '\n')); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := r.rename(name, markerName); err != nil {
		return err
	}
	return r.sync()
}

// makeDirectory makes a directory with what is missing above it, durably. That something exists does not tell that it
// survives a power cut: an earlier start may have been killed before it came to its fsync.
func makeDirectory(path string) error {
	if err := os.MkdirAll(path, dirMode); err != nil {
		return err
	}
	for path != "/" {
		path = filepath.Dir(path)
		r, err := openRoot(path)
		if errors.Is(err, fs.ErrPermission) {
			return nil // nothing in there is our doing
		}
		if err != nil {
			return err
		}
		err = r.sync()
		r.Close()
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EROFS) { // of those that cannot change
			return err
		}
	}
	return nil
}

// isEmpty reports whether a directory holds nothing but what a fresh file system or an interrupted first start leaves.
func isEmpty(r *root) (bool, error) {
	dir, err := r.sub(".")
	if err != nil {
		return false, err
	}
	defer dir.Close()
	names, err := dir.f.Readdirnames(8)
	if err != nil && err != io.EOF {
		return false, err
	}
	return !slices.ContainsFunc(names, func(name string) bool {
		return name != "lost+found" && name != markerName+".new"
	}), nil
}
