package servicetest

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadef"
)

// RunMetadefs runs the suite of metadata definitions. open returns a service without namespaces, asked by an admin of one
// project; it is called once for each test.
func RunMetadefs(t *testing.T, open func(t *testing.T) metadef.Catalog) {
	for name, test := range map[string]func(t *testing.T, m metadef.Catalog){
		"WholeNamespace":     wholeNamespace,
		"AllOrNothing":       allOrNothing,
		"SaveNamespace":      saveNamespace,
		"ProtectedNamespace": protectedNamespace,
		"NamespacePages":     namespacePages,
		"Associations":       associations,
		"PropertyPrefix":     propertyPrefix,
		"Properties":         properties,
		"Objects":            objects,
		"MetadefTags":        metadefTags,
		"NothingThere":       nothingThere,
		"OddNames":           oddNames,
		"TwoWriters":         twoWriters,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func pointer(s string) *string { return &s }

func stringSchema(title string) metadef.Schema {
	return metadef.Schema{"title": title, "type": "string"}
}

// example has something of everything.
func example(name string) metadef.Document {
	return metadef.Document{
		Namespace: metadef.Namespace{Name: name, DisplayName: pointer("Ü <b>"), Description: pointer(""), Visibility: image.Public},
		Associations: []metadef.Association{
			{ResourceType: "OS::Glance::Image", Prefix: "hw_", PropertiesTarget: pointer("image")}, {ResourceType: "OS::Nova::Flavor"}},
		Properties: []metadef.Property{
			{Name: "cores", Schema: metadef.Schema{"title": "Cores", "type": "integer", "minimum": json.Number("1"), "maximum": json.Number("1e3"),
				"default": json.Number("2"), "operators": []any{"<in>"}, "readonly": true}},
			{Name: "list", Schema: metadef.Schema{"title": "", "type": "array", "items": map[string]any{"type": "string", "enum": []any{"a"}},
				"default": []any{"a", nil, map[string]any{"b": false}}}}},
		Objects: []metadef.Object{
			{Name: "disk", Description: pointer("A disk"), Required: []string{"bus"}, Properties: map[string]metadef.Schema{"bus": stringSchema("Bus")}},
			{Name: "empty"}},
		Tags: []metadef.Tag{{Name: "Big"}, {Name: "fast"}},
	}
}

// bare takes away what the service sets.
func bare(d metadef.Document) metadef.Document {
	d = d.Stamped(time.Time{})
	d.Namespace.Number, d.Namespace.Owner = 0, ""
	return d
}

func wantSame(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(want)
		t.Errorf("%s:\n%s, want\n%s", what, g, w)
	}
}

func createNamespace(t *testing.T, m metadef.Catalog, d metadef.Document) metadef.Document {
	t.Helper()
	made, err := m.CreateNamespace(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func getNamespace(t *testing.T, m metadef.Catalog, name string) metadef.Document {
	t.Helper()
	d, err := m.Namespace(t.Context(), name, "")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func wholeNamespace(t *testing.T, m metadef.Catalog) {
	made := createNamespace(t, m, example("OS::Test"))
	wantSame(t, "what was made", bare(made), example("OS::Test"))
	got := getNamespace(t, m, "os::tEST")
	wantSame(t, "what is there", bare(got), example("OS::Test"))
	if n := got.Namespace; n.Owner == "" || n.CreatedAt.IsZero() || !n.CreatedAt.Equal(n.UpdatedAt) || got.Objects[0].CreatedAt.IsZero() {
		t.Errorf("namespace = %+v", got)
	}
	minimal := metadef.Document{Namespace: metadef.Namespace{Name: "minimal", Visibility: image.Private, Owner: "somebody"}}
	createNamespace(t, m, minimal)
	if got := getNamespace(t, m, "minimal"); got.Namespace.Owner != "somebody" || got.Namespace.DisplayName != nil || got.Namespace.Description != nil ||
		got.Namespace.Visibility != image.Private || len(got.Properties)+len(got.Objects)+len(got.Tags)+len(got.Associations) != 0 {
		t.Errorf("namespace = %+v", got)
	}
	wantErr(t, "deleting it", m.DeleteNamespace(t.Context(), "os::test"), nil)
	_, err := m.Namespace(t.Context(), "OS::Test", "")
	wantErr(t, "a deleted namespace", err, image.ErrNotFound)
}

func allOrNothing(t *testing.T, m metadef.Catalog) {
	createNamespace(t, m, example("OS::Test"))
	_, err := m.CreateNamespace(t.Context(), example("os::test"))
	wantErr(t, "a name that is taken", err, image.ErrConflict)
	for _, tt := range []struct {
		what   string
		change func(*metadef.Document)
		want   error
	}{
		{"no name", func(d *metadef.Document) { d.Namespace.Name = "" }, image.ErrInvalid},
		{"text that is none", func(d *metadef.Document) { d.Namespace.Description = pointer("\xff") }, image.ErrInvalid},
		{"a tag twice", func(d *metadef.Document) { d.Tags[1].Name = "BIG" }, image.ErrConflict},
		{"a property of no type", func(d *metadef.Document) { delete(d.Properties[1].Schema, "type") }, image.ErrInvalid},
		{"a bad object", func(d *metadef.Document) { d.Objects[1].Name = strings.Repeat("x", 81) }, image.ErrInvalid},
	} {
		d := example("new")
		tt.change(&d)
		_, err := m.CreateNamespace(t.Context(), d)
		wantErr(t, tt.what, err, tt.want)
		_, err = m.Namespace(t.Context(), "new", "")
		wantErr(t, "the namespace after "+tt.what, err, image.ErrNotFound)
	}
}

func saveNamespace(t *testing.T, m metadef.Catalog) {
	before := createNamespace(t, m, example("OS::Test")).Namespace
	createNamespace(t, m, example("other"))
	saved, err := m.SaveNamespace(t.Context(), "os::test", metadef.Namespace{Name: "OS::Renamed", Visibility: image.Private, Protected: true})
	wantErr(t, "saving", err, nil)
	d := getNamespace(t, m, "OS::Renamed")
	for _, n := range []metadef.Namespace{saved, d.Namespace} {
		if n.Name != "OS::Renamed" || n.DisplayName != nil || n.Description != nil || n.Visibility != image.Private || !n.Protected || n.Owner != before.Owner ||
			!n.CreatedAt.Truncate(time.Second).Equal(before.CreatedAt.Truncate(time.Second)) || n.UpdatedAt.Before(before.UpdatedAt) {
			t.Errorf("namespace = %+v", n)
		}
	}
	if len(d.Properties) != 2 || len(d.Objects) != 2 || len(d.Tags) != 2 || len(d.Associations) != 2 {
		t.Errorf("what belongs to it did not stay: %+v", d)
	}
	_, err = m.Namespace(t.Context(), "OS::Test", "")
	wantErr(t, "the old name", err, image.ErrNotFound)
	_, err = m.SaveNamespace(t.Context(), "OS::Renamed", metadef.Namespace{Name: "OTHER", Visibility: image.Public})
	wantErr(t, "a name that is taken", err, image.ErrConflict)
	_, err = m.SaveNamespace(t.Context(), "OS::Renamed", metadef.Namespace{Name: "x", Visibility: image.Shared})
	wantErr(t, "a visibility that is none", err, image.ErrInvalid)
	_, err = m.SaveNamespace(t.Context(), "OS::Renamed", metadef.Namespace{Name: "os::renamed", Visibility: image.Public})
	wantErr(t, "the same name in other case", err, nil)
}

func protectedNamespace(t *testing.T, m metadef.Catalog) {
	ctx := t.Context()
	d := example("safe")
	d.Namespace.Protected = true
	createNamespace(t, m, d)
	deletions := map[string]func() error{
		"a tag":          func() error { return m.DeleteTag(ctx, "safe", "big") },
		"the tags":       func() error { return m.DeleteTags(ctx, "safe") },
		"an object":      func() error { return m.DeleteObject(ctx, "safe", "disk") },
		"the objects":    func() error { return m.DeleteObjects(ctx, "safe") },
		"a property":     func() error { return m.DeleteProperty(ctx, "safe", "cores") },
		"the properties": func() error { return m.DeleteProperties(ctx, "safe") },
		"an association": func() error { return m.RemoveAssociation(ctx, "safe", "OS::Nova::Flavor") },
		"the namespace":  func() error { return m.DeleteNamespace(ctx, "safe") },
	}
	for what, deletion := range deletions {
		wantErr(t, "deleting "+what, deletion(), image.ErrForbidden)
	}
	wantSame(t, "what is there", bare(getNamespace(t, m, "safe")), d)
	d.Namespace.Protected = false
	_, err := m.SaveNamespace(ctx, "safe", d.Namespace)
	wantErr(t, "lifting the protection", err, nil)
	for _, what := range []string{"a tag", "the tags", "an object", "the objects", "a property", "the properties", "an association", "the namespace"} {
		wantErr(t, "deleting "+what, deletions[what](), nil)
	}
}

func namespacePages(t *testing.T, m metadef.Catalog) {
	for i, name := range []string{"b", "A", "c", "d"} {
		d := metadef.Document{Namespace: metadef.Namespace{Name: name, Visibility: image.Public}}
		if i%2 == 1 {
			d.Namespace.Visibility = image.Private
			d.Associations = []metadef.Association{{ResourceType: "T"}}
		}
		createNamespace(t, m, d)
	}
	pages := func(q metadef.Query) (all []string) {
		t.Helper()
		q.Sort, q.Limit = "namespace", 2
		for range 4 {
			page, next, err := m.Namespaces(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) > q.Limit {
				t.Errorf("a page of %d namespaces", len(page))
			}
			for _, d := range page {
				all = append(all, fmt.Sprint(d.Namespace.Name, len(d.Associations)))
			}
			if q.Marker = next; next == "" {
				break
			}
		}
		return all
	}
	for _, tt := range []struct {
		q    metadef.Query
		want []string
	}{
		{metadef.Query{Asc: true}, []string{"A1", "b0", "c0", "d1"}},
		{metadef.Query{}, []string{"d1", "c0", "b0", "A1"}},
		{metadef.Query{Visibility: image.Private}, []string{"d1", "A1"}},
		{metadef.Query{ResourceTypes: []string{"none", "t"}, Asc: true}, []string{"A1", "d1"}},
		{metadef.Query{ResourceTypes: []string{"none"}}, nil},
	} {
		if got := pages(tt.q); !slices.Equal(got, tt.want) {
			t.Errorf("namespaces by %+v = %q, want %q", tt.q, got, tt.want)
		}
	}
	_, _, err := m.Namespaces(t.Context(), metadef.Query{Marker: "none", Limit: 2})
	wantErr(t, "an unknown marker", err, image.ErrNotFound)
	_, _, err = m.Namespaces(t.Context(), metadef.Query{Sort: "number", Limit: 2})
	wantErr(t, "an unknown sort key", err, image.ErrInvalid)
}

func associations(t *testing.T, m metadef.Catalog) {
	ctx := t.Context()
	createNamespace(t, m, example("one"))
	createNamespace(t, m, metadef.Document{Namespace: metadef.Namespace{Name: "two", Visibility: image.Public}})
	made, err := m.AddAssociation(ctx, "two", metadef.Association{ResourceType: "New", Prefix: "p:", PropertiesTarget: pointer("t")})
	if err != nil || made.ResourceType != "New" || made.Prefix != "p:" || *made.PropertiesTarget != "t" || made.CreatedAt.IsZero() {
		t.Errorf("AddAssociation = %+v, %v", made, err)
	}
	_, err = m.AddAssociation(ctx, "two", metadef.Association{ResourceType: "NEW"})
	wantErr(t, "the same again", err, image.ErrConflict)
	_, err = m.AddAssociation(ctx, "two", metadef.Association{})
	wantErr(t, "no resource type", err, image.ErrInvalid)
	all, err := m.Associations(ctx, "two")
	if err != nil || len(all) != 1 || all[0].ResourceType != "New" || all[0].Prefix != "p:" {
		t.Errorf("Associations = %+v, %v", all, err)
	}
	wantErr(t, "removing it", m.RemoveAssociation(ctx, "two", "new"), nil)
	wantErr(t, "removing it again", m.RemoveAssociation(ctx, "two", "new"), image.ErrNotFound)
	var names []string
	types, err := m.ResourceTypes(ctx)
	for _, r := range types {
		names = append(names, r.Name)
	}
	if want := []string{"New", "OS::Glance::Image", "OS::Nova::Flavor"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("ResourceTypes = %q, %v, want %q", names, err, want)
	}
}

func propertyPrefix(t *testing.T, m metadef.Catalog) {
	ctx := t.Context()
	createNamespace(t, m, example("OS::Test"))
	d, err := m.Namespace(ctx, "OS::Test", "os::glance::image")
	if err != nil || d.Properties[0].Name != "hw_cores" || d.Objects[0].Required[0] != "hw_bus" || d.Objects[0].Properties["hw_bus"] == nil {
		t.Errorf("Namespace = %+v, %v", d, err)
	}
	for _, other := range []string{"OS::Nova::Flavor", "none"} {
		if d, err := m.Namespace(ctx, "OS::Test", other); err != nil || d.Properties[0].Name != "cores" {
			t.Errorf("Namespace for %s = %+v, %v", other, d, err)
		}
	}
	for _, tt := range []struct {
		name, resourceType string
		want               error
	}{
		{"hw_cores", "OS::Glance::Image", nil},
		{"cores", "OS::Glance::Image", image.ErrNotFound},
		{"hw_cores", "", image.ErrNotFound},
		{"cores", "OS::Nova::Flavor", nil},
		{"cores", "none", image.ErrNotFound},
	} {
		p, err := m.Property(ctx, "OS::Test", tt.name, tt.resourceType)
		wantErr(t, tt.name+" of "+tt.resourceType, err, tt.want)
		if err == nil && (p.Name != "cores" || p.Schema["default"] != json.Number("2")) {
			t.Errorf("property = %+v", p)
		}
	}
}

func properties(t *testing.T, m metadef.Catalog) {
	ctx := t.Context()
	createNamespace(t, m, example("OS::Test"))
	made, err := m.CreateProperty(ctx, "OS::Test", metadef.Property{Name: "new", Schema: stringSchema("New")})
	wantErr(t, "creating", err, nil)
	wantSame(t, "what was made", made, metadef.Property{Name: "new", Schema: stringSchema("New")})
	_, err = m.CreateProperty(ctx, "OS::Test", metadef.Property{Name: "NEW", Schema: stringSchema("New")})
	wantErr(t, "the same again", err, image.ErrConflict)
	_, err = m.CreateProperty(ctx, "OS::Test", metadef.Property{Name: "bad", Schema: metadef.Schema{}})
	wantErr(t, "no schema", err, image.ErrInvalid)
	_, err = m.SaveProperty(ctx, "OS::Test", "new", metadef.Property{Name: "cores", Schema: stringSchema("New")})
	wantErr(t, "a name that is taken", err, image.ErrConflict)
	saved, err := m.SaveProperty(ctx, "OS::Test", "NEW", metadef.Property{Name: "newer", Schema: stringSchema("Newer")})
	wantErr(t, "saving", err, nil)
	got, err := m.Property(ctx, "OS::Test", "newer", "")
	wantErr(t, "reading", err, nil)
	wantSame(t, "what was saved", saved, got)
	all, err := m.Properties(ctx, "OS::Test")
	wantErr(t, "listing", err, nil)
	wantSame(t, "all", all, append(example("").Properties, got))
	wantErr(t, "deleting", m.DeleteProperty(ctx, "OS::Test", "newer"), nil)
	wantErr(t, "deleting again", m.DeleteProperty(ctx, "OS::Test", "newer"), image.ErrNotFound)
	wantErr(t, "deleting all", m.DeleteProperties(ctx, "OS::Test"), nil)
	if all, err := m.Properties(ctx, "OS::Test"); err != nil || len(all) != 0 {
		t.Errorf("properties %+v are left, %v", all, err)
	}
}

func objects(t *testing.T, m metadef.Catalog) {
	ctx := t.Context()
	createNamespace(t, m, example("OS::Test"))
	_, err := m.CreateObject(ctx, "OS::Test", metadef.Object{Name: "DISK"})
	wantErr(t, "a name that is taken", err, image.ErrConflict)
	_, err = m.CreateObject(ctx, "OS::Test", metadef.Object{Name: "bad", Properties: map[string]metadef.Schema{"p": {}}})
	wantErr(t, "a property without a schema", err, image.ErrInvalid)
	made, err := m.CreateObject(ctx, "OS::Test", metadef.Object{Name: "new", Description: pointer(strings.Repeat("d", 600))})
	if err != nil || made.Name != "new" || made.CreatedAt.IsZero() || len(*made.Description) != 600 {
		t.Errorf("CreateObject = %+v, %v", made, err)
	}
	saved, err := m.SaveObject(ctx, "OS::Test", "NEW", metadef.Object{Name: "newer", Required: []string{"q"},
		Properties: map[string]metadef.Schema{"q": stringSchema("Q")}})
	wantErr(t, "saving", err, nil)
	got, err := m.Object(ctx, "OS::Test", "newer")
	if err != nil || got.Description != nil || got.Required[0] != "q" || got.Properties["q"]["title"] != "Q" ||
		!got.CreatedAt.Truncate(time.Second).Equal(made.CreatedAt.Truncate(time.Second)) {
		t.Errorf("Object = %+v, %v", got, err)
	}
	if saved.Name != got.Name || !saved.CreatedAt.Equal(got.CreatedAt) || !saved.UpdatedAt.Equal(got.UpdatedAt) {
		t.Errorf("SaveObject = %+v, want %+v", saved, got)
	}
	_, err = m.SaveObject(ctx, "OS::Test", "newer", metadef.Object{Name: "disk"})
	wantErr(t, "a name that is taken", err, image.ErrConflict)
	if all, err := m.Objects(ctx, "OS::Test"); err != nil || len(all) != 3 || all[0].Name != "disk" || all[2].Name != "newer" {
		t.Errorf("Objects = %+v, %v", all, err)
	}
	wantErr(t, "deleting", m.DeleteObject(ctx, "OS::Test", "newer"), nil)
	wantErr(t, "deleting again", m.DeleteObject(ctx, "OS::Test", "newer"), image.ErrNotFound)
	wantErr(t, "deleting all", m.DeleteObjects(ctx, "OS::Test"), nil)
	if all, err := m.Objects(ctx, "OS::Test"); err != nil || len(all) != 0 {
		t.Errorf("objects %+v are left, %v", all, err)
	}
}

func metadefTags(t *testing.T, m metadef.Catalog) {
	ctx := t.Context()
	createNamespace(t, m, example("OS::Test"))
	names := func(q metadef.TagQuery) []string {
		t.Helper()
		tags, err := m.Tags(ctx, "OS::Test", q)
		if err != nil {
			t.Fatal(err)
		}
		names := []string{}
		for _, tag := range tags {
			names = append(names, tag.Name)
		}
		return names
	}
	want := func(want ...string) {
		t.Helper()
		if got := names(metadef.TagQuery{Sort: "name", Asc: true, Limit: 100}); !slices.Equal(got, want) {
			t.Errorf("tags = %q, want %q", got, want)
		}
	}
	made, err := m.CreateTag(ctx, "OS::Test", "new")
	if err != nil || made.Name != "new" || made.CreatedAt.IsZero() {
		t.Errorf("CreateTag = %+v, %v", made, err)
	}
	_, err = m.CreateTag(ctx, "OS::Test", "NEW")
	wantErr(t, "the same again", err, image.ErrConflict)
	_, err = m.CreateTag(ctx, "OS::Test", strings.Repeat("x", 81))
	wantErr(t, "a long tag", err, image.ErrInvalid)
	saved, err := m.SaveTag(ctx, "OS::Test", "New", "newer")
	if err != nil || saved.Name != "newer" || !saved.CreatedAt.Truncate(time.Second).Equal(made.CreatedAt.Truncate(time.Second)) {
		t.Errorf("SaveTag = %+v, %v", saved, err)
	}
	_, err = m.SaveTag(ctx, "OS::Test", "newer", "FAST")
	wantErr(t, "a name that is taken", err, image.ErrConflict)
	if got, err := m.Tag(ctx, "OS::Test", "NEWER"); err != nil || got.Name != "newer" {
		t.Errorf("Tag = %+v, %v", got, err)
	}
	want("Big", "fast", "newer")
	if got := names(metadef.TagQuery{Sort: "name", Asc: true, Limit: 1, Marker: "big"}); !slices.Equal(got, []string{"fast"}) {
		t.Errorf("the page after Big = %q", got)
	}
	added, err := m.SetTags(ctx, "OS::Test", []string{"y", "x"}, true)
	if err != nil || len(added) != 2 || added[0].Name != "y" {
		t.Errorf("SetTags = %+v, %v", added, err)
	}
	_, err = m.SetTags(ctx, "OS::Test", []string{"z", "X"}, true)
	wantErr(t, "adding one that is there", err, image.ErrConflict)
	want("Big", "fast", "newer", "x", "y")
	_, err = m.SetTags(ctx, "OS::Test", []string{"z", "Z"}, false)
	wantErr(t, "one twice", err, image.ErrConflict)
	_, err = m.SetTags(ctx, "OS::Test", []string{"x", "z"}, false)
	wantErr(t, "replacing", err, nil)
	want("x", "z")
	wantErr(t, "deleting", m.DeleteTag(ctx, "OS::Test", "X"), nil)
	wantErr(t, "deleting again", m.DeleteTag(ctx, "OS::Test", "x"), image.ErrNotFound)
	_, err = m.SetTags(ctx, "OS::Test", nil, false)
	wantErr(t, "replacing by nothing", err, nil)
	want()
	wantErr(t, "deleting all of none", m.DeleteTags(ctx, "OS::Test"), nil)
}

func nothingThere(t *testing.T, m metadef.Catalog) {
	ctx := t.Context()
	createNamespace(t, m, metadef.Document{Namespace: metadef.Namespace{Name: "empty", Visibility: image.Public}})
	p, o := metadef.Property{Name: "x", Schema: stringSchema("")}, metadef.Object{Name: "x"}
	for _, namespace := range []string{"none", "empty"} {
		for what, verb := range map[string]func() error{
			"Property":          func() error { _, err := m.Property(ctx, namespace, "x", ""); return err },
			"SaveProperty":      func() error { _, err := m.SaveProperty(ctx, namespace, "x", p); return err },
			"DeleteProperty":    func() error { return m.DeleteProperty(ctx, namespace, "x") },
			"Object":            func() error { _, err := m.Object(ctx, namespace, "x"); return err },
			"SaveObject":        func() error { _, err := m.SaveObject(ctx, namespace, "x", o); return err },
			"DeleteObject":      func() error { return m.DeleteObject(ctx, namespace, "x") },
			"Tag":               func() error { _, err := m.Tag(ctx, namespace, "x"); return err },
			"SaveTag":           func() error { _, err := m.SaveTag(ctx, namespace, "x", "y"); return err },
			"DeleteTag":         func() error { return m.DeleteTag(ctx, namespace, "x") },
			"RemoveAssociation": func() error { return m.RemoveAssociation(ctx, namespace, "x") },
			"Tags after":        func() error { _, err := m.Tags(ctx, namespace, metadef.TagQuery{Marker: "x", Limit: 1}); return err },
		} {
			wantErr(t, what+" in "+namespace, verb(), image.ErrNotFound)
		}
	}
	for what, verb := range map[string]func() error{
		"Namespace":        func() error { _, err := m.Namespace(ctx, "none", ""); return err },
		"SaveNamespace":    func() error { _, err := m.SaveNamespace(ctx, "none", example("x").Namespace); return err },
		"DeleteNamespace":  func() error { return m.DeleteNamespace(ctx, "none") },
		"Associations":     func() error { _, err := m.Associations(ctx, "none"); return err },
		"AddAssociation":   func() error { _, err := m.AddAssociation(ctx, "none", example("x").Associations[0]); return err },
		"Properties":       func() error { _, err := m.Properties(ctx, "none"); return err },
		"CreateProperty":   func() error { _, err := m.CreateProperty(ctx, "none", p); return err },
		"DeleteProperties": func() error { return m.DeleteProperties(ctx, "none") },
		"Objects":          func() error { _, err := m.Objects(ctx, "none"); return err },
		"CreateObject":     func() error { _, err := m.CreateObject(ctx, "none", o); return err },
		"DeleteObjects":    func() error { return m.DeleteObjects(ctx, "none") },
		"Tags":             func() error { _, err := m.Tags(ctx, "none", metadef.TagQuery{Limit: 1}); return err },
		"CreateTag":        func() error { _, err := m.CreateTag(ctx, "none", "x"); return err },
		"SetTags":          func() error { _, err := m.SetTags(ctx, "none", []string{"x"}, true); return err },
		"DeleteTags":       func() error { return m.DeleteTags(ctx, "none") },
	} {
		wantErr(t, what, verb(), image.ErrNotFound)
	}
}

// oddNames have what paths and queries give a meaning to.
func oddNames(t *testing.T, m metadef.Catalog) {
	ctx := t.Context()
	for _, name := range []string{"a/b", "..", ".", "a?b#c", "50%25", "日本 +&=", "tags"} {
		d := example(name)
		d.Objects[0].Name, d.Properties[0].Name, d.Tags[0].Name, d.Associations[0].ResourceType = name, name, name, name
		createNamespace(t, m, d)
		if got := getNamespace(t, m, name); got.Namespace.Name != name {
			t.Errorf("namespace %q = %+v", name, got)
		}
		o, err := m.Object(ctx, name, name)
		if err != nil || o.Name != name {
			t.Errorf("object %q = %+v, %v", name, o, err)
		}
		p, err := m.Property(ctx, name, "hw_"+name, name)
		if err != nil || p.Name != name {
			t.Errorf("property %q = %+v, %v", name, p, err)
		}
		tag, err := m.SaveTag(ctx, name, name, name+"2")
		if err != nil || tag.Name != name+"2" {
			t.Errorf("tag %q = %+v, %v", name, tag, err)
		}
		wantErr(t, "its association", m.RemoveAssociation(ctx, name, name), nil)
		page, _, err := m.Namespaces(ctx, metadef.Query{Limit: 1, Marker: name})
		if err != nil || len(page) == 1 && page[0].Namespace.Name == name {
			t.Errorf("the page after %q = %+v, %v", name, page, err)
		}
	}
}

// twoWriters rename a namespace at once; each name that one of them gives must be found by somebody.
func twoWriters(t *testing.T, m metadef.Catalog) {
	createNamespace(t, m, example("start"))
	done := make(chan error, 2)
	for _, name := range []string{"a", "b"} {
		go func() {
			n := example(name).Namespace
			_, err := m.SaveNamespace(context.WithoutCancel(t.Context()), "start", n)
			done <- err
		}()
	}
	first, second := <-done, <-done
	if first != nil {
		first, second = second, first
	}
	wantErr(t, "one of two renames", first, nil)
	wantErr(t, "the other one", second, image.ErrNotFound)
}
