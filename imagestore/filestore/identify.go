package filestore

import (
	"fmt"
	"slices"

	"github.com/vitrine-image/vitrine/image"
)

// identify finds out which store the directories are, and marks those that are new. It runs once, within Open.
func (s *Store) identify() error {
	markers := make([]*marker, len(s.dirs))
	for i, d := range s.dirs {
		r, m, err := probe(d.path)
		if err != nil {
			if !notExist(err) && s.uuid == "" {
				return err
			}
			d.offline = err.Error()
			continue
		}
		if err := d.attach(r); err != nil {
			return err
		}
		markers[i] = m
	}
	used, err := s.agree(markers)
	if err != nil {
		return err
	}
	fresh := s.uuid == ""
	if fresh {
		s.uuid = string(image.NewID())
	}
	for i, d := range s.dirs {
		switch m := markers[i]; {
		case m != nil && m.UUID == s.uuid:
		case m != nil:
			s.reject(d, foreignMarker(m))
		case !fresh && (used == nil || slices.Contains(used, d.path)):
			s.reject(d, foreignMarker(nil))
		default:
			if err := s.adopt(d); err != nil {
				return err
			}
		}
	}
	return s.markAll(markers)
}

// agree sets the store's identity from the markers, unless it is known, and returns the directories that they name:
// nil if there is no marker of the store.
func (s *Store) agree(markers []*marker) (used []string, err error) {
	known := s.uuid != ""
	for i, m := range markers {
		if m == nil {
			continue
		}
		if s.uuid == "" {
			s.uuid = m.UUID
		}
		switch {
		case m.UUID == s.uuid:
			used = append(used, m.Directories...)
			used = append(used, s.dirs[i].path) // where it is mounted now
		case !known:
			return nil, fmt.Errorf("directory %s belongs to the store %s and not to %s, as those before it",
				s.dirs[i].path, m.UUID, s.uuid)
		}
	}
	return used, nil
}

func (s *Store) reject(d *directory, why string) {
	d.close()
	s.noteOffline(d, why)
}

// adopt makes a new directory the store's.
func (s *Store) adopt(d *directory) error {
	if err := makeDirectory(d.path); err != nil {
		return err
	}
	if d.root == nil {
		r, err := openRoot(d.path)
		if err != nil {
			return err
		}
		if err := d.attach(r); err != nil {
			return err
		}
	}
	empty, err := isEmpty(d.root)
	if err != nil {
		return err
	}
	if !empty && !s.occupied {
		return fmt.Errorf("directory %s holds other things and no marker file %s: name an empty directory, or put the marker back",
			d.path, markerName)
	}
	s.log.Info("new store directory", "path", d.path)
	return nil
}

// markAll writes the markers that are missing or do not name all directories. The new ones come first: an old marker
// that names a directory without one would take it for a disk that is not mounted.
func (s *Store) markAll(old []*marker) error {
	m := marker{
		About: "This directory belongs to a Vitrine image store. Without this file the store is offline.",
		UUID:  s.uuid,
	}
	for _, d := range s.dirs {
		m.Directories = append(m.Directories, d.path)
	}
	for _, isNew := range []bool{true, false} {
		for i, d := range s.dirs {
			if d.root == nil || (old[i] == nil) != isNew {
				continue
			}
			if err := d.mark(old[i], m); err != nil {
				return fmt.Errorf("mark directory %s: %w", d.path, err)
			}
		}
	}
	return nil
}

// mark makes m the directory's durable marker.
func (d *directory) mark(old *marker, m marker) error {
	if old != nil && slices.Equal(old.Directories, m.Directories) {
		return d.root.sync() // whoever wrote it may not have come so far
	}
	return writeMarker(d.root, m)
}
