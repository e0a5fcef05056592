package metadatatest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadef"
)

func newNamespace(name string) *metadef.Namespace {
	return &metadef.Namespace{Name: name, DisplayName: pointer("A catalog"), Description: pointer("Of things"), Visibility: image.Public,
		Protected: true, Owner: "project-1", CreatedAt: epoch, UpdatedAt: epoch.Add(time.Second)}
}

func createNamespaces(t *testing.T, db metadata.DB, names ...string) (numbers []int64) {
	t.Helper()
	update(t, db, func(tx metadata.WriteTx) error {
		numbers = nil
		for _, name := range names {
			n := newNamespace(name)
			if err := tx.CreateNamespace(n); err != nil {
				return err
			}
			numbers = append(numbers, n.Number)
		}
		return nil
	})
	return numbers
}

// asText compares what reflection would not: times of other zones, pointers, nil and empty.
func asText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func utc(times ...*time.Time) {
	for _, t := range times {
		*t = t.UTC()
	}
}

func testNamespaces(t *testing.T, db metadata.DB) {
	full, bare := newNamespace("OS::Full"), &metadef.Namespace{Name: "bare", Visibility: image.Private, CreatedAt: epoch, UpdatedAt: epoch}
	update(t, db, func(tx metadata.WriteTx) error {
		if err := tx.CreateNamespace(full); err != nil {
			return err
		}
		return tx.CreateNamespace(bare)
	})
	wantNamespace := func(name string, want *metadef.Namespace) {
		t.Helper()
		view(t, db, func(tx metadata.Tx) error {
			got, err := tx.Namespace(name)
			utc(&got.CreatedAt, &got.UpdatedAt)
			if err == nil && asText(got) != asText(want) {
				t.Errorf("Namespace(%q) = %s, want %s", name, asText(got), asText(want))
			}
			return err
		})
	}
	wantNamespace("OS::Full", full)
	wantNamespace("os::fULL", full)
	wantNamespace("bare", bare)
	err := db.Update(ctx, func(tx metadata.WriteTx) error { return tx.CreateNamespace(newNamespace("BARE")) })
	wantError(t, "CreateNamespace of a name that is taken", err, image.ErrConflict)
	bare.Name, bare.Description, bare.Owner, bare.Visibility = "Renamed", pointer("d"), "p", image.Public
	update(t, db, func(tx metadata.WriteTx) error { return tx.SaveNamespace(bare) })
	wantNamespace("renamed", bare)
	taken := *bare
	taken.Name = "os::full"
	err = db.Update(ctx, func(tx metadata.WriteTx) error { return tx.SaveNamespace(&taken) })
	wantError(t, "SaveNamespace under a name that is taken", err, image.ErrConflict)
	err = db.Update(ctx, func(tx metadata.WriteTx) error { return tx.SaveNamespace(newNamespace("none")) })
	wantError(t, "SaveNamespace of none", err, image.ErrNotFound)
	wantNames := func(want []string, types ...string) {
		t.Helper()
		view(t, db, func(tx metadata.Tx) error {
			all, err := tx.Namespaces(types...)
			var got []string
			for _, n := range all {
				got = append(got, n.Name)
			}
			if err == nil && !slices.Equal(got, want) {
				t.Errorf("Namespaces(%q) = %q, want %q", types, got, want)
			}
			return err
		})
	}
	wantNames([]string{"OS::Full", "Renamed"})
	a := metadef.Association{ResourceType: "OS::Glance::Image", Prefix: "hw_", PropertiesTarget: pointer("image"), CreatedAt: epoch, UpdatedAt: epoch}
	update(t, db, func(tx metadata.WriteTx) error { return tx.AddAssociation(bare.Number, a) })
	err = db.Update(ctx, func(tx metadata.WriteTx) error {
		again := a
		again.ResourceType = "os::glance::image"
		return tx.AddAssociation(bare.Number, again)
	})
	wantError(t, "AddAssociation twice", err, image.ErrConflict)
	wantNames([]string{"Renamed"}, "other", "os::glance::IMAGE")
	wantNames(nil, "other")
	view(t, db, func(tx metadata.Tx) error {
		got, err := tx.Associations(bare.Number)
		if err != nil || len(got) != 1 {
			t.Fatalf("Associations = %+v, %v", got, err)
		}
		utc(&got[0].CreatedAt, &got[0].UpdatedAt)
		if asText(got[0]) != asText(a) {
			t.Errorf("Associations = %s, want %s", asText(got[0]), asText(a))
		}
		types, err := tx.ResourceTypes()
		if err == nil && (len(types) != 1 || types[0].Name != "OS::Glance::Image" || types[0].Protected) {
			t.Errorf("ResourceTypes = %+v", types)
		}
		return err
	})
	update(t, db, func(tx metadata.WriteTx) error { return tx.RemoveAssociation(bare.Number, "os::glance::image") })
	err = db.Update(ctx, func(tx metadata.WriteTx) error { return tx.RemoveAssociation(bare.Number, "OS::Glance::Image") })
	wantError(t, "RemoveAssociation twice", err, image.ErrNotFound)
	update(t, db, func(tx metadata.WriteTx) error { return tx.DeleteNamespace(bare.Number) })
	err = db.Update(ctx, func(tx metadata.WriteTx) error { return tx.DeleteNamespace(bare.Number) })
	wantError(t, "DeleteNamespace twice", err, image.ErrNotFound)
	err = db.View(ctx, func(tx metadata.Tx) error {
		_, err := tx.Namespace("Renamed")
		return err
	})
	wantError(t, "Namespace of a deleted one", err, image.ErrNotFound)
	if again := createNamespaces(t, db, "new"); again[0] <= bare.Number {
		t.Errorf("the number %d was used twice", again[0])
	}
}

func testDefinitions(t *testing.T, db metadata.DB) {
	numbers := createNamespaces(t, db, "one", "two")
	one, two := numbers[0], numbers[1]
	entry := func(kind metadef.Kind, name, body string) metadef.Entry {
		return metadef.Entry{Kind: kind, Name: name, Body: json.RawMessage(body), CreatedAt: epoch, UpdatedAt: epoch}
	}
	kinds := []metadef.Kind{metadef.KindProperty, metadef.KindObject, metadef.KindTag}
	update(t, db, func(tx metadata.WriteTx) error {
		for _, kind := range kinds {
			for _, e := range []metadef.Entry{entry(kind, "b", `{"a":1}`), entry(kind, "A", `{}`)} {
				if err := tx.AddEntry(one, e); err != nil {
					return err
				}
			}
		}
		return tx.AddEntry(two, entry(metadef.KindTag, "b", `{}`))
	})
	names := func(namespace int64, kind metadef.Kind) (names []string) {
		t.Helper()
		view(t, db, func(tx metadata.Tx) error {
			all, err := tx.Entries(namespace, kind)
			names = nil
			for _, e := range all {
				names = append(names, e.Name)
			}
			return err
		})
		return names
	}
	for _, kind := range kinds {
		if got := names(one, kind); !slices.Equal(got, []string{"A", "b"}) {
			t.Errorf("entries of kind %s: %q", kind, got)
		}
		err := db.Update(ctx, func(tx metadata.WriteTx) error { return tx.AddEntry(one, entry(kind, "B", `{}`)) })
		wantError(t, fmt.Sprintf("AddEntry of a %s twice", kind), err, image.ErrConflict)
	}
	renamed := entry(metadef.KindProperty, "c", `{"d":2}`)
	renamed.CreatedAt, renamed.UpdatedAt = epoch.Add(time.Hour), epoch.Add(time.Hour)
	update(t, db, func(tx metadata.WriteTx) error { return tx.SaveEntry(one, "B", renamed) })
	view(t, db, func(tx metadata.Tx) error {
		got, err := tx.Entry(one, metadef.KindProperty, "C")
		utc(&got.CreatedAt, &got.UpdatedAt)
		want := renamed
		want.CreatedAt = epoch
		if err == nil && asText(got) != asText(want) {
			t.Errorf("Entry = %s, want %s", asText(got), asText(want))
		}
		return err
	})
	for _, tt := range []struct {
		what string
		fn   func(metadata.WriteTx) error
		want error
	}{
		{"rename to a name that is taken", func(tx metadata.WriteTx) error { return tx.SaveEntry(one, "c", entry(metadef.KindProperty, "a", `{}`)) }, image.ErrConflict},
		{"save none", func(tx metadata.WriteTx) error { return tx.SaveEntry(one, "z", entry(metadef.KindTag, "z", `{}`)) }, image.ErrNotFound},
		{"save one of another namespace", func(tx metadata.WriteTx) error { return tx.SaveEntry(two, "a", entry(metadef.KindTag, "a", `{}`)) }, image.ErrNotFound},
		{"remove none", func(tx metadata.WriteTx) error { return tx.RemoveEntry(one, metadef.KindTag, "z") }, image.ErrNotFound},
		{"read none", func(tx metadata.WriteTx) error {
			_, err := tx.Entry(one, metadef.KindObject, "c")
			return err
		}, image.ErrNotFound},
	} {
		wantError(t, tt.what, db.Update(ctx, tt.fn), tt.want)
	}
	update(t, db, func(tx metadata.WriteTx) error { return tx.RemoveEntry(one, metadef.KindTag, "a") })
	update(t, db, func(tx metadata.WriteTx) error { return tx.RemoveEntries(one, metadef.KindObject) })
	if tags, objects := names(one, metadef.KindTag), names(one, metadef.KindObject); !slices.Equal(tags, []string{"b"}) || len(objects) != 0 {
		t.Errorf("tags %q and objects %q are left", tags, objects)
	}
	update(t, db, func(tx metadata.WriteTx) error { return tx.DeleteNamespace(one) })
	if left, others := names(one, metadef.KindProperty), names(two, metadef.KindTag); len(left) != 0 || len(others) != 1 {
		t.Errorf("after the deletion of a namespace %q of it and %q of another are left", left, others)
	}
	wantError(t, "AddEntry to a namespace that is gone", db.Update(ctx, func(tx metadata.WriteTx) error {
		return tx.AddEntry(one, entry(metadef.KindTag, "new", `{}`))
	}), image.ErrNotFound)
	wantError(t, "AddAssociation to a namespace that is gone", db.Update(ctx, func(tx metadata.WriteTx) error {
		return tx.AddAssociation(one, metadef.Association{ResourceType: "OS::Nova::Flavor"})
	}), image.ErrNotFound)
}
