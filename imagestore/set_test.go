package imagestore_test

import (
	"context"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

type nowhere struct{}

func (nowhere) Open(context.Context, image.Location) (imagestore.Reader, error) {
	return nil, image.ErrDataMissing
}

func TestOrder(t *testing.T) {
	set, err := imagestore.NewSet(
		imagestore.Entry{ID: "disk", Store: nowhere{}, Local: true, Default: true},
		imagestore.Entry{ID: "ceph", Store: nowhere{}, Weight: 5},
		imagestore.Entry{ID: "tape", Store: nowhere{}, Weight: 9},
		imagestore.Entry{ID: "web", Store: nowhere{}, Weight: -1},
	)
	if err != nil {
		t.Fatal(err)
	}
	locations := []image.Location{{Store: "ceph"}, {Store: "disk"}, {Store: "tape"}, {Store: "forgotten"}, {Store: "web"}}
	for _, tt := range []struct {
		prefer []string
		want   string
	}{
		{nil, "disk tape ceph web forgotten "},
		{[]string{"ceph"}, "ceph disk tape web forgotten "},
		{[]string{"tape", "ceph"}, "tape ceph disk web forgotten "},
	} {
		got := ""
		for _, loc := range set.Order(locations, tt.prefer) {
			got += loc.Store + " "
		}
		if got != tt.want {
			t.Errorf("Order with %q first = %s, want %s", tt.prefer, got, tt.want)
		}
	}
}

func TestNewSetRefuses(t *testing.T) {
	a := imagestore.Entry{ID: "a", Store: nowhere{}, Default: true}
	for name, entries := range map[string][]imagestore.Entry{
		"nothing":      {},
		"no default":   {{ID: "a", Store: nowhere{}}},
		"two defaults": {a, {ID: "b", Store: nowhere{}, Default: true}},
		"one id twice": {a, {ID: "a", Store: nowhere{}}},
		"no backend":   {a, {ID: "b"}},
	} {
		if _, err := imagestore.NewSet(entries...); err == nil {
			t.Errorf("NewSet took %s", name)
		}
	}
}
