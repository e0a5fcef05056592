//go:build ceph

package rbdstore

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/rbd"
)

const scheme = "rbd://"

// url returns the URL of an image, each part quoted as Glance does.
func (s *Store) url(fsid, name string) string {
	return scheme + strings.Join([]string{quote(fsid), quote(s.name), quote(name), snapshot}, "/")
}

// location returns the location of an object, with the upload as its version: see isOf.
func (s *Store) location(fsid string, obj imagestore.Object) image.Location {
	loc := image.Location{Store: s.id, URL: s.url(fsid, obj.Name)}
	if obj.Upload != "" {
		loc.Metadata = map[string]string{image.MetadataVersion: obj.Upload}
	}
	return loc
}

// adopted tells whether a version is that of an image that others made: the id and, behind an @, that of the snapshot.
func adopted(version string) bool { return strings.Contains(version, "@") }

// isOf tells whether an image is what a location's version is about: what that upload made, or what was adopted. A location
// without a version is about whatever has the name.
func isOf(ctx context.Context, img *rbd.Image, version string) (bool, error) {
	if version == "" {
		return true, nil
	}
	if adopted(version) {
		id, err := img.ID(ctx)
		return strings.HasPrefix(version, id+"@"), err
	}
	upload, err := img.Noted(ctx, noteUpload)
	return upload == version, err
}

// quote keeps letters, digits and -._~, and quotes all else, as Python's urllib.parse.quote(part, "") does.
func quote(part string) string { return strings.ReplaceAll(url.QueryEscape(part), "+", "%20") }

// resolve returns the image that a location names, also one of Glance's oldest form, rbd://<image>.
// Errors: image.ErrDataMissing when the location is none of this store, image.ErrStoreOffline.
func (s *Store) resolve(ctx context.Context, loc image.Location) (name string, err error) {
	rest, ok := strings.CutPrefix(loc.URL, scheme)
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil || plain == "" || quote(plain) != part || strings.Contains(plain, "\x00") { // librbd would take what is before the NUL
			ok = false
		}
		parts[i] = plain
	}
	if !ok || loc.Store != s.id || len(parts) != 1 && len(parts) != 4 {
		return "", s.foreign()
	}
	fsid, err := s.identity(ctx)
	if err != nil {
		return "", err
	}
	if len(parts) == 1 && imagestore.IsObjectName(parts[0]) {
		return parts[0], nil
	}
	if len(parts) != 4 || parts[0] != fsid || parts[1] != s.name || parts[3] != snapshot {
		return "", s.foreign()
	}
	return parts[2], nil
}

func (s *Store) foreign() error {
	return fmt.Errorf("store %s: the location lies in another place: %w", s.id, image.ErrDataMissing)
}

// Locate returns where the object is or would be. The URL is empty for an object that Put would refuse, and while it was
// never known which cluster this is.
func (s *Store) Locate(obj imagestore.Object) image.Location {
	s.mu.Lock()
	fsid := s.fsid
	s.mu.Unlock()
	if fsid == "" {
		fsid, _ = s.identity(context.Background()) // ends within the store's timeout
	}
	if fsid == "" || obj.Check() != nil {
		return image.Location{Store: s.id}
	}
	return s.location(fsid, obj)
}
