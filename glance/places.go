package glance

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// The types of stores in which data of Glance can stay.
const (
	TypeFile = "file"
	TypeRBD  = "rbd"
	TypeHTTP = "http"
)

// A Place is one of our stores.
type Place struct {
	Store string
	Type  string   // one of the types above; no location leads to another one
	Dirs  []string // of files
	Pool  string   // of RBD images
}

func isURL(text string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	return ok && scheme != "" && !strings.ContainsFunc(scheme, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+-.", r))
	})
}

// place finds the store in which the data at a location lies: the one that has the name Glance gives it, if the data can
// be there, or else the only one in which it can. The location it returns says so in our words.
func place(places []Place, l location) (image.Location, error) {
	u, err := url.Parse(l.url)
	if err != nil {
		return image.Location{}, fmt.Errorf("its location is no URL")
	}
	name, _ := l.metadata["store"].(string)
	found := image.Location{URL: l.url, Metadata: map[string]string{image.MetadataAdopted: "yes"}}
	for key, value := range l.metadata {
		if text, ok := value.(string); ok && key != "store" && !image.IsBookkeeping(key) {
			found.Metadata[key] = text
		}
	}
	var possible []Place
	switch u.Scheme {
	case "file", "filesystem":
		u.Path = path.Clean(u.Path)
		if !imagestore.IsObjectName(path.Base(u.Path)) {
			return found, fmt.Errorf("its file %s is not named after an image", u.Path)
		}
		found.URL = (&url.URL{Scheme: "file", Path: u.Path}).String()
		possible = ofType(places, TypeFile, func(p Place) bool { return slices.Contains(p.Dirs, path.Dir(u.Path)) })
		if len(possible) == 0 { // the directories may have been mounted elsewhere
			possible = ofType(places, TypeFile, func(p Place) bool { return p.Store == name })
		}
	case "rbd":
		parts := strings.Split(strings.TrimPrefix(l.url, "rbd://"), "/")
		pool := ""
		if len(parts) == 4 {
			pool, _ = url.PathUnescape(parts[1]) // what cannot be read is no pool of ours
		}
		possible = ofType(places, TypeRBD, func(p Place) bool { return len(parts) == 1 || p.Pool == pool })
	case "http", "https":
		possible = ofType(places, TypeHTTP, func(Place) bool { return true })
	default:
		return found, fmt.Errorf("its data lies in a store of Glance that has no counterpart (%s://)", u.Scheme)
	}
	if i := slices.IndexFunc(possible, func(p Place) bool { return p.Store == name }); i >= 0 {
		possible = possible[i : i+1]
	}
	if len(possible) != 1 {
		return found, fmt.Errorf("its data at %s lies in %s", image.Location{Store: "Glance's store " + name, URL: l.url}, inHowMany(len(possible)))
	}
	found.Store = possible[0].Store
	return found, nil
}

func inHowMany(stores int) string {
	if stores == 0 {
		return "none of the configured stores"
	}
	return "more than one of the configured stores, of which none has the name"
}

func ofType(places []Place, kind string, fits func(Place) bool) (found []Place) {
	for _, p := range places {
		if p.Type == kind && fits(p) {
			found = append(found, p)
		}
	}
	return found
}
