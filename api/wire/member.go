package wire

import (
	"encoding/json"
	"fmt"

	"github.com/vitrine-image/vitrine/image"
)

// Paths of the schemas of members.
const (
	MemberSchema  = "/v2/schemas/member"
	MembersSchema = "/v2/schemas/members"
)

// A Member is the document of a member.
type Member struct {
	MemberID  string `json:"member_id"`
	ImageID   string `json:"image_id"`
	Status    string `json:"status"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
	Schema    string `json:"schema"`
}

// Members is the document of all members that the caller sees of an image.
type Members struct {
	Members []Member `json:"members"`
	Schema  string   `json:"schema"`
}

// MemberOf returns the document of a member.
func MemberOf(m image.Member) Member {
	return Member{MemberID: m.Project, ImageID: string(m.ImageID), Status: m.Status,
		CreatedAt: formatTime(m.CreatedAt), UpdatedAt: formatTime(m.UpdatedAt), Schema: MemberSchema}
}

// MembersOf returns the document of several members.
func MembersOf(members []image.Member) Members {
	doc := Members{Members: make([]Member, len(members)), Schema: MembersSchema}
	for i, m := range members {
		doc.Members[i] = MemberOf(m)
	}
	return doc
}

// ParseMember reads the document of a member.
func ParseMember(data []byte) (image.Member, error) {
	var doc Member
	if err := json.Unmarshal(data, &doc); err != nil {
		return image.Member{}, fmt.Errorf("parse a member: %w", err)
	}
	return doc.member()
}

// ParseMembers reads the document of several members.
func ParseMembers(data []byte) ([]image.Member, error) {
	var doc Members
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("parse a list of members: %w", err)
	}
	members := make([]image.Member, len(doc.Members))
	for i, d := range doc.Members {
		var err error
		if members[i], err = d.member(); err != nil {
			return nil, err
		}
	}
	return members, nil
}

func (doc Member) member() (m image.Member, err error) {
	m = image.Member{Project: doc.MemberID, Status: doc.Status}
	var ok bool
	if m.ImageID, ok = image.ParseID(doc.ImageID); !ok {
		return m, fmt.Errorf("parse a member: %q is no image id", doc.ImageID)
	}
	if m.CreatedAt, err = parseTime(doc.CreatedAt); err != nil {
		return m, err
	}
	m.UpdatedAt, err = parseTime(doc.UpdatedAt)
	return m, err
}
