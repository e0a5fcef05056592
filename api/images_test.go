package api

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

const anID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"

func TestLifeOfAnImage(t *testing.T) {
	f := newFake()
	h := newHandler(t, f)
	res := do(h, request{"POST", "/v2/images", nil, `{"id":"` + strings.ToUpper(anID) + `","name":"demo","disk_format":"raw",
		"container_format":"bare","min_ram":64,"protected":false,"tags":["b","a"],"os_distro":"debian"}`})
	if res.Code != http.StatusCreated || res.Header().Get("Location") != "http://127.0.0.1:9292/v2/images/"+anID {
		t.Fatalf("create = %d %v %s", res.Code, res.Header(), res.Body)
	}
	img, err := wire.ParseImage(res.Body.Bytes())
	if err != nil || *img.Name != "demo" || img.MinRAM != 64 || img.Properties["os_distro"] != "debian" || img.Status != image.Queued {
		t.Errorf("created %+v, %v", img, err)
	}
	if res := do(h, request{"GET", "/v2/images/" + anID + "/file", nil, ""}); res.Code != http.StatusNoContent || res.Body.Len() != 0 {
		t.Errorf("download without data = %d %q", res.Code, res.Body)
	}
	res = do(h, request{"PUT", "/v2/images/" + anID + "/file", header("Content-Type", "application/octet-stream",
		"X-Image-Meta-Store", "fast", "X-Openstack-Image-Size", "5"), "bytes"})
	if want := (imageservice.Upload{ContentLength: 5, ExpectedSize: 5, Store: "fast"}); res.Code != http.StatusNoContent || f.uploads[0] != want {
		t.Fatalf("upload = %d %s: %+v", res.Code, res.Body, f.uploads)
	}
	res = do(h, request{"PATCH", "/v2/images/" + anID, header("Content-Type", patchType),
		`[{"op":"replace","path":"/name","value":"new"},{"op":"remove","path":"/os_distro"},{"op":"add","path":"/a~1b~0","value":"x"}]`})
	img, err = wire.ParseImage(res.Body.Bytes())
	if err != nil || *img.Name != "new" || !reflect.DeepEqual(img.Properties, map[string]string{"a/b~": "x"}) {
		t.Errorf("patch = %d %s, %v", res.Code, res.Body, err)
	}
	for _, step := range []struct {
		method, path string
		code         int
	}{
		{"PUT", "/tags/c%2Fd", 204},
		{"DELETE", "/tags/a", 204},
		{"DELETE", "/tags/a", 404},
		{"POST", "/actions/deactivate", 204},
		{"POST", "/actions/reactivate", 204},
	} {
		if res := do(h, request{step.method, "/v2/images/" + anID + step.path, nil, ""}); res.Code != step.code {
			t.Errorf("%s %s = %d %s, want %d", step.method, step.path, res.Code, res.Body, step.code)
		}
	}
	img, err = wire.ParseImage(do(h, request{"GET", "/v2.9/images/" + strings.ToUpper(anID), nil, ""}).Body.Bytes())
	if err != nil || !reflect.DeepEqual(img.Tags, []string{"b", "c/d"}) {
		t.Errorf("tags %v, %v", img, err)
	}
	if res := do(h, request{"GET", "/v2/images/" + anID + "/file", nil, ""}); res.Code != http.StatusOK || res.Body.String() != "bytes" {
		t.Errorf("download = %d %q", res.Code, res.Body)
	}
	if res := do(h, request{"DELETE", "/v2/images/" + anID, nil, ""}); res.Code != http.StatusNoContent {
		t.Errorf("delete = %d %s", res.Code, res.Body)
	}
	if res := do(h, request{"GET", "/v2/images/" + anID, nil, ""}); res.Code != http.StatusNotFound {
		t.Errorf("a deleted image is shown: %d", res.Code)
	}
}

func TestMultiStoreAnswers(t *testing.T) {
	f := newFake()
	h := newHandler(t, f, stores)
	res := do(h, request{"POST", "/v2/images", nil, `{}`})
	if got := res.Header().Get("OpenStack-image-store-ids"); got != "fast,web" {
		t.Errorf("store ids = %q", got)
	}
	id := f.add(image.Image{Owner: "p1"}, "data")
	if res := do(h, request{"GET", "/v2/images/" + string(id), nil, ""}); !strings.Contains(res.Body.String(), `"stores":"fast"`) {
		t.Errorf("no stores in %s", res.Body)
	}
	if res := do(h, request{"GET", "/v2/images/" + string(id) + "/file?prefer=web,fast", nil, ""}); res.Code != http.StatusOK {
		t.Errorf("prefer = %d %s", res.Code, res.Body)
	}
	one := newHandler(t, f)
	if res := do(one, request{"GET", "/v2/images/" + string(id) + "/file?prefer=fast", nil, ""}); res.Code != http.StatusBadRequest {
		t.Errorf("prefer with one store = %d", res.Code)
	}
}

func TestBadBodies(t *testing.T) {
	f := newFake()
	id := string(f.add(image.Image{Owner: "p1"}, "data"))
	h := newHandler(t, f, func(c *Config) { c.Limits.JSONBody = 64 << 10 })
	patch := header("Content-Type", patchType)
	old := header("Content-Type", oldPatchType)
	for _, tt := range []struct {
		name string
		request
		code int
	}{
		{"no body", request{"POST", "/v2/images", nil, ""}, 400},
		{"white space", request{"POST", "/v2/images", nil, " \n"}, 400},
		{"cut short", request{"POST", "/v2/images", nil, `{"name":"x`}, 400},
		{"no JSON", request{"POST", "/v2/images", nil, `name=x`}, 400},
		{"two documents", request{"POST", "/v2/images", nil, `{}{}`}, 400},
		{"a list", request{"POST", "/v2/images", nil, `[]`}, 400},
		{"null", request{"POST", "/v2/images", nil, `null`}, 400},
		{"id of the wrong type", request{"POST", "/v2/images", nil, `{"id":5}`}, 400},
		{"id null", request{"POST", "/v2/images", nil, `{"id":null}`}, 400},
		{"id no UUID", request{"POST", "/v2/images", nil, `{"id":"x"}`}, 400},
		{"id exists", request{"POST", "/v2/images", nil, `{"id":"` + id + `"}`}, 409},
		{"name twice", request{"POST", "/v2/images", nil, `{"name":"a","name":"b"}`}, 400},
		{"name of the wrong type", request{"POST", "/v2/images", nil, `{"name":5}`}, 400},
		{"read-only", request{"POST", "/v2/images", nil, `{"status":"active"}`}, 403},
		{"property of the wrong type", request{"POST", "/v2/images", nil, `{"p":{"q":[1]}}`}, 400},
		{"four bytes", request{"POST", "/v2/images", nil, `{"name":"😀"}`}, 400},
		{"four bytes in a key", request{"POST", "/v2/images", nil, `{"😀":"x"}`}, 400},
		{"four bytes escaped", request{"POST", "/v2/images", nil, `{"name":"\ud83d\ude00"}`}, 400},
		{"half a pair", request{"POST", "/v2/images", nil, `{"name":"\uD83D"}`}, 400},
		{"not UTF-8", request{"POST", "/v2/images", nil, "{\"name\":\"\xff\"}"}, 400},
		{"backslash before u", request{"POST", "/v2/images", nil, `{"name":"\\ud83d"}`}, 201},
		{"too deep", request{"POST", "/v2/images", nil, `{"p":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`}, 400},
		{"deep and cut", request{"POST", "/v2/images", nil, strings.Repeat(`{"a":`, 10_000)}, 400},
		{"too many values", request{"POST", "/v2/images", nil, `{"tags":[` + strings.Repeat(`1,`, maxValues) + `1]}`}, 400},
		{"too long", request{"POST", "/v2/images", nil, `{"name":"` + strings.Repeat("x", 64<<10) + `"}`}, 413},

		{"no media type", request{"PATCH", "/v2/images/" + id, nil, `[]`}, 415},
		{"JSON patch of the RFC", request{"PATCH", "/v2/images/" + id, header("Content-Type", "application/json-patch+json"), `[]`}, 415},
		{"no changes", request{"PATCH", "/v2/images/" + id, patch, `[]`}, 200},
		{"parameters of the type", request{"PATCH", "/v2/images/" + id, header("Content-Type", patchType+"; charset=utf-8"), `[]`}, 200},
		{"an object", request{"PATCH", "/v2/images/" + id, patch, `{}`}, 400},
		{"no objects", request{"PATCH", "/v2/images/" + id, patch, `["x"]`}, 400},
		{"no op", request{"PATCH", "/v2/images/" + id, patch, `[{"path":"/name","value":"x"}]`}, 400},
		{"op of the wrong type", request{"PATCH", "/v2/images/" + id, patch, `[{"op":1,"path":"/name","value":"x"}]`}, 400},
		{"move", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"move","path":"/name","from":"/x"}]`}, 400},
		{"test", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"test","path":"/name","value":"x"}]`}, 400},
		{"no path", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"add","value":"x"}]`}, 400},
		{"no value", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"add","path":"/x"}]`}, 400},
		{"no slash", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"add","path":"x","value":"x"}]`}, 400},
		{"two slashes", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"add","path":"//x","value":"x"}]`}, 400},
		{"trailing slash", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"add","path":"/x/","value":"x"}]`}, 400},
		{"only a slash", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"add","path":"/","value":"x"}]`}, 400},
		{"bad tilde", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"add","path":"/x~2","value":"x"}]`}, 400},
		{"tilde at the end", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"add","path":"/x~","value":"x"}]`}, 400},
		{"depth", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"add","path":"/tags/0","value":"x"}]`}, 400},
		{"locations as a whole", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"add","path":"/locations","value":{}}]`}, 400},
		{"a location", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"add","path":"/locations/-","value":{}}]`}, 403},
		{"remove a field", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"remove","path":"/name"}]`}, 403},
		{"replace what is missing", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"replace","path":"/x","value":"x"}]`}, 409},
		{"name null", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"replace","path":"/name","value":null}]`}, 200},
		{"add", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"add","path":"/x","value":"1"}]`}, 200},
		{"add again", request{"PATCH", "/v2/images/" + id, patch, `[{"op":"add","path":"/x","value":"2"}]`}, 200},
		{"old, add again", request{"PATCH", "/v2/images/" + id, old, `[{"add":"/x","value":"2"}]`}, 409},
		{"old, replace", request{"PATCH", "/v2/images/" + id, old, `[{"replace":"/x","value":"3"}]`}, 200},
		{"old, remove", request{"PATCH", "/v2/images/" + id, old, `[{"remove":"/x"}]`}, 200},
		{"old, two operations", request{"PATCH", "/v2/images/" + id, old, `[{"add":"/x","remove":"/y","value":"2"}]`}, 400},
		{"old, none", request{"PATCH", "/v2/images/" + id, old, `[{"op":"add","path":"/x","value":"2"}]`}, 400},
		{"old, no path", request{"PATCH", "/v2/images/" + id, old, `[{"add":["/x"],"value":"2"}]`}, 400},

		{"no type", request{"PUT", "/v2/images/" + id + "/file", nil, "x"}, 415},
		{"JSON as data", request{"PUT", "/v2/images/" + id + "/file", header("Content-Type", "application/json"), "x"}, 415},
		{"size no number", request{"PUT", "/v2/images/" + id + "/file", header("Content-Type", dataType, "X-Openstack-Image-Size", "5k"), "x"}, 400},
		{"size negative", request{"PUT", "/v2/images/" + id + "/file", header("Content-Type", dataType, "X-Openstack-Image-Size", "-1"), "x"}, 400},
		{"not queued", request{"PUT", "/v2/images/" + id + "/file", header("Content-Type", dataType), "x"}, 409},

		{"body for GET", request{"GET", "/v2/images", nil, "{}"}, 400},
		{"body for DELETE", request{"DELETE", "/v2/images/" + id, nil, "{}"}, 400},
		{"body for a tag", request{"PUT", "/v2/images/" + id + "/tags/x", nil, "{}"}, 400},
		{"body for an action", request{"POST", "/v2/images/" + id + "/actions/deactivate", nil, "{}"}, 400},
		{"tag of four bytes", request{"PUT", "/v2/images/" + id + "/tags/%F0%9F%98%80", nil, ""}, 400},
		{"tag not UTF-8", request{"PUT", "/v2/images/" + id + "/tags/%FF", nil, ""}, 400},
		{"tag too long", request{"PUT", "/v2/images/" + id + "/tags/" + strings.Repeat("x", 256), nil, ""}, 400},
		{"id no UUID", request{"GET", "/v2/images/detail", nil, ""}, 404},
		{"id empty", request{"GET", "/v2/images//file", nil, ""}, 404},
	} {
		t.Run(tt.method+" "+tt.name, func(t *testing.T) {
			res := do(h, tt.request)
			if res.Code != tt.code {
				t.Errorf("%d %s, want %d", res.Code, res.Body, tt.code)
			}
			if accept := res.Header().Get("Accept-Patch"); (accept != "") != (res.Code == 415 && tt.method == "PATCH") {
				t.Errorf("Accept-Patch is %q", accept)
			}
		})
	}
}
