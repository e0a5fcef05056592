package imageservice_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/policy"
)

var (
	owner   = image.Caller{ProjectID: "p1", UserID: "u1", Roles: []string{"member", "reader"}}
	reader  = image.Caller{ProjectID: "p1", UserID: "u2", Roles: []string{"reader"}}
	member  = image.Caller{ProjectID: "p2", UserID: "u3", Roles: []string{"member", "reader"}}
	other   = image.Caller{ProjectID: "p3", UserID: "u4", Roles: []string{"member", "reader"}}
	nobody  = image.Caller{Anonymous: true}
	callers = map[string]image.Caller{"admin": {ProjectID: "ops", Roles: []string{"admin", "member", "reader"}}, "owner": owner,
		"reader": reader, "member": member, "other": other, "nobody": nobody}
)

// An act is a verb on one image, as somebody tries it.
type act func(ctx context.Context, s *imageservice.Session, id image.ID) error

func patch(name string, value any) act {
	return func(ctx context.Context, s *imageservice.Session, id image.ID) error {
		_, err := s.Edit(ctx, id, []image.Edit{{Op: image.EditAdd, Name: name, Value: value}})
		return err
	}
}

// TestRights tries every verb as everybody, on an image of project p1 that is shared with p2. Who is not named may not.
func TestRights(t *testing.T) {
	const notFound, forbidden, ok = "not found", "forbidden", "ok"
	for _, tt := range []struct {
		name       string
		visibility image.Visibility
		do         act
		allowed    string // who may; the others are forbidden, or told that there is no such image if they do not see it
	}{
		{"get", image.Shared, func(ctx context.Context, s *imageservice.Session, id image.ID) error {
			_, err := s.Get(ctx, id)
			return err
		}, "admin owner reader member"},
		{"get", image.Public, func(ctx context.Context, s *imageservice.Session, id image.ID) error {
			_, err := s.Get(ctx, id)
			return err
		}, "admin owner reader member other nobody"},
		{"download", image.Shared, download, "admin owner member"},
		{"download", image.Public, download, "admin owner member other nobody"},
		{"download", image.Community, download, "admin owner member other"},
		{"edit", image.Shared, patch("name", "new"), "admin owner"},
		{"edit", image.Public, patch("name", "new"), "admin owner"},
		{"publish", image.Shared, patch("visibility", "public"), "admin"},
		{"give to the community", image.Shared, patch("visibility", "community"), "admin owner"},
		{"give away", image.Shared, patch("owner", "p3"), "admin"},
		{"tag", image.Community, func(ctx context.Context, s *imageservice.Session, id image.ID) error { return s.AddTag(ctx, id, "t") }, "admin owner"},
		{"deactivate", image.Shared, func(ctx context.Context, s *imageservice.Session, id image.ID) error { return s.Deactivate(ctx, id) }, "admin owner"},
		{"delete", image.Shared, func(ctx context.Context, s *imageservice.Session, id image.ID) error { return s.Delete(ctx, id) }, "admin owner"},
		{"upload", image.Public, func(ctx context.Context, s *imageservice.Session, id image.ID) error {
			err := s.Upload(ctx, id, imageservice.Upload{Body: strings.NewReader("x"), ContentLength: 1, ExpectedSize: -1})
			if errors.Is(err, image.ErrConflict) {
				return nil // that it is active already was the next thing to look at
			}
			return err
		}, "admin owner"},
		{"list members", image.Shared, func(ctx context.Context, s *imageservice.Session, id image.ID) error {
			_, err := s.Members(ctx, id)
			return err
		}, "admin owner reader member"},
		{"add a member", image.Shared, func(ctx context.Context, s *imageservice.Session, id image.ID) error {
			_, err := s.AddMember(ctx, id, "p4")
			return err
		}, "admin owner"},
		{"accept", image.Shared, func(ctx context.Context, s *imageservice.Session, id image.ID) error {
			_, err := s.SetMemberStatus(ctx, id, "p2", "accepted")
			return err
		}, "admin member"},
		{"remove a member", image.Shared, func(ctx context.Context, s *imageservice.Session, id image.ID) error {
			return s.RemoveMember(ctx, id, "p2")
		}, "admin owner"},
	} {
		svc := open(t, t.TempDir(), nil)
		sees := map[image.Visibility]string{image.Shared: "admin owner reader member", image.Community: "admin owner reader member other",
			image.Public: "admin owner reader member other nobody"}[tt.visibility]
		for name, caller := range callers {
			img := active(t, session{svc.As(owner)}, "disk", "data")
			if _, err := svc.As(owner).AddMember(t.Context(), img.ID, "p2"); err != nil {
				t.Fatal(err)
			}
			if err := patch("visibility", string(tt.visibility))(t.Context(), svc.As(callers["admin"]), img.ID); err != nil {
				t.Fatal(err)
			}
			want := forbidden
			switch {
			case slices.Contains(strings.Fields(tt.allowed), name):
				want = ok
			case !slices.Contains(strings.Fields(sees), name):
				want = notFound
			}
			got := ok
			switch err := tt.do(t.Context(), svc.As(caller), img.ID); {
			case errors.Is(err, image.ErrNotFound):
				got = notFound
			case errors.Is(err, image.ErrForbidden):
				got = forbidden
			case err != nil:
				got = err.Error()
			}
			if got != want {
				t.Errorf("%s of a %s image by %s: %s, want %s", tt.name, tt.visibility, name, got, want)
			}
		}
	}
}

func download(ctx context.Context, s *imageservice.Session, id image.ID) error {
	data, err := s.Open(ctx, id, imageservice.OpenOptions{})
	if err == nil {
		err = data.Reader.Close()
	}
	return err
}

func TestCreateAndListAskTheRules(t *testing.T) {
	svc := open(t, t.TempDir(), nil)
	for name, want := range map[string]error{"admin": nil, "owner": nil, "reader": image.ErrForbidden, "nobody": image.ErrForbidden} {
		if _, err := svc.As(callers[name]).Create(t.Context(), "", nil); !errors.Is(err, want) {
			t.Errorf("create by %s: %v, want %v", name, err, want)
		}
	}
	_, err := svc.As(owner).Create(t.Context(), "", []image.Edit{{Op: image.EditAdd, Name: "owner", Value: "p2"}})
	if !errors.Is(err, image.ErrForbidden) {
		t.Errorf("create for another project: %v", err)
	}
	if _, err := svc.As(image.Caller{ProjectID: "p1"}).List(t.Context(), image.Query{Limit: 1}); !errors.Is(err, image.ErrForbidden) {
		t.Errorf("list without a role: %v", err)
	}
}

func TestMembers(t *testing.T) {
	svc := open(t, t.TempDir(), nil)
	img := active(t, session{svc.As(owner)}, "disk", "data")
	for _, project := range []string{"p2", "p3"} {
		m, err := svc.As(owner).AddMember(t.Context(), img.ID, project)
		if err != nil || m.Project != project || m.ImageID != img.ID || m.Status != image.MemberPending || m.CreatedAt.IsZero() {
			t.Fatalf("AddMember = %+v, %v", m, err)
		}
	}
	m, err := svc.As(member).SetMemberStatus(t.Context(), img.ID, "p2", image.MemberAccepted)
	if err != nil || m.Status != image.MemberAccepted {
		t.Errorf("SetMemberStatus = %+v, %v", m, err)
	}
	for caller, want := range map[string][]string{"owner": {"p2", "p3"}, "reader": {"p2", "p3"}, "member": {"p2"}, "admin": {"p2", "p3"}} {
		list, err := svc.As(callers[caller]).Members(t.Context(), img.ID)
		var got []string
		for _, m := range list {
			got = append(got, m.Project)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("members as %s sees them: %q, %v, want %q", caller, got, err, want)
		}
	}
	for _, tt := range []struct {
		name string
		do   func() error
		want error
	}{
		{"a member twice", func() error { _, err := svc.As(owner).AddMember(t.Context(), img.ID, "p2"); return err }, image.ErrConflict},
		{"nobody as a member", func() error { _, err := svc.As(owner).AddMember(t.Context(), img.ID, ""); return err }, image.ErrInvalid},
		{"another's record", func() error { _, err := svc.As(member).Member(t.Context(), img.ID, "p3"); return err }, image.ErrNotFound},
		{"a record that is none", func() error { _, err := svc.As(owner).Member(t.Context(), img.ID, "p9"); return err }, image.ErrNotFound},
		{"a bad status", func() error {
			_, err := svc.As(member).SetMemberStatus(t.Context(), img.ID, "p2", "maybe")
			return err
		}, image.ErrInvalid},
		{"another's status", func() error {
			_, err := svc.As(member).SetMemberStatus(t.Context(), img.ID, "p3", "accepted")
			return err
		}, image.ErrNotFound},
		{"one's own status, as the owner", func() error {
			_, err := svc.As(owner).SetMemberStatus(t.Context(), img.ID, "p3", "accepted")
			return err
		}, image.ErrForbidden},
		{"the status of none", func() error {
			_, err := svc.As(callers["admin"]).SetMemberStatus(t.Context(), img.ID, "p9", "accepted")
			return err
		}, image.ErrNotFound},
		{"remove none", func() error { return svc.As(owner).RemoveMember(t.Context(), img.ID, "p9") }, image.ErrNotFound},
		{"remove oneself", func() error { return svc.As(member).RemoveMember(t.Context(), img.ID, "p2") }, image.ErrForbidden},
	} {
		if err := tt.do(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if err := patch("visibility", "private")(t.Context(), svc.As(owner), img.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := svc.As(owner).Members(t.Context(), img.ID); !errors.Is(err, image.ErrForbidden) {
		t.Errorf("members of a private image: %v", err)
	}
	if _, err := svc.As(member).Get(t.Context(), img.ID); !errors.Is(err, image.ErrNotFound) {
		t.Errorf("a private image, as a member sees it: %v", err)
	}
}

func TestMemberQuota(t *testing.T) {
	svc := openWithStore(t, imageservice.Config{Limits: &imageservice.Limits{ImageSize: 1 << 20, Properties: -1, Tags: -1, Members: 2}})
	img := active(t, session{svc.As(owner)}, "disk", "data")
	for i := range 3 {
		_, err := svc.As(owner).AddMember(t.Context(), img.ID, fmt.Sprint("p", i+2))
		if tooMany := i == 2; errors.Is(err, image.ErrTooLarge) != tooMany || err != nil && !tooMany {
			t.Errorf("member %d: %v", i+1, err)
		}
	}
}

// TestManyChangeOneImage: whoever finds the image changed since he looked at it tries again.
func TestManyChangeOneImage(t *testing.T) {
	svc := open(t, t.TempDir(), nil)
	img := active(t, session{svc.As(owner)}, "disk", "data")
	const clients = 24
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			if err := svc.As(owner).AddTag(t.Context(), img.ID, fmt.Sprint("tag", i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got, err := svc.As(owner).Get(t.Context(), img.ID)
	if err != nil || len(got.Tags) != clients {
		t.Errorf("%d tags, %v, want %d", len(got.Tags), err, clients)
	}
}

func TestPropertiesAreProtected(t *testing.T) {
	file := filepath.Join(t.TempDir(), "protections.conf")
	if err := os.WriteFile(file, []byte("[^open_]\ncreate = @\nread = @\nupdate = @\ndelete = @\n"+
		"[^seen_]\ncreate = admin\nread = @\nupdate = admin\ndelete = admin\n"+
		"[.*]\ncreate = admin\nread = admin\nupdate = admin\ndelete = admin\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	protections, err := policy.OpenProtections(policy.ProtectionsConfig{File: file})
	if err != nil {
		t.Fatal(err)
	}
	svc := openWithStore(t, imageservice.Config{Protections: protections})
	img := active(t, session{svc.As(owner)}, "disk", "data")
	root := svc.As(image.Caller{ProjectID: "p1", Roles: []string{"admin", "member", "reader"}})
	for _, name := range []string{"seen_a", "secret_b"} {
		if err := patch(name, "1")(t.Context(), root, img.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := patch("open_c", "1")(t.Context(), svc.As(owner), img.ID); err != nil {
		t.Errorf("an open property: %v", err)
	}
	remove := func(name string) act {
		return func(ctx context.Context, s *imageservice.Session, id image.ID) error {
			_, err := s.Edit(ctx, id, []image.Edit{{Op: image.EditRemove, Name: name}})
			return err
		}
	}
	for name, do := range map[string]act{"create": patch("seen_z", "1"), "update": patch("seen_a", "2"), "delete": remove("seen_a"),
		"create what nobody sees": patch("secret_z", "1")} {
		if err := do(t.Context(), svc.As(owner), img.ID); !errors.Is(err, image.ErrForbidden) {
			t.Errorf("%s: %v, want forbidden", name, err)
		}
	}
	if err := patch("seen_a", "1")(t.Context(), svc.As(owner), img.ID); err != nil {
		t.Errorf("setting a property to what it is: %v", err)
	}
	wantProperties := func(what string, properties map[string]string, want ...string) {
		t.Helper()
		var got []string
		for name := range properties {
			got = append(got, name)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s shows %q, want %q", what, got, want)
		}
	}
	one, err := svc.As(owner).Get(t.Context(), img.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantProperties("Get", one.Properties, "open_c", "seen_a")
	for filter, want := range map[string]int{"seen_a": 1, "secret_b": 0} {
		page, err := svc.As(owner).List(t.Context(), image.Query{Limit: 9, Filters: []image.Filter{{Property: filter, Op: image.OpEqual, Strings: []string{"1"}}}})
		if err != nil || len(page) != want {
			t.Errorf("%d images with %s, %v, want %d", len(page), filter, err, want)
		}
		for _, img := range page {
			wantProperties("List", img.Properties, "open_c", "seen_a")
		}
	}
	all, err := root.Get(t.Context(), img.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantProperties("an admin's Get", all.Properties, "open_c", "secret_b", "seen_a")
	changed, err := svc.As(owner).Edit(t.Context(), img.ID, []image.Edit{{Op: image.EditReplace, Name: "name", Value: "n"}})
	if err != nil {
		t.Fatal(err)
	}
	wantProperties("Edit", changed.Properties, "open_c", "seen_a")
	if all, err = root.Get(t.Context(), img.ID); err != nil || all.Properties["secret_b"] != "1" {
		t.Errorf("a property that the editor does not see is %q, %v", all.Properties["secret_b"], err)
	}
}

// rules returns the built-in rules with those of a file in their place.
func rules(t *testing.T, text string) *policy.Enforcer {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	enforcer, err := policy.Open(policy.Config{File: file})
	if err != nil {
		t.Fatal(err)
	}
	return enforcer
}

// TestAnOperatorsRules: who is an admin, and what a rule allows, is his to say.
func TestAnOperatorsRules(t *testing.T) {
	svc := openWithStore(t, imageservice.Config{Policy: rules(t, "context_is_admin: role:boss\ndelete_image: '!'\n")})
	img := active(t, session{svc.As(owner)}, "disk", "data")
	boss := image.Caller{ProjectID: "ops", Roles: []string{"boss"}}
	if _, err := svc.As(boss).Get(t.Context(), img.ID); err != nil {
		t.Errorf("the boss does not see an image: %v", err)
	}
	admin := image.Caller{ProjectID: "ops", Roles: []string{"admin", "member", "reader"}}
	if _, err := svc.As(admin).Get(t.Context(), img.ID); !errors.Is(err, image.ErrNotFound) {
		t.Errorf("who is no admin here sees an image: %v", err)
	}
	if err := svc.As(owner).Delete(t.Context(), img.ID); !errors.Is(err, image.ErrForbidden) {
		t.Errorf("a deletion that nobody may do: %v", err)
	}
}
