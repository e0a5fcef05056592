package metadatatest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

var (
	everything = metadata.Scope{}
	publicOnly = metadata.Scope{All: []metadata.Condition{{Public: true}}}
	trusted    = metadata.Scope{All: []metadata.Condition{{Public: true, Owners: []string{"p1", "p9"}}}}
	ofP1       = metadata.Scope{Owner: "p1"}
)

// names lists a directory with pages of two, and checks that they are in order.
func names(tx metadata.Tx, dir metadata.Dir) ([]string, error) {
	var found []string
	for after := int64(0); ; {
		page, err := tx.TreeImages(dir, after, 2)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			if e.Number <= after {
				return nil, fmt.Errorf("entry %d comes after %d", e.Number, after)
			}
			after = e.Number
			img, err := tx.ImageByNumber(e.Number)
			if err != nil {
				return nil, err
			}
			if e.ID != img.ID || !e.CreatedAt.Equal(img.CreatedAt) || !e.UpdatedAt.Equal(img.UpdatedAt) {
				return nil, fmt.Errorf("the entry %+v is not of image %s", e, print(img))
			}
			found = append(found, orZero(img.Name))
		}
		if len(page) < 2 {
			return found, nil
		}
	}
}

func labels(tx metadata.Tx, kind metadata.LabelKind, scope metadata.Scope) ([]string, error) {
	var found []string
	for after := int64(0); ; {
		page, err := tx.TreeLabels(kind, scope, after, 2)
		if err != nil {
			return nil, err
		}
		for _, l := range page {
			if l.Number <= after || l.Entry != image.EntryName(l.Value) {
				return nil, fmt.Errorf("label %+v after %d", l, after)
			}
			after = l.Number
			if same, err := tx.LabelByNumber(kind, l.Number); err != nil || same != l {
				return nil, fmt.Errorf("LabelByNumber(%d) = %+v, %w, want %+v", l.Number, same, err, l)
			}
			if same, err := tx.TreeLabel(kind, scope, l.Entry); err != nil || same != l {
				return nil, fmt.Errorf("TreeLabel(%s) = %+v, %w, want %+v", l.Entry, same, err, l)
			}
			found = append(found, l.Value)
		}
		if len(page) < 2 {
			slices.Sort(found)
			return found, nil
		}
	}
}

func active(name, owner string, v image.Visibility, tags ...string) *image.Image {
	img := newImage()
	img.Name, img.Owner, img.Visibility, img.Tags, img.Hidden = pointer(name), owner, v, tags, false
	return img
}

func testTree(t *testing.T, db metadata.DB) {
	a, b, c := active("a", "p1", image.Private, "t"), active("b", "p2", image.Public, "t"), active("c", "p1", image.Public)
	other := active("d", "", image.Shared, "t", "u")
	waiting := active("w", "p1", image.Public, "t")
	waiting.Status = image.Queued
	create(t, db, a, b, c, other, waiting)
	check := func(dir metadata.Dir, want string) {
		t.Helper()
		view(t, db, func(tx metadata.Tx) error {
			got, err := names(tx, dir)
			if err == nil && strings.Join(got, " ") != want {
				t.Errorf("%+v lists %q, want %q", dir, got, want)
			}
			return err
		})
	}
	tag := labelNumber(t, db, metadata.LabelTag, "t")
	p1 := labelNumber(t, db, metadata.LabelProject, "p1")
	for _, tt := range []struct {
		scope                   metadata.Scope
		images, tagged, project string
	}{
		{everything, "a b c d", "a b d", "a c"},
		{publicOnly, "b c", "b", "c"},
		{trusted, "a b c", "a b", "a c"},
		{ofP1, "a c", "a", "a c"},
		{metadata.Scope{All: publicOnly.All, Owner: "p1"}, "c", "", "c"},
		{metadata.Scope{All: []metadata.Condition{{Owners: []string{"p1"}}, {Public: true}}}, "c", "", "c"},
		{metadata.Scope{All: []metadata.Condition{{Public: true}, {Owners: []string{"p2"}}}}, "b", "b", ""},
		{metadata.Scope{All: []metadata.Condition{{Owners: []string{"p1", "p2", "p1"}}}}, "a b c", "a b", "a c"},
		{metadata.Scope{All: []metadata.Condition{{}}}, "", "", ""},
		{metadata.Scope{Owner: "p9"}, "", "", ""},
	} {
		check(metadata.Dir{Scope: tt.scope}, tt.images)
		check(metadata.Dir{Scope: tt.scope, Kind: metadata.LabelTag, Label: tag}, tt.tagged)
		check(metadata.Dir{Scope: tt.scope, Kind: metadata.LabelProject, Label: p1}, tt.project)
		check(metadata.Dir{Scope: tt.scope, Kind: metadata.LabelName, Label: tag}, "") // a tag is no name
	}
	view(t, db, func(tx metadata.Tx) error {
		if e, err := tx.TreeImage(metadata.Dir{Scope: ofP1}, c.ID); err != nil || e.Number != c.Number || e.ID != c.ID {
			t.Errorf("TreeImage = %+v, %v", e, err)
		}
		for _, id := range []image.ID{b.ID, waiting.ID, image.NewID()} {
			_, err := tx.TreeImage(metadata.Dir{Scope: ofP1}, id)
			wantError(t, "TreeImage of an image elsewhere", err, image.ErrNotFound)
		}
		return nil
	})
	a.Status = image.Deactivated
	save(t, db, a)
	check(metadata.Dir{}, "b c d")
	a.Status, a.UpdatedAt = image.Active, epoch.Add(time.Hour)
	c.Status = image.Deleted
	save(t, db, a)
	save(t, db, c)
	check(metadata.Dir{Scope: ofP1}, "a")
}

func labelNumber(t *testing.T, db metadata.DB, kind metadata.LabelKind, value string) (number int64) {
	t.Helper()
	view(t, db, func(tx metadata.Tx) error {
		l, err := tx.TreeLabel(kind, everything, image.EntryName(value))
		number = l.Number
		return err
	})
	return number
}

func testTreeLabels(t *testing.T, db metadata.DB) {
	a, b := active("a/b", "p1", image.Private, "t"), active("..", "p2", image.Public, "t", strings.Repeat("日", 255))
	nameless := active("", "", image.Public)
	nameless.Name = nil
	create(t, db, a, b, nameless)
	number := labelNumber(t, db, metadata.LabelName, "a/b")
	check := func(kind metadata.LabelKind, scope metadata.Scope, want ...string) {
		t.Helper()
		view(t, db, func(tx metadata.Tx) error {
			got, err := labels(tx, kind, scope)
			slices.Sort(want)
			if err == nil && !slices.Equal(got, want) {
				t.Errorf("labels %d of %+v are %q, want %q", kind, scope, got, want)
			}
			return err
		})
	}
	check(metadata.LabelName, everything, "a/b", "..")
	check(metadata.LabelName, publicOnly, "..")
	check(metadata.LabelName, trusted, "a/b", "..")
	check(metadata.LabelTag, ofP1, "t")
	check(metadata.LabelProject, everything, "p1", "p2")
	check(metadata.LabelProject, publicOnly, "p2")
	check(metadata.LabelProject, metadata.Scope{Owner: "p1", All: publicOnly.All})
	a.Name, a.Tags = pointer("new"), nil
	save(t, db, a)
	check(metadata.LabelName, everything, "new", "..")
	view(t, db, func(tx metadata.Tx) error {
		_, err := tx.TreeLabel(metadata.LabelName, everything, image.EntryName("a/b"))
		wantError(t, "TreeLabel of a name nobody has any more", err, image.ErrNotFound)
		_, err = tx.TreeLabel(metadata.LabelName, everything, "never")
		wantError(t, "TreeLabel of a name nobody ever had", err, image.ErrNotFound)
		if l, err := tx.LabelByNumber(metadata.LabelName, number); err != nil || l.Value != "a/b" || l.Entry != "a%2Fb" {
			t.Errorf("LabelByNumber of an old name = %+v, %v", l, err)
		}
		_, err = tx.LabelByNumber(metadata.LabelTag, number)
		wantError(t, "LabelByNumber of another kind", err, image.ErrNotFound)
		return nil
	})
	a.Name = pointer("a/b")
	save(t, db, a)
	if again := labelNumber(t, db, metadata.LabelName, "a/b"); again != number {
		t.Errorf("the label has number %d, and had %d", again, number)
	}
}

// testLabelsDropped forgets labels without images, and none that an image, active or not, or a member still needs.
func testLabelsDropped(t *testing.T, db metadata.DB) {
	kept, waiting, gone := active("kept", "p1", image.Shared, "t1"), active("waiting", "p2", image.Private, "t2"), active("gone", "p3", image.Private, "t3")
	create(t, db, kept, waiting, gone)
	update(t, db, func(tx metadata.WriteTx) error {
		return tx.SaveMember(kept.Number, "member", image.MemberPending, epoch)
	})
	values := map[metadata.LabelKind][]string{metadata.LabelName: {"kept", "waiting", "gone"}, metadata.LabelTag: {"t1", "t2", "t3"},
		metadata.LabelProject: {"p1", "p2", "p3"}}
	numbers := map[string]int64{}
	for kind, list := range values {
		for _, value := range list {
			numbers[value] = labelNumber(t, db, kind, value)
		}
	}
	waiting.Status, gone.Status = image.Deactivated, image.Deleted
	save(t, db, waiting)
	save(t, db, gone)
	create(t, db, active("newest", "p1", image.Shared, "t4", "t5", "t6"))
	drop := func(keep int64, want ...string) {
		t.Helper()
		update(t, db, func(tx metadata.WriteTx) error {
			for after, last := int64(0), int64(1); last > 0; after = last {
				var err error
				if last, err = tx.DropLabels(after, keep, 2); err != nil || last != 0 && last <= after {
					return fmt.Errorf("DropLabels above %d = %d, %w", after, last, err)
				}
			}
			return nil
		})
		var left []string
		view(t, db, func(tx metadata.Tx) error {
			for kind, list := range values {
				for _, value := range list {
					if l, err := tx.LabelByNumber(kind, numbers[value]); err == nil && l.Value == value {
						left = append(left, value)
					}
				}
			}
			return nil
		})
		slices.Sort(left)
		if !slices.Equal(left, want) {
			t.Errorf("the labels %q are left, want %q", left, want)
		}
	}
	drop(1000, "gone", "kept", "p1", "p2", "p3", "t1", "t2", "t3", "waiting")
	drop(3, "kept", "p1", "p2", "t1")
	member := image.Caller{ProjectID: "member"}
	wantList(t, db, image.Query{Caller: member, Limit: 9, MemberStatus: "pending"}, kept.ID)
	wantList(t, db, image.Query{Caller: image.Caller{ProjectID: "p2"}, Limit: 9}, waiting.ID)
	waiting.Status = image.Active
	save(t, db, waiting)
	if again := labelNumber(t, db, metadata.LabelName, "waiting"); again <= numbers["gone"] {
		t.Errorf("the label that was dropped has number %d again", again)
	}
}

// testManyProjects asks for the images of more projects than a statement may name.
func testManyProjects(t *testing.T, db metadata.DB) {
	const projects = 1200
	var owners []string
	var want []string
	var ids []image.ID
	update(t, db, func(tx metadata.WriteTx) error {
		owners, want, ids = nil, nil, nil
		for i := range projects {
			owners = append(owners, fmt.Sprint("p", i))
			img := active("n", owners[i], image.Public)
			img.Name, img.CreatedAt = pointer(fmt.Sprintf("n%04d", i)), epoch.Add(time.Duration(i)*time.Second)
			img.Locations[0].URL += fmt.Sprint(i)
			if err := tx.CreateImage(img); err != nil {
				return err
			}
			want, ids = append(want, *img.Name), append(ids, img.ID)
		}
		return tx.CreateImage(active("other", "elsewhere", image.Private))
	})
	scope := metadata.Scope{All: []metadata.Condition{{Public: true, Owners: owners}}}
	dir := metadata.Dir{Scope: scope}
	view(t, db, func(tx metadata.Tx) error {
		page, err := tx.TreeImages(dir, 0, 2*projects)
		if err != nil {
			return err
		}
		if len(page) != projects || !slices.IsSortedFunc(page, func(a, b metadata.Entry) int { return int(a.Number - b.Number) }) {
			t.Errorf("a directory of %d projects lists %d images", projects, len(page))
		}
		if page, err := tx.TreeImages(dir, page[4].Number, 3); err != nil || len(page) != 3 || page[0].ID != ids[5] || page[2].ID != ids[7] {
			t.Errorf("a page of a directory of %d projects = %+v, %v", projects, page, err)
		}
		labels, err := tx.TreeLabels(metadata.LabelName, scope, 0, 2*projects)
		if len(labels) != projects {
			t.Errorf("a directory of %d projects lists %d names, %v", projects, len(labels), err)
		}
		for _, i := range []int{0, projects / 2, projects - 1} {
			if e, err := tx.TreeImage(dir, ids[i]); err != nil || e.ID != ids[i] {
				t.Errorf("TreeImage = %+v, %v, want image %s", e, err, ids[i])
			}
			l, err := tx.TreeLabel(metadata.LabelName, scope, want[i])
			if err != nil {
				return err
			}
			if e, err := tx.Latest(metadata.Dir{Scope: scope, Kind: metadata.LabelName, Label: l.Number}); err != nil || e.ID != ids[i] {
				t.Errorf("Latest of %s = %+v, %v, want image %s", want[i], e, err, ids[i])
			}
		}
		_, err = tx.TreeLabel(metadata.LabelName, scope, "other")
		wantError(t, "TreeLabel of an image elsewhere", err, image.ErrNotFound)
		return nil
	})
	newest := []image.ID{ids[projects-1], ids[projects-2], ids[projects-3]}
	owned := image.Filter{Field: image.FieldOwner, Op: image.OpIn, Strings: owners}
	for _, caller := range []image.Caller{admin, {ProjectID: owners[0]}} {
		wantList(t, db, image.Query{Caller: caller, Limit: 3, Filters: []image.Filter{owned}}, newest...)
	}
	owned.Strings = append([]string{"elsewhere"}, owners[:300]...)
	wantList(t, db, image.Query{Caller: image.Caller{ProjectID: "p7"}, Limit: 2, Filters: []image.Filter{owned}}, ids[299], ids[298])
}
