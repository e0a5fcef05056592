package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestGlanceMetadefs lets the glance client, which builds its models from our schemas, use every command for metadata
// definitions.
func TestGlanceMetadefs(t *testing.T) {
	testservers.Require(t, "glance")
	dir := t.TempDir()
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir})
	file := filepath.Join(dir, "namespace.json")
	if err := os.WriteFile(file, []byte(`{"namespace": "Imported", "protected": true, "resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "hw_"}],
		"properties": {"p": {"title": "T", "type": "integer", "default": 1, "minimum": 0, "enum": ["1"]}},
		"objects": [{"name": "o", "required": ["q"], "properties": {"q": {"title": "Q", "type": "string"}}}], "tags": [{"name": "t"}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	log := runGlance(t, d, dir, []glanceStep{
		{"md-namespace-create NS --display-name Name --visibility public", []string{"NS", "Name", "public"}},
		{"md-namespace-import --file " + file, []string{"Imported"}},
		{"md-namespace-list", []string{"NS", "Imported"}},
		{"md-namespace-list --page-size 1", []string{"NS", "Imported"}},
		{"md-namespace-list --resource-types OS::Glance::Image", []string{"Imported"}},
		{"md-namespace-show Imported --resource-type OS::Glance::Image", []string{"hw_p", `["o"]`, `["t"]`}},
		{"md-namespace-update Imported --description Changed", []string{"Changed", `["p"]`}},
		{"md-namespace-delete Imported", []string{"!403", "!protected"}},
		{"md-resource-type-list", []string{"OS::Glance::Image"}},
		{"md-resource-type-associate NS --name OS::Nova::Flavor --prefix hw:", []string{"OS::Nova::Flavor", "hw:"}},
		{"md-namespace-resource-type-list NS", []string{"OS::Nova::Flavor", "hw:"}},
		{"md-resource-type-deassociate NS OS::Nova::Flavor", nil},
		{`md-property-create NS --name p --title Title --schema {"type":"integer","minimum":1,"default":2}`, []string{"Title", "integer"}},
		{`md-property-update NS p --name p2 --title Other --schema {"type":"string"}`, []string{"p2", "Other"}},
		{"md-property-show NS p2", []string{"p2", "Other"}},
		{"md-property-list NS", []string{"p2"}},
		{"md-property-delete NS p2", nil},
		{"md-property-show NS p2", []string{"!404"}},
		{`md-object-create NS --name o --schema {"description":"D","properties":{"q":{"title":"Q","type":"string"}}}`, []string{"o", `["q"]`}},
		{`md-object-update NS o --name o2 --schema {"description":"E"}`, []string{"o2", "E", `["q"]`}},
		{"md-object-show NS o2", []string{"o2", "E"}},
		{"md-object-property-show NS o2 q", []string{"Q", "string"}},
		{"md-object-list NS", []string{"o2"}},
		{"md-object-delete NS o2", nil},
		{"md-tag-create NS --name t", []string{"t"}},
		{"md-tag-update NS t --name t2", []string{"t2"}},
		{"md-tag-show NS t2", []string{"t2"}},
		{"md-tag-create-multiple NS --names a,b", []string{"a", "b"}},
		{"md-tag-list NS", []string{"a", "b"}},
		{"md-tag-show NS t2", []string{"!404"}},
		{"md-tag-delete NS a", nil},
		{"md-namespace-tags-delete NS", nil},
		{"md-namespace-objects-delete NS", nil},
		{"md-namespace-properties-delete NS", nil},
		{"md-namespace-delete NS", nil},
		{"md-namespace-show NS", []string{"!404"}},
		{"md-namespace-update Imported --protected False", []string{"False"}},
		{"md-namespace-delete Imported", nil},
		{"md-namespace-list", nil},
	})
	if strings.Contains(log[len(log)-1].Output, "Imported") {
		t.Errorf("namespaces are left: %s", log[len(log)-1].Output)
	}
}

// TestGlanceSharing lets the glance client use every command for members, tasks, stores, quotas and the cache.
func TestGlanceSharing(t *testing.T) {
	testservers.Require(t, "glance")
	dir := t.TempDir()
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, TOML: fmt.Sprintf("[quotas]\nsize = \"10MiB\"\nimages = 1\n"+
		"[stores.fast]\ntype = \"file\"\npath = %q\ndefault = true\ndescription = \"on NVMe\"\n[stores.slow]\ntype = \"file\"\npath = %q\n",
		filepath.Join(dir, "fast"), filepath.Join(dir, "slow"))})
	img, err := d.Client.Create(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	id := string(img.ID)
	none := string(image.NewID())
	runGlance(t, d, dir, []glanceStep{
		{"member-create " + id + " p2", []string{id, "p2", "pending"}},
		{"member-create " + id + " p2", []string{"!409"}},
		{"member-create " + none + " p2", []string{"!404"}},
		{"member-list --image-id " + id, []string{id, "p2", "pending"}},
		{"member-update " + id + " p2 accepted", []string{"accepted"}},
		{"member-update " + id + " p3 accepted", []string{"!404"}},
		{"member-get " + id + " p2", []string{"p2", "accepted"}},
		{"member-delete " + id + " p2", nil},
		{"member-get " + id + " p2", []string{"!404"}},
		{"task-list", []string{"ID"}},
		{"task-show " + none, []string{"!404"}},
		{"image-tasks " + id, nil},
		{"stores-info", []string{"fast", "on NVMe", "slow", "true"}},
		{"stores-info --detail", []string{filepath.Join(dir, "fast"), "thin_provisioning", "65536"}},
		{"import-info", []string{"import-methods", "web-download"}},
		{"usage", []string{"image_count_total", "image_size_total", "10"}},
		{"image-create --name second --disk-format raw --container-format bare", []string{"!413", "!image_count_total"}},
		{"cache-list", []string{"!does not support image caching"}}, // it has read the list of versions
	})
}

// A glanceStep is a command of the glance client.
type glanceStep struct {
	command string   // words
	want    []string // parts of the output, or of the error after !
}

// runGlance runs the commands and returns what they printed.
func runGlance(t *testing.T, d *testdaemon.Daemon, dir string, steps []glanceStep) []testservers.GlanceResult {
	t.Helper()
	commands := make([][]string, len(steps))
	for i, s := range steps {
		commands[i] = strings.Fields(s.command)
	}
	results, err := testservers.Glance(t.Context(), dir, d.Endpoint, commands...)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range steps {
		got := results[i]
		fails := false
		for _, part := range s.want {
			text := got.Output
			if rest, refused := strings.CutPrefix(part, "!"); refused {
				part, text, fails = rest, got.Error, true
			}
			if !strings.Contains(text, part) {
				t.Errorf("glance %s: %q is not in:\n%s%s", s.command, part, got.Output, got.Error)
			}
		}
		if fails != (got.Error != "") {
			t.Errorf("glance %s: %s%s", s.command, got.Output, got.Error)
		}
	}
	return results
}
