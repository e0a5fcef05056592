package imageservice_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imageservice/servicetest"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadef"
	"github.com/vitrine-image/vitrine/policy"
)

func TestMetadefs(t *testing.T) {
	servicetest.RunMetadefs(t, func(t *testing.T) metadef.Catalog { return open(t, t.TempDir(), nil).As(admin) })
}

// namespaces makes public namespaces of the project p1, each with a tag t.
func namespaces(t *testing.T, svc *imageservice.Service, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := svc.As(admin).CreateNamespace(t.Context(), metadef.Document{
			Namespace: metadef.Namespace{Name: name, Visibility: image.Public}, Tags: []metadef.Tag{{Name: "t"}}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestMetadefPolicy overrides rules.
func TestMetadefPolicy(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte(`
"get_metadef_namespace": "role:admin or not 'secret':%(name)s"
"get_metadef_object": "!"
"modify_metadef_namespace": "project_id:%(project_id)s"
"delete_metadef_tags": "role:member"
`), 0o644); err != nil {
		t.Fatal(err)
	}
	rules, err := policy.Open(policy.Config{File: file})
	if err != nil {
		t.Fatal(err)
	}
	defer rules.Close()
	svc := openWith(t, imageservice.Config{DB: openDB(t, dir), Policy: rules},
		imagestore.Entry{ID: "local", Store: openFiles(t, "local", filepath.Join(dir, "images")), Default: true})
	namespaces(t, svc, "a", "secret", "b", "c")
	ctx := t.Context()
	member := svc.As(image.Caller{ProjectID: "p1", Roles: []string{"member", "reader"}})
	foreign := svc.As(image.Caller{ProjectID: "p2", Roles: []string{"reader"}})

	var seen []string
	q := metadef.Query{Sort: "namespace", Asc: true, Limit: 2}
	for {
		page, next, err := member.Namespaces(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page {
			seen = append(seen, d.Namespace.Name)
		}
		if q.Marker = next; next == "" {
			break
		}
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(seen, want) {
		t.Errorf("the rule leaves %q, want %q", seen, want)
	}
	for _, tt := range []struct {
		what string
		verb func() error
		want error
	}{
		{"show what the rule hides", func() error { _, err := member.Namespace(ctx, "secret", ""); return err }, image.ErrNotFound},
		{"change in what the rule hides", func() error { _, err := member.CreateTag(ctx, "secret", "x"); return err }, image.ErrNotFound},
		{"change in what it shows", func() error { _, err := member.CreateTag(ctx, "a", "x"); return err }, image.ErrForbidden},
		{"what a rule gives to members", func() error { return member.DeleteTags(ctx, "a") }, nil},
		{"not to others", func() error { return foreign.DeleteTags(ctx, "b") }, image.ErrForbidden},
		{"show an object", func() error { _, err := svc.As(admin).Object(ctx, "a", "o"); return err }, image.ErrForbidden},
		{"list objects that none may be shown of", func() error { _, err := svc.As(admin).Objects(ctx, "a"); return err }, image.ErrForbidden},
		{"save one's own", func() error {
			_, err := member.SaveNamespace(ctx, "a", metadef.Namespace{Name: "a", Visibility: image.Public})
			return err
		}, nil},
		{"give it away", func() error {
			_, err := member.SaveNamespace(ctx, "a", metadef.Namespace{Name: "a", Visibility: image.Public, Owner: "p2"})
			return err
		}, image.ErrForbidden},
		{"take another's", func() error {
			_, err := foreign.SaveNamespace(ctx, "a", metadef.Namespace{Name: "a", Visibility: image.Public})
			return err
		}, image.ErrForbidden},
	} {
		if err := tt.verb(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.what, err, tt.want)
		}
	}
}

// lateDB calls late between the first View and what comes after.
type lateDB struct {
	metadata.DB
	late func()
}

func (db *lateDB) View(ctx context.Context, fn func(metadata.Tx) error) error {
	defer db.late()
	return db.DB.View(ctx, fn)
}

// TestMetadefRights changes a namespace after the rules were asked about it.
func TestMetadefRights(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	svc := openOn(t, db, dir, nil, false)
	late := &lateDB{DB: db}
	slow := openOn(t, late, dir, nil, false)
	reader := image.Caller{ProjectID: "p2", Roles: []string{"reader"}}
	hide := metadef.Namespace{Name: "a", Visibility: image.Private, Owner: "p1"}
	for _, tt := range []struct {
		what   string
		caller image.Caller
		verb   func(s *imageservice.Session) error
		change func(admin *imageservice.Session) error
		want   error
	}{
		{"read what was hidden", reader, func(s *imageservice.Session) error { _, err := s.Namespace(t.Context(), "a", ""); return err },
			func(s *imageservice.Session) error { _, err := s.SaveNamespace(t.Context(), "a", hide); return err }, image.ErrNotFound},
		{"list what was hidden", reader, func(s *imageservice.Session) error { _, err := s.Tag(t.Context(), "a", "t"); return err },
			func(s *imageservice.Session) error { _, err := s.SaveNamespace(t.Context(), "a", hide); return err }, image.ErrNotFound},
		{"write into what was hidden", admin, func(s *imageservice.Session) error { return s.DeleteTag(t.Context(), "a", "t") },
			func(s *imageservice.Session) error { _, err := s.SaveNamespace(t.Context(), "a", hide); return err }, nil},
		{"write into what was protected", admin, func(s *imageservice.Session) error { return s.DeleteTag(t.Context(), "a", "t") },
			func(s *imageservice.Session) error {
				_, err := s.SaveNamespace(t.Context(), "a", metadef.Namespace{Name: "a", Visibility: image.Public, Protected: true})
				return err
			}, image.ErrForbidden},
		{"write into what was deleted", admin, func(s *imageservice.Session) error { return s.DeleteTag(t.Context(), "a", "t") },
			func(s *imageservice.Session) error { return s.DeleteNamespace(t.Context(), "a") }, image.ErrNotFound},
	} {
		namespaces(t, svc, "a")
		late.late = sync.OnceFunc(func() {
			if err := tt.change(svc.As(admin)); err != nil {
				t.Error(err)
			}
		})
		if err := tt.verb(slow.As(tt.caller)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.what, err, tt.want)
		}
		late.late = func() {}
		n := hide
		n.Visibility = image.Public
		if _, err := svc.As(admin).SaveNamespace(t.Context(), "a", n); err == nil {
			if err := svc.As(admin).DeleteNamespace(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		}
	}
}
