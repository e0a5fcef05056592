package image

import (
	"slices"
	"time"
)

// The statuses of a member: access is granted whatever it is, and accepted images appear in the project's lists.
const (
	MemberPending  = "pending"
	MemberAccepted = "accepted"
	MemberRejected = "rejected"
)

// A Member is a project that an image is shared with.
type Member struct {
	ImageID   ID
	Project   string
	Status    string // MemberPending, MemberAccepted or MemberRejected
	CreatedAt time.Time
	UpdatedAt time.Time
}

// CheckMemberStatus refuses what is no member status.
func CheckMemberStatus(status string) error {
	if !slices.Contains([]string{MemberPending, MemberAccepted, MemberRejected}, status) {
		return Errorf(ErrInvalid, "The member status %q is none of pending, accepted and rejected", status)
	}
	return nil
}

// CheckProject refuses what cannot be the id of a project.
func CheckProject(project string) error {
	if project == "" {
		return Errorf(ErrInvalid, "The id of a project may not be empty")
	}
	return checkText("The id of a project", project, MaxNameLength)
}
