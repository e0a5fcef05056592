package api

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

func TestImportRequest(t *testing.T) {
	for _, tt := range []struct {
		body string
		want *image.Import // nil: refused
	}{
		{`{"method":{"name":"glance-direct"}}`, &image.Import{Method: image.ImportStaged}},
		{`{"method":{"name":"web-download","uri":"http://a/"},"stores":["x","y"],"all_stores_must_succeed":false,"other":1}`,
			&image.Import{Method: image.ImportURL, URL: "http://a/", Stores: []string{"x", "y"}, AllowFailure: true}},
		{`{"method":{"name":"copy-image","uri":"ignored"},"all_stores":true,"all_stores_must_succeed":true}`,
			&image.Import{Method: image.ImportCopy, AllStores: true}},
		{`[]`, nil},
		{`{}`, nil},
		{`{"method":"web-download"}`, nil},
		{`{"method":{}}`, nil},
		{`{"method":{"name":1}}`, nil},
		{`{"method":{"name":"web-download"}}`, nil},
		{`{"method":{"name":"web-download","uri":""}}`, nil},
		{`{"method":{"name":"web-download","uri":{}}}`, nil},
		{`{"method":{"name":"glance-direct"},"stores":"x"}`, nil},
		{`{"method":{"name":"glance-direct"},"stores":[1]}`, nil},
		{`{"method":{"name":"glance-direct"},"all_stores":"true"}`, nil},
		{`{"method":{"name":"glance-direct"},"all_stores_must_succeed":1}`, nil},
	} {
		value, err := parseJSON([]byte(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := importRequest(value)
		switch {
		case tt.want == nil && !errors.Is(err, image.ErrInvalid):
			t.Errorf("%s: %+v, %v, want %v", tt.body, got, err, image.ErrInvalid)
		case tt.want != nil && (err != nil || !reflect.DeepEqual(got, *tt.want)):
			t.Errorf("%s: %+v, %v, want %+v", tt.body, got, err, *tt.want)
		}
	}
}

// imports is a session that notes what is to be imported.
type imports struct {
	ImportSession
	asked *image.Import
}

func (i imports) Import(_ context.Context, _ image.ID, imp image.Import) error {
	*i.asked = imp
	return nil
}

// TestImport answers 202 without a document, and passes the header on.
func TestImport(t *testing.T) {
	asked := &image.Import{}
	fake := newFake()
	h := newHandler(t, fake, func(cfg *Config) {
		cfg.ImportMethods = []string{"glance-direct", "copy-image"}
		cfg.Images = func(c image.Caller) Session {
			return &fakeSession{fakeImages: fake, caller: c, ImportSession: imports{asked: asked}}
		}
	})
	created := do(h, request{method: "POST", path: "/v2/images", body: "{}"})
	if got := created.Header().Get("OpenStack-image-import-methods"); got != "glance-direct,copy-image" || created.Code != http.StatusCreated {
		t.Errorf("creation: %d, methods %q", created.Code, got)
	}
	resp := do(h, request{method: "POST", path: "/v2/images/" + string(image.NewID()) + "/import", header: header("X-Image-Meta-Store", "fast"),
		body: `{"method":{"name":"glance-direct"}}`})
	if resp.Code != http.StatusAccepted || resp.Body.Len() > 0 || asked.Store != "fast" || asked.Method != "glance-direct" {
		t.Errorf("import: %d %q, asked for %+v", resp.Code, resp.Body, asked)
	}
}
