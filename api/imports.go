package api

import (
	"context"
	"net/http"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

// An ImportSession is the part of a Session that imports, and knows of the stores that have the data.
type ImportSession interface {
	Stage(ctx context.Context, id image.ID, up imageservice.Upload) error
	Import(ctx context.Context, id image.ID, imp image.Import) error
	DeleteCopy(ctx context.Context, store string, id image.ID) error
	Locations(ctx context.Context, id image.ID) ([]image.Location, error)
	AddLocation(ctx context.Context, id image.ID, add image.NewLocation) error
	// ShowsLocations returns whether the caller may see where the data of an image lies.
	ShowsLocations(ctx context.Context) func(*image.Image) bool
}

// importImage serves POST /v2/images/{image}/import: what to import in, nothing out.
func (s *server) importImage(w http.ResponseWriter, r *http.Request) error {
	value, room, err := s.readJSON(r)
	defer room.release()
	if err != nil {
		return err
	}
	imp, err := importRequest(value)
	if err != nil {
		return err
	}
	imp.Store = r.Header.Get("X-Image-Meta-Store")
	id, err := imageID(r)
	if err != nil {
		return err
	}
	if err := s.session(r).Import(r.Context(), id, imp); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// importRequest reads the document of an import. Members that it does not know are somebody else's.
func importRequest(value any) (imp image.Import, err error) {
	doc, ok := value.(map[string]any)
	if !ok {
		return imp, image.Errorf(image.ErrInvalid, "The request body must be a JSON object.")
	}
	method, ok := doc["method"].(map[string]any)
	if !ok {
		return imp, image.Errorf(image.ErrInvalid, "Method field is required in the request body, an object.")
	}
	if imp.Method, ok = method["name"].(string); !ok {
		return imp, image.Errorf(image.ErrInvalid, "The import method needs a name.")
	}
	if imp.Method == image.ImportURL {
		if imp.URL, ok = method["uri"].(string); !ok || imp.URL == "" {
			return imp, image.Errorf(image.ErrInvalid, "The import method web-download needs a uri.")
		}
	}
	if imp.Method == image.ImportDownload {
		if err := readSource(&imp, method); err != nil {
			return imp, err
		}
	}
	if stores, have := doc["stores"]; have {
		list, ok := stores.([]any)
		if !ok {
			return imp, image.Errorf(image.ErrInvalid, "stores must be a list of the ids of stores.")
		}
		for _, v := range list {
			id, ok := v.(string)
			if !ok {
				return imp, image.Errorf(image.ErrInvalid, "stores must be a list of the ids of stores.")
			}
			imp.Stores = append(imp.Stores, id)
		}
	}
	mustSucceed := true
	for name, flag := range map[string]*bool{"all_stores": &imp.AllStores, "all_stores_must_succeed": &mustSucceed} {
		if v, have := doc[name]; have {
			if *flag, ok = v.(bool); !ok {
				return imp, image.Errorf(image.ErrInvalid, "'%s' must be boolean value only", name)
			}
		}
	}
	imp.AllowFailure = !mustSucceed
	return imp, nil
}

// readSource reads where an image of another region is. What is missing is found out later: other things are wrong before.
func readSource(imp *image.Import, method map[string]any) error {
	source := ""
	for name, text := range map[string]*string{"glance_image_id": &source, "glance_region": &imp.Region, "glance_service_interface": &imp.Interface} {
		v, have := method[name]
		if !have {
			continue
		}
		var ok bool
		if *text, ok = v.(string); !ok {
			return image.Errorf(image.ErrInvalid, "'%s' must be a string", name)
		}
	}
	imp.Source, _ = image.ParseID(source)
	return nil
}

// deleteCopy serves DELETE /v2/stores/{store}/{image}.
func (s *server) deleteCopy(w http.ResponseWriter, r *http.Request) error {
	store, err := param(r, "store")
	if err != nil {
		return err
	}
	return s.onImage(w, r, func(session Session, id image.ID) error { return session.DeleteCopy(r.Context(), store, id) })
}
