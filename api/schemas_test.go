package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

var update = flag.Bool("update", false, "write the golden files")

// stores makes it a multi-store API.
func stores(c *Config) {
	c.Stores = []imageservice.StoreInfo{{ID: "fast", Default: true}, {ID: "web", ReadOnly: true}}
}

func TestSchemas(t *testing.T) {
	h := newHandler(t, newFake(), stores)
	for _, name := range []string{"image", "images", "member", "members", "task", "tasks"} {
		res := do(h, request{"GET", "/v2.1/schemas/" + name, nil, ""})
		if res.Code != 200 || res.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v", name, res.Code, res.Header())
		}
		var got bytes.Buffer
		if err := json.Indent(&got, res.Body.Bytes(), "", "  "); err != nil {
			t.Fatal(err)
		}
		got.WriteByte('\n')
		path := filepath.Join("testdata", "schema-"+name+".json")
		if *update {
			if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s is\n%s\nwant\n%s", name, got.Bytes(), want)
		}
	}
}

func TestSchemaWithOneStore(t *testing.T) {
	var one, several struct{ Properties map[string]any }
	for h, doc := range map[http.Handler]any{newHandler(t, newFake()): &one, newHandler(t, newFake(), stores): &several} {
		if err := json.Unmarshal(do(h, request{"GET", "/v2/schemas/image", nil, ""}).Body.Bytes(), doc); err != nil {
			t.Fatal(err)
		}
	}
	if one.Properties["stores"] != nil || several.Properties["stores"] == nil || len(one.Properties) != len(several.Properties)-1 {
		t.Errorf("one store: %v\nseveral: %v", one.Properties, several.Properties)
	}
}

// compile returns a schema as the API serves it.
func compile(t *testing.T, h http.Handler, name string) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(do(h, request{"GET", "/v2/schemas/" + name, nil, ""}).Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// checkDocument checks that a document is one of the schema.
func checkDocument(t *testing.T, schema *jsonschema.Schema, document []byte) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s\n%v", document, err)
	}
}

func TestDocumentsFollowTheirSchemas(t *testing.T) {
	f := newFake()
	h := newHandler(t, f, stores)
	one, many := compile(t, h, "image"), compile(t, h, "images")
	name, size := "demo", int64(7)
	active := f.add(image.Image{Owner: "p1", Name: &name, Tags: []string{"a"}, VirtualSize: &size,
		Properties: map[string]string{"os_distro": "debian", "kernel_id": anID, "description": "x", "hw_disk_bus": "virtio"}}, "data")
	created := do(h, request{"POST", "/v2/images", nil, `{}`}).Body.Bytes()
	for _, tt := range []struct {
		name     string
		schema   *jsonschema.Schema
		document []byte
	}{
		{"queued", one, created},
		{"active", one, do(h, request{"GET", "/v2/images/" + string(active), nil, ""}).Body.Bytes()},
		{"list", many, do(h, request{"GET", "/v2/images?limit=1", nil, ""}).Body.Bytes()},
		{"empty list", many, do(h, request{"GET", "/v2/images?limit=0", nil, ""}).Body.Bytes()},
	} {
		t.Run(tt.name, func(t *testing.T) { checkDocument(t, tt.schema, tt.document) })
	}
	for _, bad := range []string{`{"id":"x"}`, `{"os_distro":5}`, `{"anything":5}`, `{"status":"lost"}`, `{"disk_format":"floppy"}`, `{"kernel_id":"x"}`} {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(bad)))
		if err != nil {
			t.Fatal(err)
		}
		if one.Validate(value) == nil {
			t.Errorf("the schema allows %s", bad)
		}
	}
}

// The schema names the formats that the operator allows, and no others.
func TestSchemaOfConfiguredFormats(t *testing.T) {
	formats := image.Formats{Disk: []string{"raw", "gpt"}, Container: []string{"bare"}}
	var schema struct {
		Properties map[string]struct{ Enum []any }
	}
	if err := json.Unmarshal(schemas(false, formats)[wire.ImageSchema], &schema); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]any{"disk_format": {nil, "raw", "gpt"}, "container_format": {nil, "bare"}} {
		if got := schema.Properties[name].Enum; !slices.Equal(got, want) {
			t.Errorf("the values of %s are %v, want %v", name, got, want)
		}
	}
}
