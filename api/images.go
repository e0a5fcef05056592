package api

import (
	"net/http"
	"strings"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// createImage serves POST /v2/images: a document in, the whole image out.
func (s *server) createImage(w http.ResponseWriter, r *http.Request) error {
	value, room, err := s.readJSON(r)
	defer room.release()
	if err != nil {
		return err
	}
	members, ok := value.(map[string]any)
	if !ok {
		return image.Errorf(image.ErrInvalid, "The request body must be a JSON object.")
	}
	id, edits, err := image.Creation(members)
	if err != nil {
		return err
	}
	img, err := s.session(r).Create(r.Context(), id, edits)
	room.release() // before the answer waits for the client
	if err != nil {
		return err
	}
	w.Header().Set("Location", s.baseURL(r)+wire.ImagesPath+"/"+string(img.ID))
	if len(s.cfg.ImportMethods) > 0 {
		w.Header().Set("OpenStack-image-import-methods", strings.Join(s.cfg.ImportMethods, ","))
	}
	if s.documents.MultiStore {
		w.Header().Set("OpenStack-image-store-ids", s.storeIDs)
	}
	return s.writeImage(w, r, http.StatusCreated, img)
}

// showImage serves GET /v2/images/{image}.
func (s *server) showImage(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r)
	if err != nil {
		return err
	}
	img, err := s.session(r).Get(r.Context(), id)
	if err != nil {
		return err
	}
	return s.writeImage(w, r, http.StatusOK, img)
}

// deleteImage serves DELETE /v2/images/{image}.
func (s *server) deleteImage(w http.ResponseWriter, r *http.Request) error {
	return s.onImage(w, r, func(session Session, id image.ID) error { return session.Delete(r.Context(), id) })
}

// deactivateImage serves POST /v2/images/{image}/actions/deactivate.
func (s *server) deactivateImage(w http.ResponseWriter, r *http.Request) error {
	return s.onImage(w, r, func(session Session, id image.ID) error { return session.Deactivate(r.Context(), id) })
}

// reactivateImage serves POST /v2/images/{image}/actions/reactivate.
func (s *server) reactivateImage(w http.ResponseWriter, r *http.Request) error {
	return s.onImage(w, r, func(session Session, id image.ID) error { return session.Reactivate(r.Context(), id) })
}

// addTag serves PUT /v2/images/{image}/tags/{tag}.
func (s *server) addTag(w http.ResponseWriter, r *http.Request) error {
	return s.onTag(w, r, func(session Session, id image.ID, tag string) error { return session.AddTag(r.Context(), id, tag) })
}

// removeTag serves DELETE /v2/images/{image}/tags/{tag}.
func (s *server) removeTag(w http.ResponseWriter, r *http.Request) error {
	return s.onTag(w, r, func(session Session, id image.ID, tag string) error { return session.RemoveTag(r.Context(), id, tag) })
}

// onImage carries out a verb that answers with nothing but its success.
func (s *server) onImage(w http.ResponseWriter, r *http.Request, verb func(Session, image.ID) error) error {
	id, err := imageID(r)
	if err != nil {
		return err
	}
	if err := verb(s.session(r), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *server) onTag(w http.ResponseWriter, r *http.Request, verb func(Session, image.ID, string) error) error {
	tag, err := param(r, "tag")
	if err != nil {
		return err
	}
	return s.onImage(w, r, func(session Session, id image.ID) error { return verb(session, id, tag) })
}
