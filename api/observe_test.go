package api

import (
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// An observer is told patterns, never what a client has made up.
func TestObserve(t *testing.T) {
	f := newFake()
	id := string(f.add(image.Image{Owner: "p1"}, "0123456789"))
	var got []Observation
	h := newHandler(t, f, func(c *Config) { c.Observe = func(o Observation) { got = append(got, o) } })
	for _, tt := range []struct {
		request request
		want    Observation
	}{
		{request{method: "GET", path: "/v2/images/" + id + "/file"}, Observation{Method: "GET", Route: "/v2/images/:image/file", Status: 200, Sent: 10}},
		{request{method: "PATCH", path: "/v2/images/" + id, body: "{"}, Observation{Method: "PATCH", Route: "/v2/images/:image", Status: 415}},
		{request{method: "GET", path: "/v2/made/up"}, Observation{Method: "GET", Route: "none", Status: 404}},
		{request{method: "MAKEUP", path: "/v2/images"}, Observation{Method: "other", Route: "none", Status: 501}},
		{request{method: "GET", path: "/healthcheck"}, Observation{Method: "GET", Route: "/healthcheck", Status: 200, Sent: 2}},
		{request{method: "GET", path: "/versions"}, Observation{Method: "GET", Route: "/versions", Status: 200}},
	} {
		got = nil
		do(h, tt.request)
		if len(got) != 1 {
			t.Errorf("%v: %d observations, want one", tt.request, len(got))
			continue
		}
		o := got[0]
		if o.Took <= 0 || o.Took > time.Minute {
			t.Errorf("%v took %v", tt.request, o.Took)
		}
		if o.Took = 0; tt.want.Sent == 0 {
			o.Sent = 0 // the length of a text
		}
		if o.Received = 0; o != tt.want {
			t.Errorf("%v is %+v, want %+v", tt.request, o, tt.want)
		}
	}
}
