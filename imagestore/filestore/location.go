package filestore

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// objectPath returns the path of an object below its directory. Errors: image.ErrInvalid.
func objectPath(obj imagestore.Object) (string, error) {
	if err := obj.Check(); err != nil {
		return "", err
	}
	return path.Join(shardOf(obj.Name), obj.Name), nil
}

func shardOf(name string) string { return name[:2] }

// isObjectPath tells whether a path below a directory is one that Put makes, the shard and the name, or the name alone, by
// which Glance keeps files that were taken over from it.
func isObjectPath(p string) bool {
	dir, name := path.Split(p)
	return imagestore.IsObjectName(name) && (dir == "" || dir == shardOf(name)+"/")
}

// location returns the location of the object at p below d.
func (s *Store) location(d *directory, p string) image.Location {
	u := url.URL{Scheme: "file", Path: filepath.Join(d.path, p)}
	return image.Location{Store: s.id, URL: u.String()}
}

// resolve finds the directory of a location and the path below it. A location outside of the directories names the
// object all the same: they were moved since it was recorded, so it is looked for in all of them.
// Errors: image.ErrDataMissing when the location is none that this store gives, image.ErrStoreOffline.
func (s *Store) resolve(loc image.Location) (*directory, string, error) {
	u, err := url.Parse(loc.URL)
	if err != nil || loc.Store != s.id || path.Clean(u.Path) != u.Path || (&url.URL{Scheme: "file", Path: u.Path}).String() != loc.URL {
		return nil, "", s.foreign()
	}
	for _, d := range s.dirs {
		p, ok := strings.CutPrefix(u.Path, strings.TrimSuffix(d.path, "/")+"/")
		if ok && isObjectPath(p) {
			return d, p, nil
		}
	}
	dir, name := path.Split(u.Path)
	if !imagestore.IsObjectName(name) {
		return nil, "", s.foreign()
	}
	p := name
	if shard := path.Base(dir); shard == shardOf(name) {
		p = path.Join(shard, name)
	}
	d, err := s.find(p)
	if err == nil && d == nil {
		err = s.foreign()
	}
	return d, p, err
}

func (s *Store) foreign() error {
	return fmt.Errorf("store %s: the location lies in none of its directories: %w", s.id, image.ErrDataMissing)
}

// Locate returns where the object is, or else the first directory that cannot be looked into, or else the one that
// takes new data first. The URL is empty for an object that Put would refuse.
func (s *Store) Locate(obj imagestore.Object) image.Location {
	p, err := objectPath(obj)
	if err != nil {
		return image.Location{Store: s.id}
	}
	d, _ := s.find(p)
	if d == nil {
		d = s.dirs[0]
	}
	return s.location(d, p)
}

// find returns the directory that holds something at p, nil if none does. With an error, the directory is one where nobody
// can tell. Errors: image.ErrStoreOffline; image.ErrDataMissing when just this path cannot be looked at.
func (s *Store) find(p string) (*directory, error) {
	var unknown *directory
	var why error
	for _, d := range s.dirs {
		r, err := s.online(d)
		if err == nil {
			_, err = r.stat(p)
			if err == nil {
				return d, nil
			}
			if notExist(err) {
				continue
			}
			err = s.unreadable(d, r, err)
		}
		if unknown == nil {
			unknown, why = d, err
		}
	}
	return unknown, why
}
