package wire

import (
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

func TestParseExtents(t *testing.T) {
	page := image.ExtentPage{Format: "raw", Size: 50, Extents: []image.Extent{{Offset: 10, Length: 20, Data: true}, {Offset: 30, Length: 15}}, Next: 45}
	got, err := ParseExtents(Append(nil, NewExtents(page, "/more")), 10)
	if err != nil || got.Format != page.Format || got.Size != page.Size || got.Next != page.Next || !slices.Equal(got.Extents, page.Extents) {
		t.Errorf("%+v comes back as %+v, %v", page, got, err)
	}
	for _, text := range []string{
		``, `[]`, `{"size":-10,"extents":[]}`,
		`{"size":50,"extents":[]}`,
		`{"size":50,"extents":[],"next":"x"}`,
		`{"size":50,"extents":[{"offset":10,"length":20}]}`,
		`{"size":50,"extents":[{"offset":10,"length":40}],"next":"x"}`,
		`{"size":50,"extents":[{"offset":0,"length":50}]}`,
		`{"size":50,"extents":[{"offset":20,"length":30}]}`,
		`{"size":50,"extents":[{"offset":10,"length":41}]}`,
		`{"size":50,"extents":[{"offset":10,"length":9223372036854775807}]}`,
		`{"size":50,"extents":[{"offset":10,"length":-1}],"next":"x"}`,
		`{"size":50,"extents":[{"offset":10,"length":0}],"next":"x"}`,
		`{"size":5,"extents":[]}`,
	} {
		if page, err := ParseExtents([]byte(text), 10); err == nil {
			t.Errorf("%s is %+v", text, page)
		}
	}
}
