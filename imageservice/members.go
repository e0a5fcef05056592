package imageservice

import (
	"context"
	"errors"
	"slices"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// Members returns whom an image is shared with: all to its owner and to admins, to a member its own record.
// Errors: image.ErrNotFound, image.ErrForbidden when the image is not shared.
func (s *Session) Members(ctx context.Context, id image.ID) (members []image.Member, err error) {
	defer s.recordRefusal(ctx, events.ImageObject, string(id), &err)
	img, err := s.sharedImage(ctx, id, "", policy.GetImage)
	if err != nil {
		return nil, err
	}
	err = s.svc.db.View(ctx, func(tx metadata.Tx) error {
		members, err = tx.Members(img.Number)
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(members, func(m image.Member) bool {
		return !s.svc.policy.Allows(ctx, s.caller, policy.GetMembers, policy.ForImage(img, m.Project))
	}), nil
}

// Member returns one member's record. Errors: image.ErrNotFound, also when the caller may not see it.
func (s *Session) Member(ctx context.Context, id image.ID, project string) (m image.Member, err error) {
	defer s.recordRefusal(ctx, events.ImageObject, string(id), &err)
	img, err := s.permitted(ctx, id, policy.GetImage)
	if err != nil {
		return m, err
	}
	if s.svc.policy.Allows(ctx, s.caller, policy.GetMember, policy.ForImage(img, project)) {
		err = s.svc.db.View(ctx, func(tx metadata.Tx) error {
			m, err = tx.Member(img.Number, project)
			return err
		})
		if !errors.Is(err, image.ErrNotFound) {
			return m, err
		}
	}
	return m, noMember(id, project)
}

// AddMember shares the image with a project. Errors: image.ErrNotFound, image.ErrForbidden, image.ErrConflict when it is
// shared with it already, image.ErrTooLarge over the quota.
func (s *Session) AddMember(ctx context.Context, id image.ID, project string) (m image.Member, err error) {
	if err := image.CheckProject(project); err != nil {
		return m, err
	}
	return s.changeMember(ctx, id, project, addMember, s.svc.db.Update, func(tx metadata.WriteTx, img *image.Image) (m image.Member, err error) {
		members, err := tx.Members(img.Number)
		if err != nil {
			return m, err
		}
		if slices.ContainsFunc(members, func(m image.Member) bool { return m.Project == project }) {
			return m, image.Errorf(image.ErrConflict, "Project %s is a member of image %s already", project, id)
		}
		if n := len(members) + 1; s.svc.limits.Members >= 0 && n > s.svc.limits.Members {
			return m, &image.QuotaError{Resource: "image_member_quota", Limit: int64(s.svc.limits.Members), Attempted: int64(n)}
		}
		return s.svc.saveMember(tx, img, project, image.MemberPending)
	})
}

// SetMemberStatus accepts or rejects an image that is shared with a project, as its members do.
// Errors: image.ErrNotFound, image.ErrForbidden for the owner, image.ErrInvalid.
func (s *Session) SetMemberStatus(ctx context.Context, id image.ID, project, status string) (m image.Member, err error) {
	if err := image.CheckMemberStatus(status); err != nil {
		return m, err
	}
	return s.changeMember(ctx, id, project, setMemberStatus, s.svc.db.Update, func(tx metadata.WriteTx, img *image.Image) (image.Member, error) {
		if m, err := tx.Member(img.Number, project); err != nil {
			return m, err
		}
		return s.svc.saveMember(tx, img, project, status)
	})
}

// RemoveMember stops sharing the image with a project. Errors: image.ErrNotFound, image.ErrForbidden.
func (s *Session) RemoveMember(ctx context.Context, id image.ID, project string) error {
	_, err := s.changeMember(ctx, id, project, removeMember, s.svc.db.UpdateFreeing, func(tx metadata.WriteTx, img *image.Image) (image.Member, error) {
		m, err := tx.Member(img.Number, project)
		if err != nil {
			return m, err
		}
		return m, tx.RemoveMember(img.Number, project)
	})
	return err
}

func (s *Service) saveMember(tx metadata.WriteTx, img *image.Image, project, status string) (m image.Member, err error) {
	if err := tx.SaveMember(img.Number, project, status, s.timestamp()); err != nil {
		return m, err
	}
	return tx.Member(img.Number, project)
}

// A memberChange is what may become of a membership: the rule that allows it, and how it is told.
type memberChange struct {
	rule   string
	action events.Action
	event  events.Name
}

var (
	addMember       = memberChange{policy.AddMember, events.Share, events.MemberCreate}
	setMemberStatus = memberChange{policy.ModifyMember, events.Answer, events.MemberUpdate}
	removeMember    = memberChange{policy.DeleteMember, events.Unshare, events.MemberDelete}
)

// changeMember lets fn change a member of a shared image with which the rule allows the caller to do so, and returns the
// record as it is then, or was.
func (s *Session) changeMember(ctx context.Context, id image.ID, project string, how memberChange,
	update func(context.Context, func(metadata.WriteTx) error) error, fn func(metadata.WriteTx, *image.Image) (image.Member, error)) (m image.Member, err error) {
	act := onImage(how.action, id)
	act.Member = project
	defer s.record(ctx, act, &err)
	err = retry(ctx, func() error {
		seen, err := s.sharedImage(ctx, id, project, how.rule)
		if err != nil {
			return err
		}
		return update(ctx, func(tx metadata.WriteTx) error {
			img, err := s.unchanged(tx, seen)
			if err != nil {
				return err
			}
			m, err = fn(tx, img)
			return err
		})
	})
	if err == nil {
		s.svc.tellMember(ctx, how.event, m)
	}
	if written := (*image.Error)(nil); errors.Is(err, image.ErrNotFound) && !errors.As(err, &written) {
		err = noMember(id, project)
	}
	return m, err
}

// sharedImage returns a shared image if the rule allows the caller what it is about: the record of the project's
// membership, "" for no one's in particular.
func (s *Session) sharedImage(ctx context.Context, id image.ID, project, rule string) (*image.Image, error) {
	img, err := s.permitted(ctx, id)
	if err != nil {
		return nil, err
	}
	member := project
	if member == "" && img.Owner != s.caller.ProjectID {
		member = s.caller.ProjectID // who sees it and is not its owner is a member of it
	}
	err = s.check(ctx, img, member, rule)
	if errors.Is(err, image.ErrForbidden) && project != "" && rule != policy.AddMember &&
		!s.svc.policy.Allows(ctx, s.caller, policy.GetMember, policy.ForImage(img, project)) {
		return nil, noMember(id, project) // others' records are not even there
	}
	if err != nil {
		return nil, err
	}
	if img.Visibility != image.Shared {
		return nil, image.Errorf(image.ErrForbidden, "Only shared images have members, and image %s is %s.", id, img.Visibility)
	}
	return img, nil
}

func noMember(id image.ID, project string) error {
	return image.Errorf(image.ErrNotFound, "Project %s is not a member of image %s", project, id)
}
