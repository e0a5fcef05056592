package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/filestore"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/metadata/sqlite"
	"github.com/vitrine-image/vitrine/metadef"
)

// asCaller lets everybody in as the caller that the test names.
type asCaller struct{ callers map[string]image.Caller }

func (a asCaller) Authenticate(r *http.Request) (image.Caller, error) {
	return a.callers[r.Header.Get("X-Auth-Token")], nil
}

var metadefCallers = map[string]image.Caller{
	"":        {ProjectID: "ops", Roles: []string{"admin"}},
	"reader":  {ProjectID: "ops", Roles: []string{"reader"}},
	"foreign": {ProjectID: "other", Roles: []string{"reader", "member"}},
	"nobody":  {Anonymous: true},
}

// newMetadefs returns the API over a real service. Its clock moves a second with each look.
func newMetadefs(t testing.TB, change ...func(*Config)) http.Handler {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "vitrine.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	store, err := filestore.Open(filestore.Config{ID: "local", Dirs: []filestore.Dir{{Path: filepath.Join(dir, "images")}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	set, err := imagestore.NewSet(imagestore.Entry{ID: "local", Store: store, Default: true})
	if err != nil {
		t.Fatal(err)
	}
	ingester, err := ingest.New(ingest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	svc, err := imageservice.New(imageservice.Config{DB: db, Stores: set, Ingest: ingester, Instance: "test",
		Now: func() time.Time { now = now.Add(time.Second); return now }})
	if err != nil {
		t.Fatal(err)
	}
	return newHandler(t, newFake(), append(change, func(c *Config) {
		c.Images = func(caller image.Caller) Session { return svc.As(caller) }
		c.Auth = asCaller{metadefCallers}
	})...)
}

const metadefsPath = "/v2/metadefs"

// exampleNamespace has something of everything.
const exampleNamespace = `{"namespace":"OS::Test","display_name":"Test","description":"For tests","visibility":"public","resource_type_associations":[
	{"name":"OS::Glance::Image","prefix":"hw_"},{"name":"OS::Nova::Flavor","properties_target":"x"}],"properties":{"cores":{"name":"ignored",
	"title":"Cores","type":"integer","minimum":1,"default":2,"operators":["<in>"],"description":null},"mode":{"title":"Mode","type":"string","enum":["a","b"]}},
	"objects":[{"name":"disk","description":"A disk","required":["bus"],"properties":{"bus":{"title":"Bus","type":"string"}}}],
	"tags":[{"name":"fast"},{"name":"Big"}]}`

// TestMetadefs goes through the life of a namespace; testdata has every answer.
func TestMetadefs(t *testing.T) {
	h := newMetadefs(t)
	var log bytes.Buffer
	for _, r := range []request{
		{"POST", "/namespaces", nil, exampleNamespace},
		{"GET", "/namespaces/OS::Test", nil, ""},
		{"GET", "/namespaces/os::test?resource_type=os::glance::image", nil, ""},
		{"POST", "/namespaces", nil, `{"namespace":"a b/ä"}`},
		{"GET", "/namespaces/a%20b%2F%C3%A4", nil, ""},
		{"GET", "/namespaces", nil, ""},
		{"GET", "/namespaces?limit=1&sort_key=namespace&sort_dir=asc&other=x", nil, ""},
		{"GET", "/namespaces?limit=1&sort_key=namespace&sort_dir=asc&marker=a+b/%C3%A4", nil, ""},
		{"GET", "/namespaces?resource_types=none,OS::Nova::Flavor&visibility=public", nil, ""},
		{"GET", "/resource_types", nil, ""},
		{"GET", "/namespaces/OS::Test/resource_types", nil, ""},
		{"POST", "/namespaces/OS::Test/resource_types", nil, `{"name":"OS::Cinder::Volume","prefix":"hw_","properties_target":"image"}`},
		{"DELETE", "/namespaces/OS::Test/resource_types/OS::Nova::Flavor", nil, ""},

		{"GET", "/namespaces/OS::Test/properties", nil, ""},
		{"GET", "/namespaces/OS::Test/properties/cores", nil, ""},
		{"GET", "/namespaces/OS::Test/properties/hw_cores?resource_type=OS::Glance::Image", nil, ""},
		{"POST", "/namespaces/OS::Test/properties", nil, `{"name":"list","title":"List","type":"array","items":{"type":"string","enum":["x"]},"default":["x"],"minimum":1.5}`},
		{"PUT", "/namespaces/OS::Test/properties/list", nil, `{"name":"renamed","title":"Other","type":"string"}`},
		{"DELETE", "/namespaces/OS::Test/properties/renamed", nil, ""},

		{"GET", "/namespaces/OS::Test/objects?limit=1&marker=x", nil, ""},
		{"POST", "/namespaces/OS::Test/objects", nil, `{"name":"net/1"}`},
		{"GET", "/namespaces/OS::Test/objects/net%2F1", nil, ""},
		{"PUT", "/namespaces/OS::Test/objects/disk", nil, `{"name":"disk","description":"Only this"}`},
		{"DELETE", "/namespaces/OS::Test/objects/net%2F1", nil, ""},

		{"GET", "/namespaces/OS::Test/tags", nil, ""},
		{"GET", "/namespaces/OS::Test/tags?sort_key=name&sort_dir=asc&limit=1", nil, ""},
		{"GET", "/namespaces/OS::Test/tags?sort_key=name&sort_dir=asc&marker=big", nil, ""},
		{"GET", "/namespaces/OS::Test/tags/FAST", nil, ""},
		{"POST", "/namespaces/OS::Test/tags/new", nil, ""},
		{"PUT", "/namespaces/OS::Test/tags/new", nil, `{"name":"newer"}`},
		{"DELETE", "/namespaces/OS::Test/tags/newer", nil, ""},
		{"POST", "/namespaces/OS::Test/tags", header("X-Openstack-Append", "True"), `{"tags":[{"name":"more"}]}`},
		{"GET", "/namespaces/OS::Test/tags?sort_key=name&sort_dir=asc", nil, ""},
		{"POST", "/namespaces/OS::Test/tags", nil, `{"tags":[{"name":"only"}]}`},
		{"GET", "/namespaces/OS::Test/tags", nil, ""},

		{"PUT", "/namespaces/OS::Test", nil, `{"namespace":"OS::Renamed","tags":[{"name":"no"}],"objects":[{"name":"o","self":"/o","created_at":"x"}]}`},
		{"GET", "/namespaces/OS::Renamed", nil, ""},
		{"DELETE", "/namespaces/OS::Renamed/tags", nil, ""},
		{"DELETE", "/namespaces/OS::Renamed/objects", nil, ""},
		{"DELETE", "/namespaces/OS::Renamed/properties", nil, ""},
		{"GET", "/namespaces/OS::Renamed", nil, ""},
		{"DELETE", "/namespaces/OS::Renamed", nil, ""},
		{"GET", "/namespaces/OS::Renamed", nil, ""},
	} {
		res := do(h, request{r.method, metadefsPath + r.path, r.header, r.body})
		log.WriteString(r.method + " " + r.path + " " + r.body + "\n" + http.StatusText(res.Code) + "\n")
		if location := res.Header().Get("Location"); location != "" {
			log.WriteString("Location: " + location + "\n")
		}
		if res.Body.Len() > 0 && res.Header().Get("Content-Type") == "application/json" {
			if err := json.Indent(&log, res.Body.Bytes(), "", "  "); err != nil {
				t.Fatal(err)
			}
			log.WriteByte('\n')
		} else {
			log.Write(res.Body.Bytes())
		}
		log.WriteByte('\n')
	}
	golden(t, "metadefs.txt", log.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
	}
}

// TestMetadefRefusals asks for what cannot be.
func TestMetadefRefusals(t *testing.T) {
	h := newMetadefs(t)
	for _, body := range []string{exampleNamespace, `{"namespace":"private"}`, `{"namespace":"safe","protected":true,"properties":{"p":{"title":"","type":"string"}},
		"objects":[{"name":"o"}],"tags":[{"name":"t"}],"resource_type_associations":[{"name":"T"}]}`} {
		if res := do(h, request{"POST", metadefsPath + "/namespaces", nil, body}); res.Code != 201 {
			t.Fatal(res.Body)
		}
	}
	reader, foreign, nobody := header("X-Auth-Token", "reader"), header("X-Auth-Token", "foreign"), header("X-Auth-Token", "nobody")
	const ns = "/namespaces/OS::Test"
	tags := `{"tags":[` + strings.Repeat(`{"name":"x"},`, 6000) + `{"name":"y"}]}`
	for _, tt := range []struct {
		request
		code int
		text string // part of the message
	}{
		// Whom it does not concern.
		{request{"GET", ns, foreign, ""}, 200, ""},
		{request{"GET", ns, nobody, ""}, 200, ""},
		{request{"GET", "/namespaces/private", reader, ""}, 200, ""},
		{request{"GET", "/namespaces/private", foreign, ""}, 404, `no namespace "private"`},
		{request{"GET", "/namespaces/private", nobody, ""}, 404, "no namespace"},
		{request{"GET", "/namespaces/private/tags", foreign, ""}, 404, "no namespace"},
		{request{"GET", "/namespaces/private/objects", foreign, ""}, 404, "no namespace"},
		{request{"GET", "/namespaces/private/properties/p", foreign, ""}, 404, "no namespace"},
		{request{"GET", "/namespaces?marker=private", foreign, ""}, 404, "start after"},
		{request{"DELETE", "/namespaces/private", foreign, ""}, 404, "no namespace"},
		{request{"DELETE", "/namespaces/private", reader, ""}, 403, "delete_metadef_namespace"},
		{request{"DELETE", ns, foreign, ""}, 403, "delete_metadef_namespace"},
		{request{"DELETE", ns, nobody, ""}, 403, "delete_metadef_namespace"},
		{request{"POST", "/namespaces", reader, `{"namespace":"x"}`}, 403, "add_metadef_namespace"},
		{request{"PUT", ns, reader, `{"namespace":"x"}`}, 403, "modify_metadef_namespace"},
		{request{"PUT", "/namespaces/private", foreign, `{"namespace":"x"}`}, 404, "no namespace"},
		{request{"POST", ns + "/resource_types", reader, `{"name":"x"}`}, 403, "add_metadef_resource_type_association"},
		{request{"DELETE", ns + "/resource_types/OS::Nova::Flavor", reader, ""}, 403, "remove_metadef_resource_type_association"},
		{request{"POST", ns + "/properties", reader, `{"name":"x","title":"","type":"string"}`}, 403, "add_metadef_property"},
		{request{"PUT", ns + "/properties/mode", reader, `{"name":"x","title":"","type":"string"}`}, 403, "modify_metadef_property"},
		{request{"DELETE", ns + "/properties/mode", reader, ""}, 403, "remove_metadef_property"},
		{request{"DELETE", ns + "/properties", reader, ""}, 403, "remove_metadef_property"},
		{request{"POST", ns + "/objects", reader, `{"name":"x"}`}, 403, "add_metadef_object"},
		{request{"PUT", ns + "/objects/disk", reader, `{"name":"x"}`}, 403, "modify_metadef_object"},
		{request{"DELETE", ns + "/objects/disk", reader, ""}, 403, "delete_metadef_object"},
		{request{"DELETE", ns + "/objects", reader, ""}, 403, "delete_metadef_object"},
		{request{"POST", ns + "/tags/x", reader, ""}, 403, "add_metadef_tag"},
		{request{"POST", ns + "/tags", reader, `{"tags":[]}`}, 403, "add_metadef_tags"},
		{request{"PUT", ns + "/tags/fast", reader, `{"name":"x"}`}, 403, "modify_metadef_tag"},
		{request{"DELETE", ns + "/tags/fast", reader, ""}, 403, "delete_metadef_tag"},
		{request{"DELETE", ns + "/tags", reader, ""}, 403, "delete_metadef_tags"},

		// Protected.
		{request{"DELETE", "/namespaces/safe", nil, ""}, 403, "protected"},
		{request{"DELETE", "/namespaces/safe/properties", nil, ""}, 403, "protected"},
		{request{"DELETE", "/namespaces/safe/properties/p", nil, ""}, 403, "protected"},
		{request{"DELETE", "/namespaces/safe/objects", nil, ""}, 403, "protected"},
		{request{"DELETE", "/namespaces/safe/objects/o", nil, ""}, 403, "protected"},
		{request{"DELETE", "/namespaces/safe/tags", nil, ""}, 403, "protected"},
		{request{"DELETE", "/namespaces/safe/tags/t", nil, ""}, 403, "protected"},
		{request{"DELETE", "/namespaces/safe/resource_types/T", nil, ""}, 403, "protected"},

		// What is not there.
		{request{"GET", "/namespaces/none", nil, ""}, 404, `no namespace "none"`},
		{request{"PUT", "/namespaces/none", nil, `{"namespace":"none"}`}, 404, "no namespace"},
		{request{"DELETE", "/namespaces/none", nil, ""}, 404, "no namespace"},
		{request{"GET", "/namespaces/none/resource_types", nil, ""}, 404, "no namespace"},
		{request{"POST", "/namespaces/none/tags/x", nil, ""}, 404, "no namespace"},
		{request{"GET", ns + "/properties/none", nil, ""}, 404, `no property "none"`},
		{request{"GET", ns + "/properties/cores?resource_type=OS::Glance::Image", nil, ""}, 404, `does not begin with "hw_"`},
		{request{"GET", ns + "/properties/cores?resource_type=none", nil, ""}, 404, `not about "none"`},
		{request{"GET", ns + "/properties/cores?resource_type=OS::Nova::Flavor", nil, ""}, 200, ""},
		{request{"PUT", ns + "/properties/none", nil, `{"name":"x","title":"","type":"string"}`}, 404, "no property"},
		{request{"DELETE", ns + "/properties/none", nil, ""}, 404, "no property"},
		{request{"GET", ns + "/objects/none", nil, ""}, 404, `no object "none"`},
		{request{"PUT", ns + "/objects/none", nil, `{"name":"x"}`}, 404, "no object"},
		{request{"DELETE", ns + "/objects/none", nil, ""}, 404, "no object"},
		{request{"GET", ns + "/tags/none", nil, ""}, 404, `no tag "none"`},
		{request{"PUT", ns + "/tags/none", nil, `{"name":"x"}`}, 404, "no tag"},
		{request{"DELETE", ns + "/tags/none", nil, ""}, 404, "no tag"},
		{request{"GET", ns + "/tags?marker=none", nil, ""}, 404, "start after"},
		{request{"DELETE", ns + "/resource_types/none", nil, ""}, 404, "not associated"},
		{request{"GET", "/namespaces?marker=none", nil, ""}, 404, "start after"},
		{request{"GET", "/namespaces/", nil, ""}, 404, ""},
		{request{"GET", ns + "/none", nil, ""}, 404, ""},

		// What is there already.
		{request{"POST", "/namespaces", nil, `{"namespace":"os::TEST"}`}, 409, "already"},
		{request{"PUT", ns, nil, `{"namespace":"Private"}`}, 409, "already"},
		{request{"POST", "/namespaces", nil, `{"namespace":"new","tags":[{"name":"a"},{"name":"A"}]}`}, 409, "twice"},
		{request{"GET", "/namespaces/new", nil, ""}, 404, "no namespace"},
		{request{"POST", ns + "/resource_types", nil, `{"name":"os::glance::image"}`}, 409, "already"},
		{request{"POST", ns + "/properties", nil, `{"name":"MODE","title":"","type":"string"}`}, 409, "already"},
		{request{"PUT", ns + "/properties/mode", nil, `{"name":"cores","title":"","type":"string"}`}, 409, "already"},
		{request{"POST", ns + "/objects", nil, `{"name":"Disk"}`}, 409, "already"},
		{request{"POST", ns + "/tags/FAST", nil, ""}, 409, "already"},
		{request{"PUT", ns + "/tags/fast", nil, `{"name":"big"}`}, 409, "already"},
		{request{"POST", ns + "/tags", nil, `{"tags":[{"name":"a"},{"name":"a"}]}`}, 409, "twice"},
		{request{"POST", ns + "/tags", header("X-Openstack-Append", "true"), `{"tags":[{"name":"fast"}]}`}, 409, "already"},

		// Bad documents.
		{request{"POST", "/namespaces", nil, ""}, 400, "Body expected"},
		{request{"POST", "/namespaces", nil, "[]"}, 400, "must be a JSON object"},
		{request{"POST", "/namespaces", nil, `"x"`}, 400, "must be a JSON object"},
		{request{"POST", "/namespaces", nil, "null"}, 400, "must be a JSON object"},
		{request{"PUT", ns, nil, "[]"}, 400, "must be a JSON object"},
		{request{"POST", ns + "/tags", nil, "[]"}, 400, "must be a JSON object"},
		{request{"POST", ns + "/tags", nil, "{}"}, 400, "'tags'"},
		{request{"POST", ns + "/tags", nil, `{"tags":["x"]}`}, 400, "must be a JSON object"},
		{request{"POST", ns + "/tags", nil, tags}, 400, "values"},
		{request{"PUT", ns + "/tags/fast", nil, "{}"}, 400, "'name' is a required property"},
		{request{"PUT", ns + "/tags/fast", nil, `{"name":"x","y":1}`}, 400, "'y'"},
		{request{"POST", ns + "/tags/x", nil, "{}"}, 400, "body is not expected"},
		{request{"POST", ns + "/tags/" + strings.Repeat("x", 81), nil, ""}, 400, "80"},
		{request{"POST", ns + "/properties", nil, "[]"}, 400, "must be a JSON object"},
		{request{"POST", ns + "/properties", nil, `{"title":"","type":"string"}`}, 400, "'name'"},
		{request{"POST", ns + "/properties", nil, `{"name":"x","title":"","type":"text"}`}, 400, "'type'"},
		{request{"POST", ns + "/properties", nil, `{"name":"x","title":"","type":"integer","enum":[1]}`}, 400, "array of strings"},
		{request{"POST", ns + "/properties", nil, `{"name":"x","title":"","type":"integer","colour":1}`}, 400, "'colour'"},
		{request{"POST", ns + "/objects", nil, "[]"}, 400, "must be a JSON object"},
		{request{"POST", ns + "/objects", nil, `{"name":"x","properties":[]}`}, 400, "'properties'"},
		{request{"POST", ns + "/objects", nil, `{"name":"x","properties":{"p":1}}`}, 400, "'p'"},
		{request{"POST", ns + "/objects", nil, `{"name":"x","properties":{"p":{}}}`}, 400, "'title'"},
		{request{"POST", ns + "/objects", nil, `{"name":"x","required":[1]}`}, 400, "'required'"},
		{request{"POST", ns + "/resource_types", nil, "[]"}, 400, "must be a JSON object"},
		{request{"POST", ns + "/resource_types", nil, `{"name":""}`}, 400, "empty"},
		{request{"POST", ns + "/resource_types", nil, `{"name":"x","extra":1}`}, 400, "'extra'"},
		{request{"POST", "/namespaces", nil, `{}`}, 400, "'namespace' is a required property"},
		{request{"POST", "/namespaces", nil, `{"namespace":""}`}, 400, "empty"},
		{request{"POST", "/namespaces", nil, `{"namespace":1}`}, 400, "a string"},
		{request{"POST", "/namespaces", nil, `{"namespace":"` + strings.Repeat("x", 81) + `"}`}, 400, "80"},
		{request{"POST", "/namespaces", nil, `{"namespace":"x","protected":"yes"}`}, 400, "true or false"},
		{request{"POST", "/namespaces", nil, `{"namespace":"x","visibility":"shared"}`}, 400, "public or private"},
		{request{"POST", "/namespaces", nil, `{"namespace":"x","colour":1}`}, 400, "'colour'"},
		{request{"POST", "/namespaces", nil, `{"namespace":"x","objects":[{"name":"o","colour":1}]}`}, 400, "'colour'"},
		{request{"POST", "/namespaces", nil, `{"namespace":"x","objects":{}}`}, 400, "'objects'"},
		{request{"POST", "/namespaces", nil, `{"namespace":"x","objects":[[]]}`}, 400, "must be a JSON object"},
		{request{"POST", "/namespaces", nil, `{"namespace":"x","tags":[null]}`}, 400, "must be a JSON object"},
		{request{"POST", "/namespaces", nil, `{"namespace":"x","properties":{"p":null}}`}, 400, "'p'"},
		{request{"GET", "/namespaces/x", nil, ""}, 404, "no namespace"},
		{request{"POST", "/namespaces", nil, `{"namespace":"x","self":"/x"}`}, 403, "'self' is read-only"},
		{request{"PUT", ns, nil, `{"namespace":"x","schema":"/x"}`}, 403, "'schema' is read-only"},
		{request{"PUT", ns + "/objects/disk", nil, `{"name":"x","created_at":"x"}`}, 403, "'created_at' is read-only"},
		{request{"PUT", ns + "/tags/fast", nil, `{"name":"x","updated_at":"x"}`}, 403, "'updated_at' is read-only"},
		{request{"POST", "/namespaces", nil, `{"namespace":"x"` + strings.Repeat(" ", 1<<20) + `}`}, 413, "longer than"},
		{request{"DELETE", ns, nil, `{}`}, 400, "body is not expected"},

		// Bad parameters.
		{request{"GET", "/namespaces?limit=x", nil, ""}, 400, "limit"},
		{request{"GET", "/namespaces?limit=-1", nil, ""}, 400, "limit"},
		{request{"GET", "/namespaces?limit=0", nil, ""}, 200, ""},
		{request{"GET", "/namespaces?sort_key=id", nil, ""}, 400, "sorted by"},
		{request{"GET", "/namespaces?sort_dir=up", nil, ""}, 400, "sort direction"},
		{request{"GET", "/namespaces?visibility=shared", nil, ""}, 400, "visibility"},
		{request{"GET", "/namespaces?marker=%ff", nil, ""}, 400, "UTF-8"},
		{request{"GET", "/namespaces?resource_types=" + strings.Repeat("x,", 51), nil, ""}, 400, "50 resource types"},
		{request{"GET", ns + "/tags?limit=x", nil, ""}, 400, "limit"},
		{request{"GET", ns + "/tags?sort_key=id", nil, ""}, 400, "sorted by"},
		{request{"GET", ns + "/tags?sort_dir=up", nil, ""}, 400, "sort direction"},
		{request{"GET", "/namespaces/%ff", nil, ""}, 400, "UTF-8"},

		// Methods.
		{request{"PATCH", ns, nil, "{}"}, 405, ""},
		{request{"HEAD", "/namespaces", nil, ""}, 405, ""},
		{request{"DELETE", "/namespaces", nil, ""}, 405, ""},
		{request{"POST", "/resource_types", nil, "{}"}, 405, ""},
		{request{"PUT", ns + "/tags", nil, "{}"}, 405, ""},
	} {
		res := do(h, request{tt.method, metadefsPath + tt.path, tt.header, tt.body})
		if res.Code != tt.code || !strings.Contains(res.Body.String(), tt.text) {
			t.Errorf("%s %s %.100s: %d %s, want %d with %q", tt.method, tt.path, tt.body, res.Code, res.Body, tt.code, tt.text)
		}
	}
}

// TestMetadefSchemas compares the schemas with testdata, and the documents with the schemas: clients do the latter.
func TestMetadefSchemas(t *testing.T) {
	h := newMetadefs(t)
	for _, name := range []string{"namespace", "namespaces", "resource_type", "resource_types", "property", "properties", "object", "objects", "tag", "tags"} {
		res := do(h, request{"GET", "/v2/schemas/metadefs/" + name, nil, ""})
		var got bytes.Buffer
		if err := json.Indent(&got, res.Body.Bytes(), "", "  "); err != nil {
			t.Fatalf("%s: %d %v", name, res.Code, err)
		}
		got.WriteByte('\n')
		golden(t, "schema-metadefs-"+name+".json", got.Bytes())
	}
	if res := do(h, request{"GET", "/v2/schemas/metadefs/none", nil, ""}); res.Code != 404 {
		t.Errorf("a schema of nothing: %d", res.Code)
	}
	if res := do(h, request{"POST", metadefsPath + "/namespaces", nil, exampleNamespace}); res.Code != 201 {
		t.Fatal(res.Body)
	}
	for schema, path := range map[string]string{
		"namespaces": "", "namespace": "/OS::Test", "resource_types": "/OS::Test/resource_types", "properties": "/OS::Test/properties",
		"property": "/OS::Test/properties/cores", "objects": "/OS::Test/objects", "object": "/OS::Test/objects/disk", "tags": "/OS::Test/tags",
		"tag": "/OS::Test/tags/fast",
	} {
		checkSchema(t, h, "metadefs/"+schema, do(h, request{"GET", metadefsPath + "/namespaces" + path, nil, ""}).Body.Bytes(), true)
	}
	for schema, bad := range map[string]string{
		"namespace": `{}`, "namespaces": `{"namespaces":[{}]}`, "resource_type": `{"name":"x","y":1}`, "property": `{"title":"","type":"string"}`,
		"properties": `{"properties":{"p":{"title":1}}}`, "object": `{"name":"o","required":"x"}`, "objects": `{"objects":[{"x":1}]}`, "tag": `{"name":1}`,
		"tags": `{"tags":[{}]}`, "resource_types": `{"resource_type_associations":[{"x":1}]}`,
	} {
		checkSchema(t, h, "metadefs/"+schema, []byte(bad), false)
	}
}

// checkSchema validates a document, which the schema should allow or not.
func checkSchema(t *testing.T, h http.Handler, schema string, document []byte, valid bool) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	if err := compile(t, h, schema).Validate(value); (err == nil) != valid {
		t.Errorf("the schema %s and %s: %v", schema, document, err)
	}
}

// longMetadefs makes every namespace long. One that is loaded says so, unless it is gone.
type longMetadefs struct {
	metadef.Catalog
	gone bool
}

func (longMetadefs) CreateNamespace(_ context.Context, d metadef.Document) (metadef.Document, error) {
	for i := range shortDocument / 10 {
		d.Tags = append(d.Tags, metadef.Tag{Name: fmt.Sprintf("tag %06d", i)})
	}
	return d, nil
}

func (m longMetadefs) Namespace(ctx context.Context, name, _ string) (metadef.Document, error) {
	if m.gone {
		return metadef.Document{}, image.ErrNotFound
	}
	loaded := "loaded"
	return m.CreateNamespace(ctx, metadef.Document{Namespace: metadef.Namespace{Name: name, Description: &loaded}})
}

// TestLongDefinitionsWaitForRoom: who waits to be answered holds nothing, and is answered all the same.
func TestLongDefinitionsWaitForRoom(t *testing.T) {
	const body = `{"namespace":"long"}`
	ask := fmt.Sprintf("POST /v2/metadefs/namespaces HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	for want, m := range map[string]longMetadefs{`"description":"loaded"`: {}, `{"namespace":"long",`: {gone: true}} {
		withServer(t, func(c *Config) {
			c.Images = func(caller image.Caller) Session {
				return &fakeSession{fakeImages: newFake(), caller: caller, Catalog: m}
			}
		}, func(t *testing.T, s *server, dial func() net.Conn) {
			all := s.answers.try(documentMemory, noDeadline())
			go func() {
				time.Sleep(10 * time.Minute)
				all.release()
			}()
			c, started := dial(), time.Now()
			defer c.Close()
			go io.WriteString(c, ask)
			code, text, took := answer(t, c, started)
			if code != http.StatusCreated || took != 10*time.Minute || !strings.Contains(text, want) {
				t.Errorf("%d after %s, want %s: %.300s", code, took, want, text)
			}
		})
	}
}
