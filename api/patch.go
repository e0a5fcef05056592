package api

import (
	"net/http"
	"strings"

	"github.com/vitrine-image/vitrine/image"
)

// The two media types of a PATCH. The older one names operation and path in one member: {"add": "/name", "value": ...}.
const (
	patchType    = "application/openstack-images-v2.1-json-patch"
	oldPatchType = "application/openstack-images-v2.0-json-patch"
)

// patchImage serves PATCH /v2/images/{image}: a list of changes in, of which all or none are carried out, the whole image
// out.
func (s *server) patchImage(w http.ResponseWriter, r *http.Request) error {
	kind, err := mediaType(r, patchType, oldPatchType)
	if err != nil {
		w.Header().Set("Accept-Patch", oldPatchType+", "+patchType)
		return err
	}
	id, err := imageID(r)
	if err != nil {
		return err
	}
	value, room, err := s.readJSON(r)
	defer room.release()
	if err != nil {
		return err
	}
	edits, err := parsePatch(value, kind == oldPatchType)
	if err != nil {
		return err
	}
	img, err := s.session(r).Edit(r.Context(), id, edits)
	room.release() // before the answer waits for the client
	if err != nil {
		return err
	}
	return s.writeImage(w, r, http.StatusOK, img)
}

// parsePatch reads a list of changes.
func parsePatch(value any, old bool) ([]image.Edit, error) {
	list, ok := value.([]any)
	if !ok {
		return nil, image.Errorf(image.ErrInvalid, "Request body must be a JSON array of operation objects.")
	}
	edits := make([]image.Edit, 0, len(list))
	for _, item := range list {
		change, ok := item.(map[string]any)
		if !ok {
			return nil, image.Errorf(image.ErrInvalid, "Operations must be JSON objects.")
		}
		split := newChange
		if old {
			split = oldChange
		}
		op, pointer, err := split(change)
		if err != nil {
			return nil, err
		}
		edit := image.Edit{Op: op, Strict: old}
		if edit.Name, edit.Item, err = fieldOf(pointer, op); err != nil {
			return nil, err
		}
		if edit.Value, ok = change["value"]; !ok && op != image.EditRemove {
			return nil, image.Errorf(image.ErrInvalid, `Operation "%s" requires a member named "value".`, op)
		}
		edits = append(edits, edit)
	}
	return edits, nil
}

// newChange reads operation and path of {"op": "add", "path": "/name", ...}.
func newChange(change map[string]any) (op image.EditOp, pointer string, err error) {
	name, ok := change["op"].(string)
	if !ok {
		return "", "", image.Errorf(image.ErrInvalid, `Unable to find "op" in JSON Schema change: it must be a string`)
	}
	op = image.EditOp(name)
	if op != image.EditAdd && op != image.EditReplace && op != image.EditRemove {
		return "", "", image.Errorf(image.ErrInvalid, "Invalid operation: `%s`. It must be one of the following: add, remove, replace.", name)
	}
	if pointer, ok = change["path"].(string); !ok {
		return "", "", image.Errorf(image.ErrInvalid, `Unable to find "path" in JSON Schema change: it must be a string`)
	}
	return op, pointer, nil
}

// oldChange reads operation and path of {"add": "/name", ...}.
func oldChange(change map[string]any) (op image.EditOp, pointer string, err error) {
	for _, candidate := range []image.EditOp{image.EditAdd, image.EditReplace, image.EditRemove} {
		path, have := change[string(candidate)]
		if !have {
			continue
		}
		text, ok := path.(string)
		if op != "" || !ok {
			op = ""
			break
		}
		op, pointer = candidate, text
	}
	if op == "" {
		return "", "", image.Errorf(image.ErrInvalid,
			`Operation objects must contain exactly one member named "add", "remove", or "replace", whose value is a path.`)
	}
	return op, pointer, nil
}

// fieldOf returns the field that a JSON pointer names, and the item of it. Only locations have an inside that can be changed on its own.
func fieldOf(pointer string, op image.EditOp) (name, item string, err error) {
	tokens, err := parsePointer(pointer)
	if err != nil {
		return "", "", err
	}
	depth := 1
	if tokens[0] == image.EditLocations && op != image.EditReplace {
		depth = 2
	}
	if len(tokens) != depth {
		return "", "", image.Errorf(image.ErrInvalid, "Invalid JSON pointer for this resource: '%s'", pointer)
	}
	if depth == 2 {
		item = tokens[1]
	}
	return tokens[0], item, nil
}

// parsePointer splits a JSON pointer (RFC 6901) that names something inside the document.
func parsePointer(pointer string) ([]string, error) {
	rest, ok := strings.CutPrefix(pointer, "/")
	if !ok {
		return nil, image.Errorf(image.ErrInvalid, "Pointer `%s` does not start with \"/\".", pointer)
	}
	tokens := strings.Split(rest, "/")
	for i, token := range tokens {
		if strings.TrimSpace(token) == "" {
			return nil, image.Errorf(image.ErrInvalid, "Pointer `%s` contains an empty element.", pointer)
		}
		for at := 0; at < len(token); at++ {
			if token[at] == '~' && (at+1 == len(token) || token[at+1] != '0' && token[at+1] != '1') {
				return nil, image.Errorf(image.ErrInvalid, "Pointer `%s` contains a \"~\" that is not part of a recognized escape sequence.", pointer)
			}
		}
		tokens[i] = unescape.Replace(token)
	}
	return tokens, nil
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")
