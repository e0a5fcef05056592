package imageservice_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/metadata"
)

// TestTreeShows who finds which images in the mount: nobody else takes a name at the top, and what is not active is
// nowhere.
func TestTreeShows(t *testing.T) {
	svc := open(t, t.TempDir(), nil)
	images := map[string]*image.Image{}
	for name, of := range map[string]struct {
		project    string
		visibility image.Visibility
	}{
		"public": {"p1", image.Public}, "shared": {"p1", image.Shared}, "private": {"p2", image.Private}, "deactivated": {"p1", image.Public},
	} {
		s := session{svc.As(image.Caller{ProjectID: of.project, Roles: []string{"admin"}})}
		img := active(t, s, "debian", name)
		img, err := s.Edit(t.Context(), img.ID, []image.Edit{{Op: image.EditReplace, Name: "visibility", Value: string(of.visibility)}})
		if err != nil {
			t.Fatal(err)
		}
		images[name] = img
	}
	if err := (session{svc.As(admin)}).Deactivate(t.Context(), images["deactivated"].ID); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		cfg       imageservice.TreeConfig
		all, tops []string // in by-id, and under the name at the top
	}{
		{"all, trusted", imageservice.TreeConfig{TrustAll: true}, []string{"private", "public", "shared"}, []string{"private", "public", "shared"}},
		{"all", imageservice.TreeConfig{}, []string{"private", "public", "shared"}, []string{"public"}},
		{"all, one trusted", imageservice.TreeConfig{TrustedProjects: []string{"p2"}}, []string{"private", "public", "shared"}, []string{"private", "public"}},
		{"public", imageservice.TreeConfig{ShowPublic: true, TrustAll: true}, []string{"public"}, []string{"public"}},
		{"a project", imageservice.TreeConfig{ShowProjects: []string{"p2"}}, []string{"private"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tree := svc.Tree(tt.cfg)
			checkDir(t, tree, images, imageservice.TreeDir{}, tt.all)
			label, err := tree.LabelByEntry(t.Context(), metadata.LabelName, 0, "debian")
			if (err == nil) != (len(tt.tops) > 0) || err != nil && !errors.Is(err, image.ErrNotFound) {
				t.Errorf("by-name/debian = %v, %v", label, err)
			}
			if err == nil {
				checkDir(t, tree, images, imageservice.TreeDir{Kind: metadata.LabelName, Label: label.Number}, tt.tops)
			}
			for name, img := range images {
				_, byNumber := tree.Image(t.Context(), img.Number)
				_, byID := tree.ImageByID(t.Context(), img.ID)
				for _, err := range []error{byNumber, byID} {
					if shown := slices.Contains(tt.all, name); (err == nil) != shown || !shown && !errors.Is(err, image.ErrNotFound) {
						t.Errorf("the %s image: %v, want it shown: %v", name, err, shown)
					}
				}
			}
		})
	}
}

// checkDir compares a directory with the names of the images that it should hold.
func checkDir(t *testing.T, tree *imageservice.Tree, images map[string]*image.Image, dir imageservice.TreeDir, want []string) {
	t.Helper()
	page, err := tree.Images(t.Context(), dir, 0, 100)
	if err != nil {
		t.Error(err)
	}
	var got []string
	for name, img := range images {
		listed := slices.ContainsFunc(page, func(e metadata.Entry) bool { return e.ID == img.ID })
		if _, err := tree.ImageIn(t.Context(), dir, img.ID); (err == nil) != listed {
			t.Errorf("the %s image is listed: %v, and looked up: %v", name, listed, err)
		}
		if listed {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) || len(page) != len(want) {
		t.Errorf("%+v holds %q of %d, want %q", dir, got, len(page), want)
	}
}
