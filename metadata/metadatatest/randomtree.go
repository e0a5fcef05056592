package metadatatest

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// testRandomTree compares the directories of random images with the model.
func testRandomTree(t *testing.T, db metadata.DB) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t, db)
		defer empty(t, db, m)
		err := db.View(ctx, func(tx metadata.Tx) error {
			for range 20 {
				if err := compareDir(t, tx, m, drawScope(t)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func drawScope(t *rapid.T) metadata.Scope {
	owners := rapid.SliceOfN(rapid.SampledFrom(append(someProjects[1:], "p9")), 0, 2)
	conditions := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) metadata.Condition {
		return metadata.Condition{Public: rapid.Bool().Draw(t, "public"), Owners: owners.Draw(t, "owners")}
	}), 0, 2)
	return metadata.Scope{All: conditions.Draw(t, "all"), Owner: oneOf(t, "owner", someProjects)}
}

func inScope(img *image.Image, s metadata.Scope) bool {
	return img.Status == image.Active && (s.Owner == "" || img.Owner == s.Owner) &&
		!slices.ContainsFunc(s.All, func(c metadata.Condition) bool {
			return !(c.Public && img.Visibility == image.Public || slices.Contains(c.Owners, img.Owner))
		})
}

func compareDir(t *rapid.T, tx metadata.Tx, m model, scope metadata.Scope) error {
	kind := oneOf(t, "kind", []metadata.LabelKind{metadata.LabelName, metadata.LabelTag, metadata.LabelProject})
	under := map[string][]*image.Image{}
	for _, img := range m {
		if !inScope(img.Image, scope) {
			continue
		}
		for _, value := range valuesOf(img.Image, kind) {
			under[value] = append(under[value], img.Image)
		}
	}
	var values []string
	for v := range under {
		values = append(values, v)
	}
	slices.Sort(values)
	got, err := labels(tx, kind, scope)
	if err != nil {
		return err
	}
	if !slices.Equal(got, values) {
		t.Fatalf("labels %d of %+v are %q, want %q", kind, scope, got, values)
	}
	for _, v := range values {
		l, err := tx.TreeLabel(kind, scope, image.EntryName(v))
		if err != nil {
			return err
		}
		if err := compareImages(t, tx, metadata.Dir{Scope: scope, Kind: kind, Label: l.Number}, under[v]); err != nil {
			return err
		}
	}
	return nil
}

func valuesOf(img *image.Image, kind metadata.LabelKind) []string {
	switch {
	case kind == metadata.LabelTag:
		return img.Tags
	case kind == metadata.LabelName && img.Name != nil:
		return []string{*img.Name}
	case kind == metadata.LabelProject && img.Owner != "":
		return []string{img.Owner}
	}
	return nil
}

func compareImages(t *rapid.T, tx metadata.Tx, dir metadata.Dir, want []*image.Image) error {
	slices.SortFunc(want, func(a, b *image.Image) int { return int(a.Number - b.Number) })
	var expected []string
	for _, img := range want {
		expected = append(expected, orZero(img.Name))
	}
	got, err := names(tx, dir)
	if err != nil {
		return err
	}
	if !slices.Equal(got, expected) {
		t.Fatalf("%+v lists %q, want %q", dir, got, expected)
	}
	newest := slices.DeleteFunc(slices.Clone(want), func(img *image.Image) bool { return img.Hidden })
	slices.SortFunc(newest, byAge)
	latest, err := tx.Latest(dir)
	switch {
	case len(newest) == 0:
		if err == nil {
			t.Fatalf("Latest(%+v) = %+v, want none", dir, latest)
		}
		return nil
	case err != nil:
		return err
	case latest.ID != newest[0].ID:
		t.Fatalf("Latest(%+v) = %s, want %s", dir, latest.ID, newest[0].ID)
	}
	return nil
}
