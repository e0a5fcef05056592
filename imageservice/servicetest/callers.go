package servicetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// Sharing are the verbs that matter between projects.
type Sharing interface {
	Images
	Members(ctx context.Context, id image.ID) ([]image.Member, error)
	Member(ctx context.Context, id image.ID, project string) (image.Member, error)
	AddMember(ctx context.Context, id image.ID, project string) (image.Member, error)
	SetMemberStatus(ctx context.Context, id image.ID, project, status string) (image.Member, error)
	RemoveMember(ctx context.Context, id image.ID, project string) error
	Pins(ctx context.Context, id image.ID) ([]image.Pin, error)
	Pin(ctx context.Context, id image.ID, guest string) (image.Pin, error)
	Unpin(ctx context.Context, id image.ID, guest string) error
}

// The callers of the suite: an admin of the project "ops", and projects named "owner", "member" and "other".
var (
	Admin  = image.Caller{ProjectID: "ops", UserID: "root", Roles: []string{"admin", "member", "reader"}}
	Owner  = caller("owner")
	Member = caller("member")
	Other  = caller("other")
)

// Callers returns all of them.
func Callers() []image.Caller { return []image.Caller{Admin, Owner, Member, Other} }

func caller(project string) image.Caller {
	return image.Caller{ProjectID: project, UserID: "somebody", Roles: []string{"member", "reader"}}
}

// RunCallers runs what several callers do to each other's images. open returns a service without images, which is called
// once for each test.
func RunCallers(t *testing.T, open func(t *testing.T) func(image.Caller) Sharing) {
	for name, test := range map[string]func(t *testing.T, as func(image.Caller) Sharing){
		"Share":             share,
		"MembersSayNoMore":  membersSayNoMore,
		"MemberStatus":      memberStatus,
		"MembersOfOthers":   membersOfOthers,
		"MembersNeedShared": membersNeedShared,
		"MemberQuota":       memberQuota,
		"MembersOfNothing":  membersOfNothing,
		"Pins":              pins,
		"PinsOfOthers":      pinsOfOthers,
		"PinsAreBounded":    pinsAreBounded,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// shared makes an image with data of Owner that is shared with Member.
func shared(t *testing.T, as func(image.Caller) Sharing) image.ID {
	t.Helper()
	id := create(t, as(Owner), raw("disk")...).ID
	upload(t, as(Owner), id, []byte("data"))
	m, err := as(Owner).AddMember(t.Context(), id, Member.ProjectID)
	if err != nil || m.ImageID != id || m.Project != Member.ProjectID || m.Status != image.MemberPending || m.CreatedAt.IsZero() {
		t.Fatalf("AddMember = %+v, %v", m, err)
	}
	return id
}

// share follows an image from the one project to the other and back.
func share(t *testing.T, as func(image.Caller) Sharing) {
	id := shared(t, as)
	if got, err := as(Member).Download(t.Context(), id); err != nil || string(got) != "data" {
		t.Errorf("a member's download = %q, %v", got, err)
	}
	_, err := as(Other).Download(t.Context(), id)
	wantErr(t, "the download of another project", err, image.ErrNotFound)
	_, err = as(Owner).AddMember(t.Context(), id, Member.ProjectID)
	wantErr(t, "sharing it again", err, image.ErrConflict)
	if err := as(Owner).RemoveMember(t.Context(), id, Member.ProjectID); err != nil {
		t.Fatal(err)
	}
	_, err = as(Member).Get(t.Context(), id)
	wantErr(t, "the image that is shared no longer", err, image.ErrNotFound)
	wantErr(t, "removing the member again", as(Owner).RemoveMember(t.Context(), id, Member.ProjectID), image.ErrNotFound)
	m, err := as(Admin).AddMember(t.Context(), id, Member.ProjectID)
	if err != nil || m.Status != image.MemberPending {
		t.Errorf("sharing it once more = %+v, %v", m, err)
	}
}

// membersSayNoMore lets everybody list the members.
func membersSayNoMore(t *testing.T, as func(image.Caller) Sharing) {
	id := shared(t, as)
	if _, err := as(Owner).AddMember(t.Context(), id, "a / project?"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		caller image.Caller
		want   []string
		err    error
	}{
		{Admin, []string{"a / project?", "member"}, nil},
		{Owner, []string{"a / project?", "member"}, nil},
		{Member, []string{"member"}, nil},
		{Other, nil, image.ErrNotFound},
	} {
		members, err := as(tt.caller).Members(t.Context(), id)
		var got []string
		for _, m := range members {
			got = append(got, m.Project)
		}
		if !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("%s sees the members %q, %v, want %q, %v", tt.caller.ProjectID, got, err, tt.want, tt.err)
		}
		for project, want := range map[string]bool{"a / project?": len(tt.want) == 2, "member": tt.want != nil, "nobody": false} {
			m, err := as(tt.caller).Member(t.Context(), id, project)
			if want != (err == nil) || want && m.Project != project || !want && !errors.Is(err, image.ErrNotFound) {
				t.Errorf("%s asks for the member %q: %+v, %v", tt.caller.ProjectID, project, m, err)
			}
		}
	}
}

// memberStatus lets a member make up his mind, which decides what he finds in his list.
func memberStatus(t *testing.T, as func(image.Caller) Sharing) {
	id := shared(t, as)
	for _, status := range []string{image.MemberAccepted, image.MemberRejected, image.MemberPending, image.MemberAccepted} {
		m, err := as(Member).SetMemberStatus(t.Context(), id, Member.ProjectID, status)
		if err != nil || m.Status != status || m.Project != Member.ProjectID {
			t.Errorf("SetMemberStatus(%s) = %+v, %v", status, m, err)
		}
		for filter, want := range map[string]bool{"": status == image.MemberAccepted, "all": true, status: true} {
			page, err := as(Member).List(t.Context(), image.Query{MemberStatus: filter, Limit: 10})
			if err != nil || (len(page) == 1) != want {
				t.Errorf("%s: the list of member_status %q has %d images, %v", status, filter, len(page), err)
			}
		}
	}
	_, err := as(Member).SetMemberStatus(t.Context(), id, Member.ProjectID, "keen")
	wantErr(t, "a status that there is not", err, image.ErrInvalid)
	_, err = as(Owner).SetMemberStatus(t.Context(), id, Member.ProjectID, image.MemberRejected)
	wantErr(t, "the owner who decides for his member", err, image.ErrForbidden)
	_, err = as(Admin).SetMemberStatus(t.Context(), id, "nobody", image.MemberAccepted)
	wantErr(t, "the status of no member", err, image.ErrNotFound)
}

// membersOfOthers are not changed by those who may only see them.
func membersOfOthers(t *testing.T, as func(image.Caller) Sharing) {
	id := shared(t, as)
	for who, want := range map[string]error{"member": image.ErrForbidden, "other": image.ErrNotFound} {
		_, err := as(caller(who)).AddMember(t.Context(), id, "friend")
		wantErr(t, who+" shares it on", err, want)
		wantErr(t, who+" removes the member", as(caller(who)).RemoveMember(t.Context(), id, Member.ProjectID), want)
	}
	_, err := as(Other).SetMemberStatus(t.Context(), id, Member.ProjectID, image.MemberAccepted)
	wantErr(t, "another accepts it", err, image.ErrNotFound)
}

// membersNeedShared keeps what is said of members while the image is not shared.
func membersNeedShared(t *testing.T, as func(image.Caller) Sharing) {
	id := shared(t, as)
	publish := func(v image.Visibility) {
		t.Helper()
		if _, err := as(Admin).Edit(t.Context(), id, []image.Edit{{Op: image.EditReplace, Name: "visibility", Value: string(v)}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range []image.Visibility{image.Private, image.Community, image.Public} {
		publish(v)
		_, err := as(Owner).Members(t.Context(), id)
		wantErr(t, "members of an image that is "+string(v), err, image.ErrForbidden)
		_, err = as(Owner).AddMember(t.Context(), id, "friend")
		wantErr(t, "a member of an image that is "+string(v), err, image.ErrForbidden)
	}
	publish(image.Shared)
	if _, err := as(Member).Get(t.Context(), id); err != nil {
		t.Errorf("the image is shared again, and its member: %v", err)
	}
}

func memberQuota(t *testing.T, as func(image.Caller) Sharing) {
	id := create(t, as(Owner)).ID
	for i := range 128 {
		if _, err := as(Owner).AddMember(t.Context(), id, string(image.NewID())); err != nil {
			t.Fatalf("member %d: %v", i+1, err)
		}
	}
	_, err := as(Owner).AddMember(t.Context(), id, "one more")
	wantErr(t, "129 members", err, image.ErrTooLarge)
	members, err := as(Owner).Members(t.Context(), id)
	if err != nil || len(members) != 128 {
		t.Errorf("%d members, %v", len(members), err)
	}
	for _, bad := range []string{"", string(make([]byte, 256)), "\U0001F600"} {
		_, err := as(Owner).AddMember(t.Context(), id, bad)
		wantErr(t, "a project that cannot be", err, image.ErrInvalid)
	}
}

func membersOfNothing(t *testing.T, as func(image.Caller) Sharing) {
	id := image.NewID()
	_, err := as(Owner).Members(t.Context(), id)
	wantErr(t, "Members", err, image.ErrNotFound)
	_, err = as(Owner).Member(t.Context(), id, "p")
	wantErr(t, "Member", err, image.ErrNotFound)
	_, err = as(Owner).AddMember(t.Context(), id, "p")
	wantErr(t, "AddMember", err, image.ErrNotFound)
	_, err = as(Owner).SetMemberStatus(t.Context(), id, "p", image.MemberAccepted)
	wantErr(t, "SetMemberStatus", err, image.ErrNotFound)
	wantErr(t, "RemoveMember", as(Owner).RemoveMember(t.Context(), id, "p"), image.ErrNotFound)
}
