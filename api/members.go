package api

import (
	"context"
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// MemberSession is what one caller can do with the members of images.
type MemberSession interface {
	Members(ctx context.Context, id image.ID) ([]image.Member, error)
	Member(ctx context.Context, id image.ID, project string) (image.Member, error)
	AddMember(ctx context.Context, id image.ID, project string) (image.Member, error)
	SetMemberStatus(ctx context.Context, id image.ID, project, status string) (image.Member, error)
	RemoveMember(ctx context.Context, id image.ID, project string) error
}

// listMembers serves GET /v2/images/{image}/members.
func (s *server) listMembers(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r)
	if err != nil {
		return err
	}
	return s.answer(w, r, func() (any, error) {
		members, err := s.session(r).Members(r.Context(), id)
		return wire.MembersOf(members), err
	})
}

// showMember serves GET /v2/images/{image}/members/{member}.
func (s *server) showMember(w http.ResponseWriter, r *http.Request) error {
	return s.onMember(w, r, func(session Session, id image.ID, project string) (image.Member, error) {
		return session.Member(r.Context(), id, project)
	})
}

// addMember serves POST /v2/images/{image}/members. Unlike other creations it answers 200.
func (s *server) addMember(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r)
	if err != nil {
		return err
	}
	project, err := s.readField(r, "member")
	if err != nil {
		return err
	}
	m, err := s.session(r).AddMember(r.Context(), id, project)
	if err != nil {
		return err
	}
	return s.answer(w, r, func() (any, error) { return wire.MemberOf(m), nil })
}

// setMemberStatus serves PUT /v2/images/{image}/members/{member}.
func (s *server) setMemberStatus(w http.ResponseWriter, r *http.Request) error {
	status, err := s.readField(r, "status")
	if err != nil {
		return err
	}
	return s.onMember(w, r, func(session Session, id image.ID, project string) (image.Member, error) {
		return session.SetMemberStatus(r.Context(), id, project, status)
	})
}

// removeMember serves DELETE /v2/images/{image}/members/{member}.
func (s *server) removeMember(w http.ResponseWriter, r *http.Request) error {
	project, err := param(r, "member")
	if err != nil {
		return err
	}
	return s.onImage(w, r, func(session Session, id image.ID) error { return session.RemoveMember(r.Context(), id, project) })
}

// onMember carries out a verb on the member in the path and answers with its record.
func (s *server) onMember(w http.ResponseWriter, r *http.Request, verb func(Session, image.ID, string) (image.Member, error)) error {
	id, err := imageID(r)
	if err != nil {
		return err
	}
	project, err := param(r, "member")
	if err != nil {
		return err
	}
	m, err := verb(s.session(r), id, project)
	if err != nil {
		return err
	}
	return s.answer(w, r, func() (any, error) { return wire.MemberOf(m), nil })
}

// readField reads a body that is an object, and returns one of its members, which must be a string. Others do not matter.
func (s *server) readField(r *http.Request, name string) (string, error) {
	value, room, err := s.readJSON(r)
	defer room.release()
	if err != nil {
		return "", err
	}
	members, _ := value.(map[string]any)
	text, ok := members[name].(string)
	if !ok {
		return "", image.Errorf(image.ErrInvalid, `The request body must be a JSON object with the string %q.`, name)
	}
	return text, nil
}

func memberSchema() object {
	return object{"name": "member", "properties": memberProperties()}
}

func memberProperties() object {
	return object{
		"created_at": object{"type": "string", "description": "When the image was shared with the project"},
		"image_id":   object{"type": "string", "pattern": uuidPattern, "description": "Identifier of the image"},
		"member_id":  object{"type": "string", "description": "Project that the image is shared with"},
		"schema":     object{"type": "string", "readOnly": true},
		"status": object{"type": "string", "enum": []string{image.MemberPending, image.MemberAccepted, image.MemberRejected},
			"description": "What the project says of it"},
		"updated_at": object{"type": "string", "description": "When the record was changed last"},
	}
}

// membersSchema describes the answer to a list, which has no pages.
func membersSchema() object {
	return object{
		"name": "members",
		"properties": object{
			"members": object{"type": "array", "items": memberSchema()},
			"schema":  object{"type": "string"},
		},
		"links": []object{{"rel": "describedby", "href": "{schema}"}},
	}
}
